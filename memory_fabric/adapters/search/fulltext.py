"""Full text by Okapi BM25 whose every statistic is taken over the rows in scope.

A library engine weighs a term by how many rows of the whole index hold it, so that scores, and
with close scores ranks, tell of rows the asker may not see. Here the number of rows, how many
hold a term, and the average length are counted within the scope, at each search.

Texts wait in a list until the next search, or a thread in the background, analyses them: so a
write need not. What was analysed together is one set of inverted lists, which never changes;
sets of like size are joined, so that there are few.

Source: Robertson & Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009; the
inverse document frequency that never turns negative is Lucene's.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

from memory_fabric.adapters.search.columns import Growing, Slots
from memory_fabric.adapters.search.postings import Postings, joined, postings
from memory_fabric.adapters.search.scopes import Allowed
from memory_fabric.adapters.search.vectors import best
from memory_fabric.adapters.search.words import Analyser, words

K1 = 0.6
"""How soon repeating a word stops counting."""
B = 0.5
"""How much long texts are held back."""

BATCH = 8_192
"""So many texts are analysed together at most, and"""
CHARACTERS = 4_000_000
"""so many characters, but for one text that has more."""
SMALL = 512
"""Sets of fewer texts are joined at once, whatever their sizes."""
QUIET_S = 0.1
"""The thread in the background waits until nothing was added for so long, so as not to slow an
import down; ``BACKLOG`` texts do not wait."""
BACKLOG = 65_536

_FEW = 4_096

_local = threading.local()


class FullText:
    """Inverted lists by term. A slot is the place of a row; slots are added in ascending order."""

    def __init__(self) -> None:
        self._terms = Analyser()
        self._lengths = Growing(np.int32)
        self._sets: tuple[Postings, ...] = ()
        self._waiting: list[str] = []
        self._lock = threading.Lock()
        self._joining = threading.Lock()
        self._worker: threading.Thread | None = None
        self._added = 0.0

    def __len__(self) -> int:
        """Slots."""
        return len(self._lengths) + len(self._waiting)

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken, those of terms estimated."""
        lists = sum(one.nbytes for one in self._sets)
        return lists + self._lengths.nbytes + self._terms.nbytes + sum(map(len, self._waiting))

    def add(self, texts: Sequence[str]) -> None:
        """Append texts in the next slots."""
        self._waiting.extend(texts)  # in one step, so that no lock is needed
        self._added = time.monotonic()
        if self._worker is None or not self._worker.is_alive():
            self._worker = threading.Thread(target=self._work, name="full-text", daemon=True)
            self._worker.start()

    def settle(self) -> None:
        """Analyse what waits."""
        while self._waiting:
            with self._lock:
                texts = self._waiting[:BATCH]
                ends = list(accumulate(map(len, texts)))
                self._analyse(texts[: max(1, bisect(ends, CHARACTERS))])

    def matches(self, query: str, allowed: Allowed) -> Matches:
        """The rows in scope that hold terms of the query."""
        self.settle()
        lengths, sets = self._lengths.view, self._sets
        if allowed.words is None:
            held = lengths if allowed.everything else lengths[allowed.mask]
            allowed.words = int(held.sum())
        terms = [self._terms.find(word) for word in dict.fromkeys(words(query, query=True))]
        return Matches([_listed(sets, term, allowed) for term in terms], lengths, allowed)

    def frozen(self) -> Callable[[Slots], dict[str, npt.NDArray[Any]]]:
        """What makes arrays of the slots there are now; may be called when there are more."""
        self.settle()
        lengths, sets = self._lengths.view, self._sets

        def arrays_of(kept: Slots) -> dict[str, npt.NDArray[Any]]:
            numbers = np.full(len(lengths), -1, np.int32)
            numbers[kept] = np.arange(len(kept), dtype=np.int32)
            lists = [one.renumbered(numbers) for one in sets]
            while len(lists) > 1:
                lists[-2:] = [joined(*lists[-2:])]
            one = lists[0] if lists else postings(np.empty(0, np.int32), np.empty(0, np.int32), 0)
            block, ends = self._terms.named(one.terms)
            return {
                "terms": block, "terms-ends": ends, "starts": one.starts, "slots": one.slots,
                "repeats": one.repeats, "lengths": lengths[kept],
            }  # fmt: skip

        return arrays_of

    @classmethod
    def thawed(cls, parts: dict[str, npt.NDArray[Any]]) -> FullText:
        """Of the arrays that ``frozen`` made."""
        fresh = cls()
        terms = fresh._terms.known(parts["terms"], parts["terms-ends"])
        fresh._lengths = Growing.of(parts["lengths"])
        texts = len(parts["lengths"])
        lists = Postings(terms, parts["starts"], parts["slots"], parts["repeats"], texts)
        fresh._sets = (lists,) if texts else ()
        return fresh

    def _analyse(self, texts: list[str]) -> None:
        """Analyse the first texts that wait. Called with the lock held."""
        if not texts:
            return
        terms, places = self._terms.analysed(texts)
        counts = np.bincount(places, minlength=len(texts))
        late = postings(terms, places + np.int32(len(self._lengths)), len(texts))
        *earlier, last = self._sets or (None,)
        if last is not None and last.texts + late.texts <= SMALL:
            self._sets = (*earlier, joined(last, late))
        else:
            self._sets = (*self._sets, late)
        self._lengths.extend(counts)
        del self._waiting[: len(texts)]

    def _work(self) -> None:
        """Analyse and join in the background, then end."""
        while self._waiting:
            while time.monotonic() - self._added < QUIET_S and len(self._waiting) < BACKLOG:
                time.sleep(QUIET_S / 4)
            self.settle()
        self._join()

    def _join(self) -> None:
        """Join neighbours of like size until each set has four times the texts of the next."""
        at = 0
        while at + 1 < len(sets := self._sets):
            if sets[at].texts > 4 * sets[at + 1].texts:
                at += 1
                continue
            both = joined(sets[at], sets[at + 1])
            with self._lock:
                now = self._sets
                if now[at + 1] is not sets[at + 1]:
                    continue
                self._sets = (*now[:at], both, *now[at + 2 :])
            at = max(at - 1, 0)


