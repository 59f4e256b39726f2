"""Inverted lists that never change: by term, the slots that hold it and how often."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Postings:
    """The lists of some texts one after another, in the order of their terms' numbers.

    Attributes:
        terms: the numbers of the terms that have a list, ascending.
        starts: where each list starts, and where the last one ends.
        slots: ascending within a list.
        repeats: how often the text in that slot holds the term.
        texts: how many slots they are about.
    """

    terms: npt.NDArray[np.int32]
    starts: npt.NDArray[np.int64]
    slots: npt.NDArray[np.int32]
    repeats: npt.NDArray[np.uint16]
    texts: int

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken."""
        parts: tuple[npt.NDArray[Any], ...] = (self.terms, self.starts, self.slots, self.repeats)
        return sum(part.nbytes for part in parts)

    def of(self, term: int) -> slice:
        """Where the list of a term stands."""
        at = int(np.searchsorted(self.terms, term))
        if at == len(self.terms) or self.terms[at] != term:
            return slice(0, 0)
        return slice(int(self.starts[at]), int(self.starts[at + 1]))

    def renumbered(self, numbers: npt.NDArray[np.int32]) -> Postings:
        """With other slots, in the same order; those whose number is negative are left out."""
        slots = numbers[self.slots]
        held = slots >= 0
        if held.all():
            return Postings(self.terms, self.starts, slots, self.repeats, self.texts)
        lengths = np.add.reduceat(np.append(held, False).astype(np.int64), self.starts[:-1])
        some = lengths > 0
        starts = np.concatenate([[0], np.cumsum(lengths[some])])
        texts = int(np.count_nonzero(numbers >= 0))
        return Postings(self.terms[some], starts, slots[held], self.repeats[held], texts)


def postings(terms: npt.NDArray[np.int32], slots: npt.NDArray[np.int32], texts: int) -> Postings:
    """The lists of texts that hold these terms in these slots, given in any order."""
    pairs = np.sort(terms.astype(np.int64) << 32 | slots)
    fresh = np.flatnonzero(np.diff(pairs, prepend=-1))
    repeats = np.diff(fresh, append=len(pairs)).astype(np.uint16)
    pairs = pairs[fresh]
    return _lists((pairs >> 32).astype(np.int32), pairs.astype(np.int32), repeats, texts)


def joined(earlier: Postings, later: Postings) -> Postings:
    """The lists of both; the later ones' slots all come after the earlier ones'."""
    terms = np.concatenate([earlier.terms, later.terms])
    order = np.argsort(terms, kind="stable")
    starts = np.concatenate([earlier.starts[:-1], later.starts[:-1] + earlier.starts[-1]])[order]
    lengths = np.concatenate([np.diff(earlier.starts), np.diff(later.starts)])[order]
    ends = np.cumsum(lengths)
    source = np.repeat(starts - (ends - lengths), lengths) + np.arange(ends[-1] if len(ends) else 0)
    slots = np.concatenate([earlier.slots, later.slots])[source]
    repeats = np.concatenate([earlier.repeats, later.repeats])[source]
    ordered = terms[order]
    first = np.flatnonzero(np.diff(ordered, prepend=-1))
    firsts = np.append((ends - lengths)[first], len(slots))
    return Postings(ordered[first], firsts, slots, repeats, earlier.texts + later.texts)


def _lists(
    terms: npt.NDArray[np.int32], slots: npt.NDArray[np.int32],
    repeats: npt.NDArray[np.uint16], texts: int,
) -> Postings:  # fmt: skip
    first = np.flatnonzero(np.diff(terms, prepend=-1))
    starts = np.append(first, len(terms))
    return Postings(terms[first], starts, slots, repeats, texts)


NOTHING = postings(np.empty(0, np.int32), np.empty(0, np.int32), 0)
"""The lists of no texts."""
