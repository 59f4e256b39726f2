"""What a rule speaks of, as formulas: words of closed lists, places, sets, records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import z3

Formula = Any
"""A truth value in z3."""
Number = Any
"""A whole number in z3; decimals count in ten-thousandths, moments in milliseconds since 1970."""

Value = Any
"""One of the classes below, or text, a number or a truth value in z3."""


@dataclass(frozen=True)
class Word:
    """A word of a closed list: its number, and the word itself where it is written out."""

    kind: str
    number: Any
    word: str | None = None


@dataclass(frozen=True)
class Place:
    """A region: the number of its country, and 0 for the whole of it or a part's number."""

    country: Any
    part: Any


@dataclass(frozen=True)
class Words:
    """A set of words: for each whether it is in."""

    kind: str
    holds: Mapping[str, Formula]


@dataclass(frozen=True)
class Listed:
    """A set written out."""

    items: tuple[Value, ...]


@dataclass(frozen=True)
class Bloc:
    """A bloc by its name."""

    name: str


@dataclass(frozen=True)
class Thing:
    """``principal``, ``action``, ``resource``, ``context`` or a record in them, by its path."""

    path: str


class NotModelled(Exception):
    """The translation does not know this part of a rule; the text says which."""


def any_of(*formulas: Formula) -> Formula:
    """Whether one of them holds."""
    return z3.Or(*formulas) if formulas else z3.BoolVal(False)


def all_of(*formulas: Formula) -> Formula:
    """Whether all of them hold."""
    return z3.And(*formulas) if formulas else z3.BoolVal(True)


def equal(left: Value, right: Value) -> Formula:
    """Whether two values are the same."""
    match left, right:
        case Word(), Word():
            return left.number == right.number if left.kind == right.kind else z3.BoolVal(False)
        case Place(), Place():
            return z3.And(left.country == right.country, left.part == right.part)
        case (Words() | Listed(), Words() | Listed()):
            return z3.And(contains_all(left, right), contains_all(right, left))
    if z3.is_expr(left) and z3.is_expr(right) and left.sort() == right.sort():
        return left == right
    raise NotModelled("a comparison of unlike things")


def contains(group: Value, item: Value) -> Formula:
    """Whether a set contains a value."""
    match group, item:
        case Listed(), _:
            return any_of(*(equal(one, item) for one in group.items))
        case Words(), Word(word=str(word)):
            return group.holds.get(word, z3.BoolVal(False))
        case Words(), Word():
            return any_of(
                *(z3.And(holds, item.number == number(word, group)) for word, holds in _of(group))
            )
    raise NotModelled("contains() of this kind")


def contains_all(group: Value, other: Value) -> Formula:
    """Whether a set contains every value of another."""
    match other:
        case Listed():
            return all_of(*(contains(group, item) for item in other.items))
        case Words():
            return all_of(
                *(
                    z3.Implies(holds, contains(group, Word(other.kind, number(word, other), word)))
                    for word, holds in _of(other)
                )
            )
    raise NotModelled("containsAll() of this kind")


def contains_any(group: Value, other: Value) -> Formula:
    """Whether two sets have a value in common."""
    match group, other:
        case _, Listed():
            return any_of(*(contains(group, item) for item in other.items))
        case Listed(), Words():
            return contains_any(other, group)
        case Words(), Words():
            return any_of(
                *(
                    z3.And(holds, other.holds[word])
                    for word, holds in _of(group)
                    if word in other.holds
                )
            )
    raise NotModelled("containsAny() of this kind")


def is_empty(group: Value) -> Formula:
    """Whether a set has no value."""
    match group:
        case Listed():
            return z3.BoolVal(not group.items)
        case Words():
            return z3.Not(any_of(*group.holds.values()))
    raise NotModelled("isEmpty() of this kind")


def number(word: str, group: Words) -> Any:
    """A word's number: its place in the list."""
    return z3.BitVecVal(list(group.holds).index(word), 8)


def _of(group: Words) -> list[tuple[str, Formula]]:
    return list(group.holds.items())
