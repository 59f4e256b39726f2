"""The closed vocabularies of a bundle's schema, and which of them the program fixes."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from cedarpy import Schema

from memory_fabric.adapters.cedar.findings import BundleError, Finding
from memory_fabric.core.access import Role
from memory_fabric.core.labels import Consent, DataClass
from memory_fabric.core.places import Tier

NAMESPACE = "Sov"


class Way(StrEnum):
    """How data is shared: the acts that have forms."""

    QUERY = "query"
    RECALL = "recall"
    EXPORT = "export"


_FIXED: dict[str, type[StrEnum]] = {
    "DataClass": DataClass, "Consent": Consent, "Role": Role, "Tier": Tier, "Way": Way,
}  # fmt: skip
_OWN = ("Purpose", "Special", "Instrument", "Bloc")
_ENUM = re.compile(r"^\s*entity (\w+) enum \[(.*?)\];", re.MULTILINE)
_WORD = re.compile(r'"([^"]*)"')
_ACTION = re.compile(r'^\s*action "(\w+)"(?: in \[(.*?)\])?( appliesTo)?', re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*")


@dataclass(frozen=True)
class Vocabulary:
    """The words a bundle knows, each list in the schema's order."""

    purposes: tuple[str, ...]
    specials: tuple[str, ...]
    instruments: tuple[str, ...]
    blocs: tuple[str, ...]


def read_vocabulary(schema: Schema, file: str) -> Vocabulary:
    """The vocabularies of a parsed schema.

    Raises:
        BundleError: one is missing, or says something else than the program.
    """

    def wrong(message: str, fix: str) -> BundleError:
        return BundleError(Finding(file, 0, "", message, fix))

    # Cedar prints a schema without comments and one declaration a line, in a fixed shape.
    lists = {name: tuple(_WORD.findall(words)) for name, words in _ENUM.findall(str(schema))}
    for name in (*_OWN, *_FIXED):
        if name not in lists:
            raise wrong(f"The closed list {name} is missing.", f"Write: entity {name} enum [...];")
    for name, fixed in _FIXED.items():
        if set(lists[name]) != set(fixed):
            words = ", ".join(f'"{word}"' for word in fixed)
            raise wrong(f"{name} is fixed by the program.", f"It must be exactly [{words}].")
    for name in _OWN:
        for word in lists[name]:
            if not _PLAIN.fullmatch(word):
                raise wrong(
                    f"{word!r} in {name} is no plain word.", "Use letters, digits, hyphens."
                )
    return Vocabulary(*(lists[name] for name in _OWN))


def reaches(schema: Schema) -> dict[str, frozenset[str]]:
    """For each action and each group of actions of a schema, the actions that it stands for."""
    found = _ACTION.findall(str(schema))
    above = {name: _WORD.findall(groups) for name, groups, _ in found}
    reached: dict[str, set[str]] = {name: set() for name in above}
    for name, _, applies in found:
        climbing = [name] if applies else []
        while climbing:
            group = climbing.pop()
            if name not in reached[group]:
                reached[group].add(name)
                climbing += above[group]
    return {name: frozenset(actions) for name, actions in reached.items()}
