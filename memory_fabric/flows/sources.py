"""Sources: which notes an answer rests on, and whether it rests on any.

A small language model makes things up, and cites what it never read. So numbers that it gives count
only where such a note exists and says something of the answer; without any, the notes are cited
whose words the answer uses. An answer whose own words stand in no note is none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from memory_fabric.flows.notes import Note, flat, words

SUPPORTED = 0.6
"""Part of an answer's own words that its notes must hold."""
_NUMBER = re.compile(r"\s*\[(\d{1,3})\]")
_SAYS_NOTHING = frozenset(
    "the and for that this with from has have had was were are his her their she they answer note "
    "notes should can will would been its says which who what when where who one".split()
)
_DOES_NOT_KNOW = re.compile(
    r"\b(don.t know|not know|no information|not mentioned|cannot answer|can.t answer)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Sourced:
    """An answer with what it rests on.

    Attributes:
        text: the answer without its marks.
        known: whether it answers at all.
        notes: those that it rests on, best supported first.
    """

    text: str
    known: bool
    notes: tuple[Note, ...]


def sourced(written: str, question: str, notes: Sequence[Note]) -> Sourced | None:
    """What a model wrote, tied to its notes; ``None`` where it says that it does not know, repeats
    the question only, or says what no note says.
    """
    text = flat(_NUMBER.sub("", written))
    own = words(text) - _SAYS_NOTHING
    new = own - words(question)
    if not new or _DOES_NOT_KNOW.search(text):
        return None
    named = {int(number) for number in _NUMBER.findall(written)}
    holds = {place: words(note.text) & new for place, note in enumerate(notes, 1)}
    resting = [place for place in sorted(named) if holds.get(place)] or _best(holds)
    held = set[str]().union(*(holds[place] for place in resting))
    if len(held) < SUPPORTED * len(new):
        return None
    return Sourced(text, True, tuple(notes[place - 1] for place in resting))


def _best(holds: dict[int, set[str]]) -> list[int]:
    """The fewest notes that hold the answer's words, the one that holds most of them first."""
    chosen: list[int] = []
    left = set[str]().union(*holds.values())
    while left:
        place = max(holds, key=lambda at: (len(holds[at] & left), -at))
        chosen.append(place)
        left -= holds[place]
    return chosen
