"""The Merkle tree of RFC 6962 over byte strings: roots, inclusion and consistency proofs.

Pure functions on leaf hashes (32 bytes each), as in RFC 9162 section 2.1. The tree is the log's
own: append-only, with a root that commits to every leaf and to their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

HASH_BYTES = 32
"""Length of every hash here."""
EMPTY_ROOT = hashlib.sha256(b"").digest()
"""Root of the tree with no leaves."""


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256 of the leaf, in the leaves' own domain."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256 of two children, in the nodes' own domain."""
    return hashlib.sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: appends a leaf and gives the root in O(log n).

    Args:
        leaves: leaf hashes already in the tree.
    """

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._peaks: list[tuple[int, bytes]] = []  # (height, root) of perfect subtrees, left first
        for leaf in leaves:
            self.append(leaf)

    @classmethod
    def of_peaks(cls, peaks: Iterable[tuple[int, bytes]]) -> Frontier:
        """The frontier over perfect subtrees given by (height, root), the tallest first."""
        frontier = cls()
        frontier._peaks = list(peaks)
        frontier.size = sum(1 << height for height, _ in frontier._peaks)
        return frontier

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        height, root = 0, leaf
        while self._peaks and self._peaks[-1][0] == height:
            root = node_hash(self._peaks.pop()[1], root)
            height += 1
        self._peaks.append((height, root))
        self.size += 1

    def copy(self) -> Frontier:
        """An independent frontier with the same leaves."""
        return Frontier.of_peaks(self._peaks)

    @property
    def root(self) -> bytes:
        """Root of all leaves appended so far."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1][1]
        for _, peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Root of the tree with these leaf hashes."""
    return Tree(leaves).root()


def _split(size: int) -> int:
    """The largest power of two smaller than ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


class Tree:
    """A whole growing tree: every root and proof of today and of before, in O(log n) hashes.

    Keeps the root of each perfect subtree, 64 bytes a leaf in all. Proofs are those of RFC 9162
    section 2.1, nearest sibling first.

    Args:
        leaves: leaf hashes already in the tree.
    """

    def __init__(self, leaves: Iterable[bytes] = ()) -> None:
        level = bytearray().join(leaves)
        self._levels = [level]  # by height; each its perfect subtrees' roots, end to end
        while len(level) >= 2 * HASH_BYTES:
            pairs = range(2 * HASH_BYTES, len(level) + 1, 2 * HASH_BYTES)
            sha256 = hashlib.sha256
            level = bytearray().join(
                [sha256(b"\x01" + level[end - 2 * HASH_BYTES : end]).digest() for end in pairs]
            )
            self._levels.append(level)

    @property
    def size(self) -> int:
        """Number of leaves."""
        return len(self._levels[0]) // HASH_BYTES

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash."""
        node = leaf
        for height in range(self.size.bit_length() + 1):
            if height == len(self._levels):
                self._levels.append(bytearray())
            level = self._levels[height]
            level += node
            if len(level) % (2 * HASH_BYTES):
                return
            node = hashlib.sha256(b"\x01" + level[-2 * HASH_BYTES :]).digest()

    def leaf(self, index: int) -> bytes:
        """The leaf hash at ``index``."""
        if not 0 <= index < self.size:
            raise IndexError(index)
        return self._root(index, index + 1)

    def root(self, size: int | None = None) -> bytes:
        """Root of the first ``size`` leaves; of all when left out."""
        size = self._checked(size)
        return self._root(0, size) if size else EMPTY_ROOT

    def frontier(self) -> Frontier:
        """The right edge, to try out appends that may not come to stay."""
        return Frontier.of_peaks(
            (height, bytes(level[-HASH_BYTES:]))
            for height, level in reversed(list(enumerate(self._levels)))
            if self.size >> height & 1
        )

    def inclusion_proof(self, index: int, size: int | None = None) -> list[bytes]:
        """The audit path of a leaf in the tree of the first ``size`` leaves (2.1.3.1)."""
        start, end = 0, self._checked(size)
        if not 0 <= index < end:
            raise IndexError(index)
        path: list[bytes] = []
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                path.append(self._root(middle, end))
                end = middle
            else:
                path.append(self._root(start, middle))
                start = middle
        return path[::-1]

    def consistency_proof(self, old: int, size: int | None = None) -> list[bytes]:
        """That the tree of ``old`` leaves is the beginning of that of ``size`` (2.1.4.1)."""
        start, end = 0, self._checked(size)
        if not 0 <= old <= end:
            raise IndexError(old)
        path: list[bytes] = []
        while 0 < old < end:
            middle = start + _split(end - start)
            if old <= middle:
                path.append(self._root(middle, end))
                end = middle
            else:
                path.append(self._root(start, middle))
                start = middle
        if start:
            path.append(self._root(start, end))
        return path[::-1]

    def _checked(self, size: int | None) -> int:
        if size is None:
            return self.size
        if not 0 <= size <= self.size:
            raise IndexError(size)
        return size

    def _root(self, start: int, end: int) -> bytes:
        """Root of a subtree as RFC 9162 splits them: ``start`` is a multiple of its width."""
        width = end - start
        if width & (width - 1) == 0:
            height = width.bit_length() - 1
            at = (start >> height) * HASH_BYTES
            return bytes(self._levels[height][at : at + HASH_BYTES])
        middle = start + _split(width)
        return node_hash(self._root(start, middle), self._root(middle, end))


def inclusion_proof(leaves: Iterable[bytes], index: int) -> list[bytes]:
    """The audit path of the leaf at ``index``, nearest sibling first (RFC 9162, 2.1.3.1)."""
    return Tree(leaves).inclusion_proof(index)


def root_from_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that an audit path leads to (RFC 9162, 2.1.3.2).

    Raises:
        ValueError: the path cannot belong to a leaf at this index in a tree of this size.
    """
    if not 0 <= index < size:
        raise ValueError("index outside the tree")
    position, last, root = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise ValueError("path too long")
        if position & 1 or position == last:
            root = node_hash(sibling, root)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        position, last = position >> 1, last >> 1
    if last != 0:
        raise ValueError("path too short")
    return root


def is_consistent(old: int, old_root: bytes, size: int, root: bytes, path: Sequence[bytes]) -> bool:
    """Whether a path shows that one tree is the beginning of another (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= size or (not path and old not in (0, size)):
        return False
    if old in (0, size):
        return not path and old_root == (root if old else EMPTY_ROOT)
    nodes = list(path) if old & (old - 1) else [old_root, *path]
    position, last = old - 1, size - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    before = after = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            before, after = node_hash(node, before), node_hash(node, after)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            after = node_hash(after, node)
        position, last = position >> 1, last >> 1
    return last == 0 and before == old_root and after == root
