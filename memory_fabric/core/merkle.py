"""The Merkle tree of RFC 6962 over byte strings: roots, inclusion and consistency proofs.

Pure functions on leaf hashes (32 bytes each), as in RFC 9162 section 2.1. The tree is the log's
own: append-only, with a root that commits to every leaf and to their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

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
        twin = Frontier()
        twin.size, twin._peaks = self.size, list(self._peaks)
        return twin

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
    return Frontier(leaves).root


def _split(size: int) -> int:
    """The largest power of two smaller than ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """The audit path of the leaf at ``index``, nearest sibling first (RFC 9162, 2.1.3.1)."""
    if not 0 <= index < len(leaves):
        raise IndexError(index)
    if len(leaves) == 1:
        return []
    middle = _split(len(leaves))
    if index < middle:
        return [*inclusion_proof(leaves[:middle], index), root_of(leaves[middle:])]
    return [*inclusion_proof(leaves[middle:], index - middle), root_of(leaves[:middle])]


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
