"""Hybrid search over rows in process memory.

Guarantee 7: what is outside the scope changes nothing, to the last bit. The scope is turned into
row slots first; candidates, statistics and scores come from those slots alone; slots keep the
order of writing, so that ties fall the same way whatever else was written or removed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial

import numpy as np
import numpy.typing as npt

from memory_fabric.adapters.search.frozen import frozen_rows, thawed_rows
from memory_fabric.adapters.search.fulltext import FullText
from memory_fabric.adapters.search.growing import Floats, SharedLock, Slots
from memory_fabric.adapters.search.rows import Rows
from memory_fabric.adapters.search.vectors import Vectors
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


class MemorySearchCopy:
    """The port ``SearchCopy`` over NumPy arrays and faiss sign codes.

    Searches run side by side; a write waits for them and then runs alone.

    Args:
        dim: length of the vectors.
    """

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._lock = SharedLock()
        self._rows = Rows()
        self._text = FullText()
        self._vectors = Vectors(dim)

    def __len__(self) -> int:
        """Rows held."""
        return len(self._rows)

    def add(self, rows: Sequence[IndexRow]) -> None:
        """Add rows, or replace those with the same ``rid``: all of them or none.

        Raises:
            InputError: ``vector-dimension``, ``vector-not-finite``.
        """
        latest = list({row.rid: row for row in rows}.values())
        vectors = np.stack([self._vector(row.vector) for row in latest]) if latest else None
        if vectors is None:
            return
        with self._lock.writing():
            self._rows.add(latest)
            self._text.add([row.text for row in latest])
            self._vectors.add(vectors)
            self._close_up()

    def remove(self, rids: Sequence[bytes]) -> None:
        """Forget rows at once; unknown ids are ignored."""
        with self._lock.writing():
            self._vectors.erase(self._rows.remove(rids))
            self._close_up()

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
        query = None if vector is None else self._vector(vector)
        with self._lock.reading():
            slots, scores = self._ranked(text, query, scope, max(limit, 0))
            return [
                Hit(self._rows.row(slot).rid, score)
                for slot, score in zip(slots.tolist(), scores.tolist(), strict=True)
            ]

    def states(self, tenant: str, now: datetime) -> frozenset[ClassState]:
        """The class states that occur among a tenant's rows."""
        with self._lock.reading():
            return self._rows.states(tenant, now)

    def find(self, tenant: str, memory_id: str) -> IndexRow | None:
        """The row of a memory, without its text and vector (both empty)."""
        with self._lock.reading():
            return self._rows.named(tenant, memory_id)

    def row(self, rid: bytes) -> IndexRow | None:
        """The row of a record, without its text and vector (both empty)."""
        with self._lock.reading():
            slot = self._rows.slot(rid)
            return None if slot is None else self._rows.row(slot)

    def of_subject(self, tenant: str, subject: str) -> list[IndexRow]:
        """The rows of all memories about a subject, without texts and vectors (both empty)."""
        with self._lock.reading():
            slots = self._rows.of_subject(tenant, subject)
            return [self._rows.row(slot) for slot in slots.tolist()]

    def page(self, scope: Scope, after: bytes | None, limit: int) -> list[bytes]:
        """Record ids within the scope, by time of creation and writing, after the given one.

        Raises:
            InputError: ``cursor-unknown``, the given one is not (or no longer) there.
        """
        with self._lock.reading():
            slots = self._rows.allowed(scope)
            if after is not None:
                last = self._rows.slot(after)
                if last is None or self._rows.row(last).label.tenant != scope.tenant:
                    raise InputError(
                        "cursor-unknown",
                        "The list cannot go on from this cursor: its memory is gone.",
                        "Start the list again.",
                    )
                slots = slots[self._rows.follows(slots, last)]
            return self._rids(self._rows.in_order(slots)[: max(limit, 0)])

    def freeze(self) -> Iterator[tuple[str, memoryview]]:
        """All that the copy holds at the moment of the call, as named contiguous parts."""
        with self._lock.reading():
            kept = self._rows.kept()
            rows = [self._rows.row(slot) for slot in kept.tolist()]
            parts = {
                "dim": np.array([self._dim]),
                "rows": frozen_rows(rows),
                "written": self._rows.written(kept),
                "vectors": self._vectors.taken(kept),
                **self._text.compacted(kept).frozen(),
            }
        return ((name, part.reshape(-1).view(np.uint8).data) for name, part in parts.items())

    def thaw(self, parts: Iterable[tuple[str, bytes]]) -> None:
        """Fill an empty copy with what another one froze.

        Raises:
            ValueError: the parts do not fit together; the copy stays empty.
        """
        taken = dict(parts)
        try:
            written = np.argsort(np.argsort(np.frombuffer(taken["written"], np.int64)))
            rows = Rows.thawed(thawed_rows(taken["rows"]), written)
            text, vectors = FullText.thawed(taken), Vectors(self._dim)
            numbers = np.frombuffer(taken["vectors"], "<f4").reshape(-1, self._dim)
            vectors.add(numbers)
            fitting = rows.slots == len(written) == len(text) == len(numbers)
            if not fitting or np.frombuffer(taken["dim"], np.int64).tolist() != [self._dim]:
                raise ValueError("parts of a frozen copy do not belong together")
        except (KeyError, TypeError) as error:
            raise ValueError("parts of a frozen copy are missing or of another kind") from error
        with self._lock.writing():
            self._rows, self._text, self._vectors = rows, text, vectors

    def _ranked(
        self, text: str | None, query: Floats | None, scope: Scope, limit: int
    ) -> tuple[Slots, npt.NDArray[np.float64]]:
        """The best slots with their scores, best first; earlier rows first among equals."""
        slots = self._rows.allowed(scope)
        inside = np.zeros(self._rows.slots, np.bool_)
        inside[slots] = True
        wanted = max(CANDIDATES, limit)
        found = np.empty(0, np.int64)
        scorers: list[tuple[float, Callable[[Slots], npt.NDArray[np.float64]]]] = []
        if query is not None:
            found = self._vectors.nearest(query, slots, inside, wanted)
            scorers.append((VECTOR_WEIGHT, partial(self._vectors.closeness, query)))
        if text is not None:
            matches = self._text.scores(text, slots, inside)
            found = np.union1d(found, matches.best(wanted))
            scorers.append((1 - VECTOR_WEIGHT, matches.of))
        total = sum(weight for weight, _ in scorers)
        scores = np.zeros(len(found))
        for weight, scorer in scorers:
            scores += weight / total * scorer(found)
        order = np.lexsort((found, -scores))[:limit]
        return found[order], scores[order]

    def _vector(self, vector: Vector) -> Floats:
        if len(vector) != 4 * self._dim:
            raise InputError(
                "vector-dimension",
                f"A vector has {len(vector) / 4:g} numbers; this site's have {self._dim}.",
                "Use the embedder that the site was made with.",
            )
        numbers = np.frombuffer(vector, "<f4").astype(np.float32)
        if not np.isfinite(numbers).all():
            raise InputError(
                "vector-not-finite", "A vector holds NaN or infinity.", "Embed the text again."
            )
        return numbers

    def _rids(self, slots: Slots) -> list[bytes]:
        return [self._rows.row(slot).rid for slot in slots.tolist()]

    def _close_up(self) -> None:
        if self._rows.gone <= GONE_SHARE * self._rows.slots:
            return
        kept = self._rows.kept()
        self._rows = self._rows.compacted(kept)
        self._text = self._text.compacted(kept)
        self._vectors = self._vectors.compacted(kept)
