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
from collections.abc import Callable, Sequence
from itertools import chain
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
"""So many texts are analysed together at most."""
SMALL = 512
"""Sets of fewer texts are joined at once, whatever their sizes."""
QUIET_S = 0.1
"""The thread in the background waits until nothing was added for so long, so as not to slow an
import down; ``BACKLOG`` texts do not wait."""
BACKLOG = 65_536

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
                self._analyse(self._waiting[:BATCH])

    def scores(self, query: str, allowed: Allowed) -> Scores:
        """Score the rows in scope."""
        self.settle()
        lengths, sets = self._lengths.view, self._sets
        if allowed.words is None:
            allowed.words = int(
                lengths.sum() if allowed.everything else lengths[allowed.mask].sum()
            )
        rows, average = allowed.count, max(allowed.words, 1) / max(allowed.count, 1)
        total = _zeros(len(lengths))
        bound = 0.0
        touched: list[npt.NDArray[np.int32]] = []
        for word in dict.fromkeys(words(query, query=True)):
            found, repeats = _within(sets, self._terms.find(word), allowed)
            weight = float(np.log1p((rows - len(found) + 0.5) / (len(found) + 0.5)))
            damped = K1 * (1 - B) + (K1 * B / average) * lengths[found]
            damped += repeats
            total[found] += (weight * (K1 + 1)) * repeats / damped
            bound += weight * (K1 + 1)
            touched.append(found)
        return Scores(total, len(lengths), touched, bound)

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
        found = [self._terms.numbers(text) for text in texts]
        counts = np.fromiter(map(len, found), np.int64, len(found))
        first = len(self._lengths)
        slots = np.repeat(np.arange(first, first + len(texts), dtype=np.int32), counts)
        terms = np.fromiter(chain.from_iterable(found), np.int32, len(slots))
        late = postings(terms, slots, len(texts))
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


class Scores:
    """BM25 of every slot, and the least value that no text can reach for this query."""

    def __init__(
        self,
        whole: npt.NDArray[np.float64],
        slots: int,
        touched: list[npt.NDArray[np.int32]],
        bound: float,
    ) -> None:
        self._whole = whole
        self._total = whole[:slots]
        self._touched = touched
        self._bound = bound

    def best(self, count: int) -> Slots:
        """The best matching slots, at most ``count``; earlier rows first among equals."""
        matching = np.flatnonzero(self._total)
        found: Slots = best(matching, self._total[matching], count)[0]
        return found

    def of(self, slots: Slots) -> npt.NDArray[np.float64]:
        """Scores as fractions of the bound, in [0, 1)."""
        if not self._bound:
            return np.zeros(len(slots))
        return self._total[slots] / self._bound

    def done(self) -> None:
        """Give the memory back for the thread's next search."""
        for slots in self._touched:
            self._total[slots] = 0
        _local.zeros = self._whole


def _within(
    sets: tuple[Postings, ...], term: int | None, allowed: Allowed
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint16]]:
    """The slots in scope that hold a term, and how often."""
    if term is None:
        return np.empty(0, np.int32), np.empty(0, np.uint16)
    lists = [(one.slots[where], one.repeats[where]) for one in sets if (where := one.of(term)).stop]
    if not lists:
        return np.empty(0, np.int32), np.empty(0, np.uint16)
    slots, repeats = map(np.concatenate, zip(*lists, strict=True)) if len(lists) > 1 else lists[0]
    if allowed.everything:
        return slots, repeats
    held = allowed.mask[slots]
    return slots[held], repeats[held]


def _zeros(size: int) -> npt.NDArray[np.float64]:
    """At least so many zeros, which a thread uses for one search after another: fresh ones cost
    more than the search. Taken away while in use, so that what is left half used is dropped.
    """
    kept: npt.NDArray[np.float64] | None = getattr(_local, "zeros", None)
    _local.zeros = None
    return kept if kept is not None and len(kept) >= size else np.zeros(size + size // 8)
