"""Notes: released memories as a language model or an app reads them, within a token budget."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from memory_fabric.core.access import Form
from memory_fabric.core.errors import InputError
from memory_fabric.gate.permits import Shown

MAX_BUDGET = 100_000
"""Tokens that may be asked for at most."""
_WORD = re.compile(r"[^\W_]+")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


@dataclass(frozen=True)
class Note:
    """One memory as a note.

    Attributes:
        id: the memory's, as its form shows it.
        site: whose memory it is.
        form: in which it was released.
        text: what it says.
        score: how well it fits the question, in [0, 1].
    """

    id: str
    site: str
    form: Form
    text: str
    score: float

    def to_json(self) -> dict[str, str]:
        """As a citation: where it is from, without its text."""
        return {"id": self.id, "site": self.site, "form": str(self.form)}


def notes_of(results: Iterable[tuple[str, Shown]]) -> list[Note]:
    """Released memories that carry a text, in their order; vectors alone are no notes."""
    return [
        Note(item.id, site, item.form, item.memory, item.score or 0.0)
        for site, item in results
        if item.memory
    ]


def numbered(notes: Sequence[Note]) -> str:
    """Notes as a list, one on a line whatever is in it, numbered from 1."""
    return "\n".join(f"[{number}] {flat(note.text)}" for number, note in enumerate(notes, 1))


def flat(text: str) -> str:
    """A text on one line: no note can look like two, or like the question after them."""
    return " ".join(text.split())


def packed(
    notes: Sequence[Note], budget: int, measure: Callable[[Sequence[Note]], int]
) -> list[Note]:
    """As many notes as fit the budget, best first; the lowest ranked are dropped first.

    Args:
        measure: tokens that a choice of notes takes, with all that stands around it; more notes
            never take fewer.

    Raises:
        InputError: ``budget-invalid``; ``budget-too-small``, not even the frame fits.
    """
    if not 1 <= budget <= MAX_BUDGET:
        raise InputError(
            "budget-invalid", "The token budget is out of range.", f"Use 1 to {MAX_BUDGET:,}."
        )
    if measure(()) > budget:
        raise InputError(
            "budget-too-small",
            "The question alone takes more tokens than the budget has.",
            "Ask with a larger budget, or a shorter question.",
        )
    low, high = 0, len(notes)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if measure(notes[:middle]) <= budget else (low, middle - 1)
    return list(notes[:low])


def words(text: str) -> set[str]:
    """The words of a text, folded; of scripts without spaces, each character."""
    found = {word for word in _WORD.findall(text.casefold()) if len(word) > 2 or word.isdigit()}
    return found | set(_CJK.findall(text))


def estimated(text: str) -> int:
    """Tokens without a model at hand: one for every three bytes of UTF-8, rounded up.

    English text takes about one for every four or five; the estimate is meant to be too high.
    """
    return -(-len(text.encode()) // 3)
