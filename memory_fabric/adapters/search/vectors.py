"""Nearest vectors within a scope: one sign bit a dimension to find them, float32 to rank them.

Where few rows are in scope all are compared exactly. Where many are, faiss scans the sign codes
of the rows in scope (Hamming distance follows the angle: Charikar, STOC 2002) and the best
1,536 are compared exactly. No graph is walked: a path through rows outside the scope would
make the answer depend on them. Each product is summed by itself, and not by a matrix product,
whose rounding depends on where a row lies among others: equal vectors have equal scores, and a
row's score does not change because its neighbours did.
"""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from memory_fabric.adapters.search.fulltext import best
from memory_fabric.adapters.search.growing import Floats, Growing, Slots

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when OpenMP starts, so before faiss

import faiss

EXACT = 2_048
"""Up to so many rows in scope are compared exactly."""
RERANK = 1_536
"""So many of the nearest codes are compared exactly: at 768, recall@10 of real texts was .98."""


class Vectors:
    """Vectors by slot."""

    def __init__(self, dim: int) -> None:
        self._rows = Growing(np.float32, dim)
        self._dim = dim
        self._codes = faiss.IndexBinaryFlat(-(-dim // 8) * 8)

    def add(self, rows: Floats) -> None:
        """Append vectors, shape (n, dim), in the next slots."""
        self._rows.extend(rows)
        self._codes.add(np.packbits(rows > 0, axis=1))

    def compacted(self, kept: Slots) -> Vectors:
        """Only these slots, numbered anew in the same order."""
        fresh = Vectors(self._dim)
        fresh.add(self._rows.view[kept])
        return fresh

    def taken(self, slots: Slots) -> Floats:
        """A copy of these rows."""
        rows: Floats = self._rows.view[slots]
        return rows

    def erase(self, slots: Slots) -> None:
        """Overwrite rows that are gone; their codes stay until ``compacted``."""
        self._rows.view[slots] = 0

    def nearest(
        self, query: Floats, slots: Slots,
        inside: npt.NDArray[np.bool_], count: int,
    ) -> Slots:  # fmt: skip
        """The slots with the highest cosine, at most ``count``, best first."""
        if len(slots) > max(EXACT, count):
            code = np.packbits(query > 0)[None]
            bits = np.packbits(inside, bitorder="little")
            chosen = faiss.SearchParameters()
            chosen.sel = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
            _, found = self._codes.search(code, max(RERANK, 2 * count), params=chosen)
            slots = found[0][found[0] >= 0]
        return best(slots, self.cosines(query, slots), count)

    def cosines(self, query: Floats, slots: Slots) -> Floats:
        """The product of each slot's vector with the query: their cosine, being of unit length."""
        products: Floats = np.einsum("ij,j->i", self._rows.view[slots], query)
        return products

    def closeness(self, query: Floats, slots: Slots) -> npt.NDArray[np.float64]:
        """The cosine as a score in [0, 1]; what points away from the query has 0."""
        return np.clip(self.cosines(query, slots).astype(np.float64), 0, 1)
