"""Drafts: memories as an app hands them over, before the site labels, embeds and seals them."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, TypeVar

from memory_fabric.core.errors import InputError
from memory_fabric.core.labels import Consent, DataClass
from memory_fabric.core.memory import (
    MAX_NAME,
    MemoryType,
    Vector,
    check_subjects,
    check_text,
)

_Kind = TypeVar("_Kind", bound=StrEnum)
_ALIASES = {"text": "memory", "subject": "subjects", "purpose": "purposes", "vector": "embedding"}
_LABEL_FIELDS = (
    "data_class", "personal", "special", "purposes", "consent", "legal_hold", "expires_at",
    "subjects",
)  # fmt: skip
_FIELDS = frozenset(
    {"memory", "id", "memory_type", "metadata", "valid_at", "embedding", "embedder", *_LABEL_FIELDS}
)


@dataclass(frozen=True)
class Draft:
    """What an app says about a memory; ``None`` leaves the choice to the tenant's defaults."""

    text: str
    subjects: tuple[str, ...] = ()
    id: str | None = None
    memory_type: MemoryType = MemoryType.EPISODIC
    data_class: DataClass | None = None
    personal: bool | None = None
    special: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset()
    consent: Consent = Consent.NONE
    legal_hold: bool = False
    expires_at: datetime | None = None
    valid_at: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    vector: Vector | None = None
    embedder: str | None = None

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Draft:
        """A draft from JSON, or from a row of a table with the same names as columns.

        The label's fields may stand in an object ``label`` or beside the memory; lists may be
        written as text with commas or semicolons; empty cells count as absent.

        Raises:
            InputError: ``row-malformed``, ``text-empty``, ``label-invalid``, ``vector-invalid`` ...
        """
        flat: dict[str, Any] = {}
        nested = fields.get("label") or {}
        if not isinstance(nested, Mapping):
            raise _malformed("`label` is not an object")
        for name, value in [*nested.items(), *fields.items()]:
            if name == "label" or value is None or value == "":
                continue
            name = _ALIASES.get(str(name), str(name))
            if name not in _FIELDS:
                # A table without a header line would put a memory where the name stands.
                shown = f" {name!r}" if name.isidentifier() and len(name) <= 30 else ""
                raise _malformed(f"it has an unknown field{shown}")
            if name in flat:  # one would win, and a subject be lost without a word
                raise _malformed(f"it has {name!r} twice")
            flat[name] = value
        if not isinstance(flat.get("memory", ""), str):
            raise _malformed("`memory` is not text")
        return cls(
            text=check_text(flat.get("memory", "")),
            subjects=check_subjects(_words(flat.get("subjects", ()), "subjects")),
            id=_identifier(flat.get("id")),
            memory_type=_member(MemoryType, flat.get("memory_type", "episodic"), "memory_type"),
            data_class=_optional(DataClass, flat.get("data_class"), "data_class"),
            personal=_flag(flat.get("personal"), "personal"),
            special=frozenset(_words(flat.get("special", ()), "special")),
            purposes=frozenset(_words(flat.get("purposes", ()), "purposes")),
            consent=_member(Consent, flat.get("consent", "none"), "consent"),
            legal_hold=bool(_flag(flat.get("legal_hold"), "legal_hold")),
            expires_at=moment(flat.get("expires_at"), "expires_at"),
            valid_at=moment(flat.get("valid_at"), "valid_at"),
            metadata=_metadata(flat.get("metadata", {})),
            vector=_vector(flat.get("embedding")),
            embedder=flat.get("embedder"),
        )


def _malformed(why: str) -> InputError:
    return InputError(
        "row-malformed", f"A memory cannot be read: {why}.", "See docs/reference/fields.md."
    )


def _metadata(value: Any) -> Mapping[str, Any]:
    """An object that can be written as JSON in UTF-8."""
    if not isinstance(value, Mapping):
        raise _malformed("`metadata` is not an object")
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise _malformed("`metadata` is not JSON") from None
    return value


def _words(value: Any, name: str) -> tuple[str, ...]:
    if isinstance(value, str):
        value = [word for word in value.replace(";", ",").split(",") if word.strip()]
    if not isinstance(value, list | tuple) or not all(isinstance(word, str) for word in value):
        raise _malformed(f"`{name}` is not a list of words")
    return tuple(word.strip() for word in value)


def _identifier(value: Any) -> str | None:
    if value is None:
        return None
    name = str(value).strip() if isinstance(value, str | int) else ""
    if not name or len(name) > MAX_NAME or "/" in name or not name.isprintable():
        raise InputError(
            "id-invalid",
            "An id is empty, too long, or holds a slash or control characters.",
            f"Use 1 to {MAX_NAME} printable characters.",
        )
    return name


def _member(kind: type[_Kind], value: Any, name: str) -> _Kind:
    try:
        return kind(value)
    except ValueError:
        raise InputError(
            "label-invalid" if name != "memory_type" else "memory-type-unknown",
            f"`{name}` holds a word that is not in its list.",
            f"Use one of {', '.join(kind)}.",
        ) from None


def _optional(kind: type[_Kind], value: Any, name: str) -> _Kind | None:
    return None if value is None else _member(kind, value, name)


def moment(value: Any, name: str) -> datetime | None:
    """A moment with a time zone, from ISO 8601 text or a datetime, or ``time-invalid``."""
    if value is None:
        return None
    try:
        parsed = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise InputError(
            "time-invalid", f"`{name}` is not a time.", "Write it as 2027-01-31T00:00:00Z."
        ) from None
    if parsed.tzinfo is None:
        raise InputError(
            "time-without-zone", f"`{name}` has no time zone.", "Write it as 2027-01-31T00:00:00Z."
        )
    try:
        return parsed.astimezone(UTC)
    except OverflowError:
        raise InputError(
            "time-invalid",
            f"`{name}` is beyond all calendars.",
            "Write it as 2027-01-31T00:00:00Z.",
        ) from None


def _flag(value: Any, name: str) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    match str(value).strip().lower():
        case "true" | "1" | "yes" | "on":
            return True
        case "false" | "0" | "no" | "off":
            return False
    raise _malformed(f"`{name}` is neither true nor false")


def _vector(value: Any) -> Vector | None:
    """Unit-length float32 bytes from a list of numbers."""
    if value is None:
        return None
    try:
        numbers = [float(number) for number in value]
    except (TypeError, ValueError, OverflowError):
        raise InputError(
            "vector-invalid", "An embedding is not a list of numbers.", "Send a list of floats."
        ) from None
    norm = math.hypot(*numbers)
    if not math.isfinite(norm):
        raise InputError(
            "vector-not-finite", "An embedding holds NaN or infinity.", "Send finite numbers."
        )
    if norm == 0:
        raise InputError(
            "vector-zero", "An embedding has no length.", "Send a vector other than zero."
        )
    return struct.pack(f"<{len(numbers)}f", *(number / norm for number in numbers))
