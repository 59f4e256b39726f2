"""Nearest vectors within a scope: sign bits find them, float32 ranks them.

Where few rows are in scope all are compared exactly. Where many are, faiss counts in how many
signs each row in scope differs from the query (the Hamming distance follows the angle: Charikar,
STOC 2002), first in 256 dimensions, then for the nearest of these in all; what is nearest then is
compared exactly. No graph is walked and no cluster chosen: a path through rows outside the scope,
or centres learnt from them, would make the answer depend on them. Each product is summed by
itself, and not by a matrix product, whose rounding depends on where a row lies among others:
equal vectors have equal scores, and a row's score does not change because its neighbours did.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from typing import Any

import numpy as np
import numpy.typing as npt

from memory_fabric.adapters.search.columns import Floats, Growing, Slots
from memory_fabric.adapters.search.scopes import Allowed, Gathered

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read when OpenMP starts, so before faiss

import faiss

_faiss: Any = faiss
"""Its type stubs leave out what is called here."""

EXACT = 1_024
"""Up to so many rows in scope are compared exactly."""
COARSE = 2_000
"""So many of the nearest by their first 256 signs, at most, are compared by all signs, and"""
RERANK = 600
"""so many of the nearest by all signs exactly: fewer where the scope has under 100,000 rows.
Measured in ``docs/adr/0019``."""
BLOCK = 65_536
"""Rows of one block of vectors: growing never moves a vector."""
_COARSE_BYTES = 32  # faiss has a fast loop for this width
_SPARSE = 8
_OFTEN = 8
_GATHERED = 4
"""Codes of so many scopes are kept by themselves."""

_local = threading.local()


class Vectors:
    """Vectors by slot."""

    def __init__(self, dim: int) -> None:
        self._dim = dim
        self._size = 0
        self._blocks: list[Floats] = []
        self._lately: deque[weakref.ref[Allowed]] = deque()
        width = -(-dim // 64) * 8
        self._fine_bytes = max(width - _COARSE_BYTES, 0)
        self._coarse_bytes = width - self._fine_bytes
        self._coarse = Growing(np.uint8, self._coarse_bytes)
        self._fine = Growing(np.uint64, self._fine_bytes // 8)

    def __len__(self) -> int:
        """Slots."""
        return self._size

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken by vectors; what a block has room for is not."""
        return 4 * self._dim * self._size

    @property
    def code_bytes(self) -> int:
        """Bytes of memory taken by sign bits."""
        scopes = [allowed for some in list(self._lately) if (allowed := some())]
        gathered = [allowed.gathered for allowed in scopes if allowed.gathered]
        lately = sum(some.codes.nbytes + some.slots.nbytes for some in gathered)
        return self._coarse.nbytes + self._fine.nbytes + lately

    def add(self, rows: Floats) -> None:
        """Append vectors, shape (n, dim), in the next slots."""
        self._encode(rows)
        done = 0
        while done < len(rows):
            at = self._size % BLOCK
            if at == 0:  # pages of it that nobody wrote to take no memory
                self._blocks.append(np.empty((BLOCK, self._dim), np.float32))
            count = min(BLOCK - at, len(rows) - done)
            self._blocks[-1][at : at + count] = rows[done : done + count]
            done, self._size = done + count, self._size + count

    def adopt(self, rows: Floats) -> None:
        """Append vectors, and where they are a whole block keep their memory without a copy."""
        if len(rows) == BLOCK and self._size % BLOCK == 0 and rows.flags.writeable:
            self._encode(rows)
            self._blocks.append(rows)
            self._size += BLOCK
        else:
            self.add(rows)

    def blocks(self) -> list[Floats]:
        """The vectors there are now, by blocks of ``BLOCK`` slots, the last one shorter."""
        return [block[: self._size - number * BLOCK] for number, block in enumerate(self._blocks)]

    def erase(self, slots: Slots) -> None:
        """Overwrite vectors of rows that are gone."""
        for slot in slots.tolist():
            self._blocks[slot // BLOCK][slot % BLOCK] = 0

    def nearest(self, query: Floats, allowed: Allowed, count: int) -> tuple[Slots, Floats]:
        """The slots with the highest cosine, at most ``count``, best first; and their cosines."""
        slots = self._near(query, allowed, count) if allowed.count > EXACT else allowed.slots
        return best(slots, self.cosines(query, slots), count)

    def cosines(self, query: Floats, slots: Slots) -> Floats:
        """The product of each slot's vector with the query: their cosine, being of unit length.

        Args:
            slots: ascending.
        """
        one_thread()
        products = np.empty(len(slots), np.float32)
        ends = np.searchsorted(slots, np.arange(1, len(self._blocks) + 1) * BLOCK).tolist()
        start = 0
        for number, (block, end) in enumerate(zip(self._blocks, ends, strict=True)):
            if start < end:
                places = slots[start:end] - number * BLOCK
                _faiss.fvec_inner_products_by_idx(
                    faiss.swig_ptr(products[start:end]), faiss.swig_ptr(query),
                    faiss.swig_ptr(block), faiss.swig_ptr(places), self._dim, 1, end - start,
                )  # fmt: skip
            start = end
        return products

    def _near(self, query: Floats, allowed: Allowed, count: int) -> Slots:
        """The slots whose signs are most like the query's, ascending.

        Among equally near ones the earlier are taken, by each of the ways alike: so which way is
        quicker may depend on rows outside the scope.
        """
        one_thread()
        code = self._codes(query[None])
        coarse, fine = code[:, : self._coarse_bytes], code[0, self._coarse_bytes :]
        final = max(min(RERANK, 250 + allowed.count // 300), 2 * count)
        wanted = max(min(COARSE, 800 + allowed.count // 100), 2 * final)
        if not len(fine):
            wanted = final = wanted // 2
        wanted = min(wanted, allowed.count)
        coarse = np.ascontiguousarray(coarse)
        slots, distances = self._scan(coarse, allowed, wanted)
        if len(fine) and len(slots) > final:
            distances = distances + _differing(self._fine.view[slots], fine.view(np.uint64)[None])
            slots = slots[_least(distances, final)]
        return slots

    def _scan(
        self, code: npt.NDArray[np.uint8], allowed: Allowed, count: int
    ) -> tuple[Slots, npt.NDArray[np.int32]]:
        """The slots with the nearest coarse codes, ascending, and how far they are."""
        codes, bits = self._coarse.view, None
        gathered = None if allowed.everything else self._gathered(allowed)
        if gathered is not None:
            codes = gathered.codes
        elif not allowed.everything:
            bits = allowed.bits
        distances, slots = np.empty(count, np.int32), np.empty(count, np.int64)
        _faiss.hammings_knn_mc(  # counts by distance, so it takes the earlier among equals
            faiss.swig_ptr(code), faiss.swig_ptr(codes), 1, len(codes), count,
            self._coarse_bytes, faiss.swig_ptr(distances), faiss.swig_ptr(slots),
            None if bits is None else faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits)),
        )  # fmt: skip
        order = np.argsort(slots)
        slots, distances = slots[order], distances[order]
        return (slots if gathered is None else gathered.slots[slots].astype(np.int64)), distances

    def _gathered(self, allowed: Allowed) -> Gathered | None:
        """The codes in scope by themselves, where these are few or often asked for: a scan that
        tests each row's bit takes several times as long.
        """
        gathered = allowed.gathered
        if gathered is None:
            allowed.scans += 1
            few = _SPARSE * allowed.count < self._size
            if not few and (allowed.scans < _OFTEN or 10 * allowed.count > 9 * self._size):
                return None
            slots = allowed.slots.astype(np.int32)
            gathered = allowed.gathered = Gathered(slots, self._coarse.view[slots])
            self._lately.append(weakref.ref(allowed))
            if len(self._lately) > _GATHERED:
                first = self._lately.popleft()()
                if first is not None:
                    first.gathered = None
        return gathered

    def _encode(self, rows: Floats) -> None:
        codes = self._codes(rows)
        self._coarse.extend(codes[:, : self._coarse_bytes])
        if self._fine_bytes:
            fine = np.ascontiguousarray(codes[:, self._coarse_bytes :])
            self._fine.extend(fine.view(np.uint64))

    def _codes(self, rows: Floats) -> npt.NDArray[np.uint8]:
        """One bit a dimension, filled up to whole words."""
        codes = np.packbits(rows > 0, axis=1)
        missing = self._coarse_bytes + self._fine_bytes - codes.shape[1]
        return np.pad(codes, ((0, 0), (0, missing))) if missing else codes


def best(
    slots: Slots, scores: npt.NDArray[np.floating], count: int
) -> tuple[Slots, npt.NDArray[Any]]:
    """The ``count`` slots with the highest scores, the lower slot first among equals."""
    if len(slots) > 4 * count:
        cut = np.partition(scores, len(scores) - count)[len(scores) - count]
        held = scores >= cut
        slots, scores = slots[held], scores[held]
    order = np.lexsort((slots, -scores))[:count]
    return slots[order], scores[order]


def one_thread() -> None:
    """Let searches run side by side instead of each on all cores. OpenMP keeps it by thread."""
    if not getattr(_local, "set", False):
        faiss.omp_set_num_threads(1)
        _local.set = True


def _differing(
    codes: npt.NDArray[np.uint64], code: npt.NDArray[np.uint64]
) -> npt.NDArray[np.int32]:
    """In how many bits each row differs."""
    differing = np.bitwise_count(codes ^ code)
    counts: npt.NDArray[np.int32] = differing[:, 0].astype(np.int32)
    for word in range(1, differing.shape[1]):  # a sum along so short an axis takes far longer
        counts += differing[:, word]
    return counts


def _least(distances: npt.NDArray[np.int32], count: int) -> Slots:
    """Where the least distances stand, ascending; the earlier among equals."""
    if len(distances) <= count:
        return np.arange(len(distances))
    cut = np.partition(distances, count - 1)[count - 1]
    chosen = distances < cut
    equal = np.flatnonzero(distances == cut)
    chosen[equal[: count - int(np.count_nonzero(chosen))]] = True
    return np.flatnonzero(chosen)
