"""Hybrid search over rows in process memory.

Guarantee 7: what is outside the scope changes nothing, to the last bit. The scope is turned into
row slots first; candidates, statistics and scores come from those slots alone; slots keep the
order of writing, so that ties fall the same way whatever else was written or removed.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

import numpy as np
import numpy.typing as npt

from memory_fabric.adapters.search.ceiling import Ceiling
from memory_fabric.adapters.search.columns import Floats, Slots
from memory_fabric.adapters.search.lock import SharedLock
from memory_fabric.adapters.search.store import Store
from memory_fabric.core.errors import InputError
from memory_fabric.core.labels import ClassState
from memory_fabric.core.memory import Vector
from memory_fabric.core.records import Hit, IndexRow, Scope

CANDIDATES = 200
"""So many of the best by vector, and as many by text, are ranked by both (at least)."""
VECTOR_WEIGHT = 0.25
"""The vector's share of a hybrid score; the text has the rest (``docs/adr/0004``)."""
GONE_SHARE = 0.25
"""When more of the slots than this are empty, they are closed up."""
GONE_LEAST = 1_024
"""Fewer empty slots than this are left as they are."""
_FEW = 16

Change = Callable[[Store], None]


class MemorySearchCopy:
    """The port ``SearchCopy`` over columns, sign codes and inverted lists.

    Searches run side by side; a write waits for them and then runs alone. Where rows were removed
    the gaps are closed up in the background.

    Args:
        dim: length of the vectors.
        ceiling: how much memory it may take, with others that have the same one.
    """

    def __init__(self, dim: int, ceiling: Ceiling | None = None) -> None:
        self._dim = dim
        self._ceiling = ceiling or Ceiling()
        self._ceiling.join(lambda: sum(self.memory().values()))
        self._lock = SharedLock()
        self._store = Store(dim)
        self._late: deque[Change] | None = None

    def __len__(self) -> int:
        """Rows held."""
        return len(self._store.rows)

    def add(self, rows: Sequence[IndexRow]) -> None:
        """Add rows, or replace those with the same ``rid``: all of them or none.

        Raises:
            InputError: ``vector-dimension``, ``vector-not-finite``.
        """
        latest = list({row.rid: row for row in rows}.values())
        if latest:
            vectors = self._numbers([row.vector for row in latest])
            self._change(lambda store: store.add(latest, vectors))

    def remove(self, rids: Sequence[bytes]) -> None:
        """Forget rows at once; unknown ids are ignored."""
        self._change(lambda store: store.remove(rids))

    def search(
        self, text: str | None, vector: Vector | None, scope: Scope, limit: int
    ) -> list[Hit]:
        """The best rows within the scope, best first; by text alone, only rows that match.

        Scores are in [0, 1]: the cosine where only a vector is given, BM25 as a fraction of its
        bound where only a text is, their weighted mean where both are.

        Raises:
            InputError: ``query-missing``, ``vector-dimension``, ``vector-not-finite``.
        """
        if text is None and vector is None:
            raise InputError(
                "query-missing", "The search has neither a text nor a vector.", "Give it one."
            )
        query = None if vector is None else self._numbers([vector])[0]
        with self._lock.reading:
            slots, scores = self._ranked(text, query, scope, max(limit, 0))
            rids = self._store.rows.rids(slots)
        return [Hit(rid, score) for rid, score in zip(rids, scores.tolist(), strict=True)]

    def states(self, tenant: str, now: datetime) -> frozenset[ClassState]:
        """The class states that occur among a tenant's rows."""
        with self._lock.reading:
            return self._store.scopes.states(tenant, now)

    def find(self, tenant: str, memory_id: str) -> IndexRow | None:
        """The row of a memory, without its text and vector (both empty)."""
        with self._lock.reading:
            rows = self._store.rows
            slot = rows.named(tenant, memory_id)
            return None if slot is None else rows.row(slot)

    def named(self, tenant: str, memory_ids: Sequence[str]) -> set[str]:
        """Those of these ids that memories of the tenant have."""
        with self._lock.reading:
            return self._store.rows.known(tenant, memory_ids)

    def row(self, rid: bytes) -> IndexRow | None:
        """The row of a record, without its text and vector (both empty)."""
        with self._lock.reading:
            rows = self._store.rows
            slot = rows.slot(rid)
            return None if slot is None else rows.row(slot)

    def of_subject(self, tenant: str, subject: str) -> list[IndexRow]:
        """The rows of all memories about a subject, without texts and vectors (both empty)."""
        with self._lock.reading:
            rows = self._store.rows
            return [rows.row(slot) for slot in rows.of_subject(tenant, subject).tolist()]

    def page(self, scope: Scope, after: bytes | None, limit: int) -> list[bytes]:
        """Record ids within the scope, by time of creation and writing, after the given one.

        Raises:
            InputError: ``cursor-unknown``, the given one is not (or no longer) there.
        """
        with self._lock.reading:
            rows = self._store.rows
            last = None if after is None else rows.slot(after)
            if after is not None and (last is None or rows.tenant(last) != scope.tenant):
                raise InputError(
                    "cursor-unknown",
                    "The list cannot go on from this cursor: its memory is gone.",
                    "Start the list again.",
                )
            slots = self._store.scopes.allowed(scope).slots
            return rows.rids(rows.earliest(slots, last, max(limit, 0)))

    def reserve(self, rows: int, characters: int, again: bool = False) -> None:
        """Look whether so many more rows with so much text fit into memory.

        Args:
            again: they were held before, and are let in on a tenth more than the ceiling.

        Raises:
            Unavailable: ``search-memory-full``.
        """
        self._ceiling.check(rows, self._dim, characters, again)

    def memory(self) -> Mapping[str, int]:
        """Bytes of memory taken, by part."""
        with self._lock.reading:
            return self._store.memory()

    def rids(self) -> bytes:
        """The ids of all rows, end to end, in no particular order."""
        with self._lock.reading:
            return self._store.rows.all_rids()

    def freeze(self) -> Iterator[tuple[str, memoryview]]:
        """All that the copy holds at the moment of the call, as named contiguous parts."""
        with self._lock.reading:
            return self._store.freeze()

    def thaw(self, parts: Iterable[tuple[str, bytes | bytearray | memoryview]]) -> None:
        """Fill an empty copy with what another one froze.

        Raises:
            ValueError: the parts do not fit together; the copy stays empty.
            Unavailable: ``search-memory-full``, before the memory is taken.
        """
        store = Store.thaw(self._dim, parts, partial(self.reserve, again=True))
        with self._lock.writing():
            self._store = store

    def _ranked(
        self, text: str | None, query: Floats | None, scope: Scope, limit: int
    ) -> tuple[Slots, npt.NDArray[np.float64]]:
        """The best slots with their scores, best first; earlier rows first among equals."""
        store, allowed = self._store, self._store.scopes.allowed(scope)
        if text is None and query is not None:
            slots, cosines = store.vectors.nearest(query, allowed, limit)
            return slots, _closeness(cosines)
        matches = store.text.matches(text or "", allowed)
        if query is None:
            return matches.best(limit)
        wanted = max(CANDIDATES, limit)
        near, _ = store.vectors.nearest(query, allowed, wanted)
        slots = np.union1d(near, matches.best(wanted)[0])
        closeness = _closeness(store.vectors.cosines(query, slots))
        scores = VECTOR_WEIGHT * closeness + (1 - VECTOR_WEIGHT) * matches.of(slots)
        order = np.lexsort((slots, -scores))[:limit]
        return slots[order], scores[order]

    def _numbers(self, vectors: Sequence[Vector]) -> Floats:
        """Vectors as an array, shape (n, dim)."""
        for vector in vectors:
            if len(vector) != 4 * self._dim:
                raise InputError(
                    "vector-dimension",
                    f"A vector has {len(vector) / 4:g} numbers; this site's have {self._dim}.",
                    "Use the embedder that the site was made with.",
                )
        numbers = np.frombuffer(b"".join(vectors), "<f4").reshape(-1, self._dim)
        if not np.isfinite(numbers.sum(dtype=np.float64)):  # what is not finite stays so in a sum
            raise InputError(
                "vector-not-finite", "A vector holds NaN or infinity.", "Embed the text again."
            )
        return numbers

    def _change(self, change: Change) -> None:
        with self._lock.writing():
            change(self._store)
            if self._late is not None:
                self._late.append(change)
            self._look_for_gaps()

    def _look_for_gaps(self) -> None:
        """Have gaps closed up where there are many. Called while nobody else has the copy."""
        rows = self._store.rows
        if self._late is None and rows.gone > max(GONE_LEAST, GONE_SHARE * rows.slots):
            self._late = deque()
            closing = partial(self._close_up, self._late)
            threading.Thread(target=closing, name="close-up", daemon=True).start()

    def _close_up(self, late: deque[Change]) -> None:
        """Make a store without gaps, repeat on it what has changed meanwhile, and take it."""
        try:
            with self._lock.reading:
                parts = self._store.freeze()
            store = Store.thaw(self._dim, parts)
            while len(late) > _FEW:
                late.popleft()(store)
            with self._lock.writing():
                for change in late:
                    change(store)
                store.readers = self._store.readers
                self._store, self._late = store, None
                self._look_for_gaps()
        except BaseException:
            self._late = None  # the gaps stay, and are looked at again with the next change
            raise


def _closeness(cosines: Floats) -> npt.NDArray[np.float64]:
    """The cosine as a score in [0, 1]; what points away from the query has 0."""
    return np.clip(cosines.astype(np.float64), 0, 1)