class Listed:
    """The lists of one term, how many rows in scope hold it, and what that makes it weigh."""

    def __init__(
        self, lists: list[tuple[npt.NDArray[np.int32], npt.NDArray[np.uint16]]],
        holding: int, rows: int,
    ) -> None:  # fmt: skip
        self.lists = lists
        self.weight = (K1 + 1) * float(np.log1p((rows - holding + 0.5) / (holding + 0.5)))
        self.size = sum(len(slots) for slots, _ in lists)


class Matches:
    """BM25 of the rows in scope for one query.

    A row's score is the sum over its terms, those that weigh most first. Terms that so many rows
    hold that they weigh little are looked up only for the rows that could still be among the best
    (MaxScore: Turtle & Flood, 1995), which changes no score and no rank.
    """

    def __init__(
        self, terms: list[Listed], lengths: npt.NDArray[np.int32], allowed: Allowed
    ) -> None:
        self._terms = sorted(terms, key=lambda term: -term.weight)
        self._bound = sum(term.weight for term in self._terms)
        self._lengths = lengths
        self._allowed = allowed
        self._steep = K1 * B * allowed.count / max(allowed.words or 0, 1)

    def best(self, count: int) -> tuple[Slots, npt.NDArray[np.float64]]:
        """The best matching slots, at most ``count``, best first, and their scores as fractions
        of a bound that no text can reach, in [0, 1); earlier rows first among equals.
        """
        left = [term for term in self._terms if term.size]
        if not left or not count:
            return np.empty(0, np.int64), np.empty(0)
        total = _zeros(len(self._lengths))
        touched: list[npt.NDArray[np.int32]] = []
        slots: Slots | None = None
        while slots is None:
            term = left.pop(0)
            for listed, repeats in term.lists:
                found = listed
                if not self._allowed.everything:
                    held = self._allowed.mask[listed]
                    found, repeats = listed[held], repeats[held]
                total[found] += self._share(term, found, repeats)
                touched.append(found)
            slots = self._hopeful(total, touched, left, count)
        scores = total[slots]
        for term in left:
            scores += self._looked_up(term, slots)
        for some in touched:
            total[some] = 0
        _local.zeros = total
        slots, scores = best(slots, scores, count)
        return slots, scores / self._bound

    def of(self, slots: Slots) -> npt.NDArray[np.float64]:
        """Scores of these slots, ascending ones, as fractions of the bound."""
        scores = np.zeros(len(slots))
        for term in self._terms:
            scores += self._looked_up(term, slots)
        return scores / self._bound if self._bound else scores

    def _hopeful(
        self, total: npt.NDArray[np.float64], touched: list[npt.NDArray[np.int32]],
        left: list[Listed], count: int,
    ) -> Slots | None:  # fmt: skip
        """The slots that may be among the best, ascending; ``None`` where these are too many to
        look terms up for them, and a further term is better summed up for all.
        """
        if left and left[0].size < _FEW:
            return None
        size = sum(map(len, touched))
        if len(touched) == 1:
            slots = touched[0].astype(np.int64)
        elif 16 * size < len(total):
            slots = np.unique(np.concatenate(touched)).astype(np.int64)
        else:
            slots = np.flatnonzero(total)
        scores = total[slots]
        if len(slots) > count:
            least = np.partition(scores, len(slots) - count)[len(slots) - count]
            ahead = sum(term.weight for term in left)
            if ahead >= least:  # a row with none of the terms so far could still be among the best
                return None
            slots = slots[scores >= (least - ahead) * (1 - 1e-9)]
        elif left:
            return None
        return slots if not left or len(slots) < _FEW else None

    def _looked_up(self, term: Listed, slots: Slots) -> npt.NDArray[np.float64]:
        """What a term adds to the scores of these slots."""
        shares = np.zeros(len(slots))
        for listed, repeats in term.lists:
            if len(listed):
                places = np.minimum(np.searchsorted(listed, slots), len(listed) - 1)
                held = np.flatnonzero(listed[places] == slots)
                shares[held] = self._share(term, slots[held], repeats[places[held]])
        return shares

    def _share(
        self, term: Listed, slots: npt.NDArray[np.integer], repeats: npt.NDArray[np.uint16]
    ) -> npt.NDArray[np.float64]:
        """What a term adds to the scores of slots that hold it so often."""
        damped = self._steep * self._lengths[slots]
        damped += K1 * (1 - B)
        damped += repeats
        shares: npt.NDArray[np.float64] = term.weight * repeats / damped
        return shares


def _listed(sets: tuple[Postings, ...], term: int | None, allowed: Allowed) -> Listed:
    """What the sets hold of a term."""
    if term is None:
        return Listed([], 0, allowed.count)
    lists = [(one.slots[where], one.repeats[where]) for one in sets if (where := one.of(term)).stop]
    if allowed.everything:
        holding = sum(len(slots) for slots, _ in lists)
    else:
        holding = allowed.holding.get(term, -1)
        if holding < 0:
            holding = sum(int(np.count_nonzero(allowed.mask[slots])) for slots, _ in lists)
            allowed.holding[term] = holding
    return Listed(lists, holding, allowed.count)


def _zeros(size: int) -> npt.NDArray[np.float64]:
    """So many zeros, at least, which a thread uses for one search after another: fresh ones cost
    more than the search. Taken away while in use, so that what is left half used is dropped.
    """
    kept: npt.NDArray[np.float64] | None = getattr(_local, "zeros", None)
    _local.zeros = None
    return kept if kept is not None and len(kept) >= size else np.zeros(size + size // 8)
