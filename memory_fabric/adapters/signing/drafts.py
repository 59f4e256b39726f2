"""What a draft in a publication folder must be, and who may sign it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from securesystemslib.signer import SSlibKey
from tuf.api.metadata import Metadata, Root, Targets
from tuf.api.serialization import DeserializationError

from memory_fabric.adapters.signing.metadata import new_root
from memory_fabric.adapters.signing.officers import OfficerKey, officer_of, signed_twice
from memory_fabric.core.errors import InputError, IntegrityViolated

Parsed = TypeVar("Parsed")


def drafted_root(
    now: datetime,
    officers: Sequence[SSlibKey],
    threshold: int,
    publishers: Sequence[SSlibKey],
    version: int = 1,
) -> Metadata[Root]:
    """A root that officers may sign.

    Raises:
        InputError: ``officers-few``, ``officers-alike``.
    """
    if not 2 <= threshold <= len(officers):
        raise InputError(
            "officers-few",
            f"{len(officers)} officers cannot give {threshold} signatures, or one alone would do.",
            "Name two officers or more, and a --threshold of at least 2.",
        )
    named = {officer_of(key).name.casefold() for key in officers}
    if len({key.keyid for key in officers}) < len(officers) or len(named) < len(officers):
        raise InputError(
            "officers-alike",
            "Two officers have the same key or the same name.",
            "Name each person once, by a name of their own.",
        )
    return new_root(now, officers, threshold, publishers or officers, version)


def check_holder(
    key: OfficerKey, holders: Container[str], signatures: Mapping[str, object]
) -> None:
    """Raise ``officer-unknown`` or ``signed-twice`` where this key's signature would not count."""
    if key.officer.key_id not in holders:
        raise InputError(
            "officer-unknown",
            f"The key of {key.officer.name} is none of the officers' here.",
            "Sign with the key that the officers' root names; `policy officers show` lists them.",
        )
    if key.officer.key_id in signatures:
        raise signed_twice(key)


def check_ends(root: Root, rules: Targets, now: datetime) -> None:
    """Refuse to call rules the newest that no site would take any more."""
    for part, what, mend in (
        (root, "list of officers", "Sign it again: `policy officers change`, then `sign`."),
        (rules, "signatures on the rules", "Sign them again: `policy sign`, with --replace."),
    ):
        if part.expires <= now:
            raise InputError(
                "signatures-ended", f"The {what} ended on {part.expires:%Y-%m-%d}.", mend
            )


def names_of(keys: Iterable[SSlibKey]) -> tuple[str, ...]:
    """Whose keys these are."""
    return tuple(officer_of(key).name for key in keys)


def parsed(name: str, content: bytes, parse: Callable[[bytes], Parsed]) -> Parsed:
    """Metadata as it was read; ``publication-damaged`` where it is none."""
    try:
        return parse(content)
    except (DeserializationError, ValueError):
        raise damaged(name) from None


def damaged(name: str) -> IntegrityViolated:
    """The error of a file in a publication folder that is not as it was written."""
    return IntegrityViolated(
        "publication-damaged",
        f"{name} in the publication folder is not as it was written.",
        "Bring it back from a copy; nothing was changed here.",
        {"damaged": [name]},
    )


def draft_missing() -> InputError:
    """The error where nothing waits."""
    return InputError(
        "draft-missing",
        "Nothing waits for signatures or to be published here.",
        "Begin with `memory-fabric policy sign`, or `policy officers change` for another root.",
    )
