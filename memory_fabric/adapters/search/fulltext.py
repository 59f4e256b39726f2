"""Full text by Okapi BM25 whose every statistic is taken over the rows in scope.

A library engine weighs a term by how many rows of the whole index hold it, so that scores, and
with close scores ranks, tell of rows the asker may not see. Here the number of rows, how many
hold a term, and the average length are counted within the scope, at each search.

Source: Robertson & Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009; the
inverse document frequency that never turns negative is Lucene's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from memory_fabric.adapters.search.growing import Growing, Slots
from memory_fabric.adapters.search.words import words

K1 = 0.6
"""How soon repeating a word stops counting."""
B = 0.5
"""How much long texts are held back."""

_TF_BITS = 20
_TF_MASK = (1 << _TF_BITS) - 1


class FullText:
    """Postings by term. A slot is the place of a row; slots are added in ascending order."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._postings: list[Growing] = []
        self._lengths = Growing(np.int64)

    def add(self, texts: Sequence[str]) -> None:
        """Append texts in the next slots."""
        analysed = [words(text) for text in texts]
        terms = [[self._id(word) for word in found] for found in analysed]
        first, counts = len(self._lengths), np.array([len(found) for found in terms], np.int64)
        self._lengths.extend(counts)
        slots = np.repeat(np.arange(first, first + len(terms)), counts)
        ids = np.fromiter(chain.from_iterable(terms), np.int64, len(slots))
        self._append(ids, slots)

    def compacted(self, kept: Slots) -> FullText:
        """Only these slots, numbered anew in the same order; terms of none are forgotten."""
        renumbered = np.full(len(self._lengths), -1, np.int64)
        renumbered[kept] = np.arange(len(kept))
        fresh = FullText()
        fresh._lengths.extend(self._lengths.view[kept])
        for word, term in self._ids.items():
            packed = self._postings[term].view
            slots = renumbered[packed >> _TF_BITS]
            live = slots >= 0
            if live.any():
                repeats = packed[live] & _TF_MASK
                fresh._postings[fresh._id(word)].extend(slots[live] << _TF_BITS | repeats)
        return fresh

    def frozen(self) -> dict[str, npt.NDArray[Any]]:
        """Terms, and for each of them its postings one after another."""
        postings = [postings.view for postings in self._postings]
        return {
            "terms": np.frombuffer("".join(f"{term}\n" for term in self._ids).encode(), np.uint8),
            "counts": np.array([len(one) for one in postings], np.int64),
            "postings": np.concatenate([np.empty(0, np.int64), *postings]),
            "lengths": self._lengths.view.copy(),
        }

    @classmethod
    def thawed(cls, parts: Mapping[str, bytes]) -> FullText:
        """The inverse of ``frozen``."""
        fresh = cls()
        fresh._lengths.extend(np.frombuffer(parts["lengths"], np.int64))
        *terms, rest = parts["terms"].decode().split("\n")
        ends = np.cumsum(np.frombuffer(parts["counts"], np.int64))
        *postings, beyond = np.split(np.frombuffer(parts["postings"], np.int64), ends)
        if rest or len(beyond) or (len(ends) and sum(map(len, postings)) != ends[-1]):
            raise ValueError("terms and postings do not belong together")
        for term, packed in zip(terms, postings, strict=True):
            fresh._postings[fresh._id(term)].extend(packed)
        return fresh

    def __len__(self) -> int:
        """Slots."""
        return len(self._lengths)

    def scores(self, query: str, slots: Slots, inside: npt.NDArray[np.bool_]) -> Scores:
        """Score the rows in scope.

        Args:
            query: what is looked for.
            slots: the rows in scope, ascending.
            inside: for each slot, whether it is in scope.
        """
        rows = len(slots)
        lengths = self._lengths.view
        average = max(int(lengths[slots].sum()), 1) / max(rows, 1)
        total = np.zeros(len(lengths))
        bound = 0.0
        for word in dict.fromkeys(words(query, query=True)):
            term = self._ids.get(word)
            packed = self._postings[term].view if term is not None else np.empty(0, np.int64)
            found = packed >> _TF_BITS
            held = inside[found]
            found, repeats = found[held], packed[held] & _TF_MASK
            weight = float(np.log1p((rows - len(found) + 0.5) / (len(found) + 0.5)))
            damped = K1 * (1 - B + B * lengths[found] / average)
            total[found] += weight * (K1 + 1) * repeats / (repeats + damped)
            bound += weight * (K1 + 1)
        return Scores(total, bound)

    def _id(self, word: str) -> int:
        term = self._ids.get(word)
        if term is None:
            term = self._ids[word] = len(self._postings)
            self._postings.append(Growing(np.int64))
        return term

    def _append(self, ids: npt.NDArray[np.int64], slots: Slots) -> None:
        order = np.lexsort((slots, ids))
        ids, slots = ids[order], slots[order]
        fresh = np.flatnonzero(np.diff(ids, prepend=-1) | np.diff(slots, prepend=-1))
        repeats = np.diff(fresh, append=len(ids))
        ids, packed = ids[fresh], slots[fresh] << _TF_BITS | repeats
        starts = [*np.flatnonzero(np.diff(ids, prepend=-1)).tolist(), len(ids)]
        for start, end in pairwise(starts):
            self._postings[ids[start]].extend(packed[start:end])


class Scores:
    """BM25 of every slot, and the least value that no text can reach for this query."""

    def __init__(self, total: npt.NDArray[np.float64], bound: float) -> None:
        self._total = total
        self._bound = bound

    def best(self, count: int) -> Slots:
        """The best matching slots, at most ``count``; earlier rows first among equals."""
        matching = np.flatnonzero(self._total)
        return best(matching, self._total[matching], count)

    def of(self, slots: Slots) -> npt.NDArray[np.float64]:
        """Scores as fractions of the bound, in [0, 1)."""
        if not self._bound:
            return np.zeros(len(slots))
        return self._total[slots] / self._bound


def best(slots: Slots, scores: npt.NDArray[np.floating], count: int) -> Slots:
    """The ``count`` slots with the highest scores, the lower slot first among equals."""
    if len(slots) > 4 * count:
        cut = np.partition(scores, len(scores) - count)[len(scores) - count]
        held = scores >= cut
        slots, scores = slots[held], scores[held]
    return slots[np.lexsort((slots, -scores))[:count]]
