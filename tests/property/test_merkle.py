"""The tree against RFC 6962's own recursive definition."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_fabric.core.merkle import (
    Frontier,
    Tree,
    inclusion_proof,
    is_consistent,
    leaf_hash,
    root_from_inclusion,
    root_of,
)

leaf_lists = st.lists(st.binary(max_size=8).map(leaf_hash), max_size=70)
some_leaves = st.lists(st.binary(max_size=8).map(leaf_hash), min_size=1, max_size=70)


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word for word, over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def flip(value: bytes, bit: int) -> bytes:
    """The value with one bit changed."""
    changed = bytearray(value)
    changed[bit // 8 % len(value)] ^= 1 << bit % 8
    return bytes(changed)


@given(leaf_lists)
def test_roots_are_those_of_the_definition(leaves: list[bytes]) -> None:
    grown, frontier = Tree(), Frontier()
    for leaf in leaves:
        grown.append(leaf)
        frontier.append(leaf)
    built = Tree(leaves)
    for size in range(len(leaves) + 1):
        assert grown.root(size) == built.root(size) == naive_root(leaves[:size])
    assert frontier.root == root_of(leaves) == built.root()
    assert (frontier.size, grown.size) == (len(leaves), len(leaves))


@given(leaf_lists, some_leaves)
def test_a_tree_hands_out_its_edge_to_grow_apart(first: list[bytes], more: list[bytes]) -> None:
    tree = Tree(first)
    edge = tree.frontier()
    twin = edge.copy()
    for leaf in more:
        edge.append(leaf)
    assert edge.root == naive_root(first + more)
    assert tree.root() == twin.root == naive_root(first)


@given(some_leaves, st.data())
def test_inclusion_is_proved_and_nothing_else_is(leaves: list[bytes], data: st.DataObject) -> None:
    size = data.draw(st.integers(1, len(leaves)))
    index = data.draw(st.integers(0, size - 1))
    root = naive_root(leaves[:size])
    path = Tree(leaves).inclusion_proof(index, size)
    assert path == inclusion_proof(leaves[:size], index)
    assert root_from_inclusion(leaves[index], index, size, path) == root

    bit = data.draw(st.integers(0, 255))
    assert root_from_inclusion(flip(leaves[index], bit), index, size, path) != root
    for place in range(len(path)):
        forged = [*path[:place], flip(path[place], bit), *path[place + 1 :]]
        assert root_from_inclusion(leaves[index], index, size, forged) != root
    for wrong in (path[:-1] if path else [leaves[0]], [*path, leaves[0]]):
        with pytest.raises(ValueError, match="path too"):
            root_from_inclusion(leaves[index], index, size, wrong)


@given(some_leaves, st.data())
def test_consistency_is_proved_and_nothing_else_is(
    leaves: list[bytes], data: st.DataObject
) -> None:
    size = data.draw(st.integers(1, len(leaves)))
    old = data.draw(st.integers(1, size))
    old_root, root = naive_root(leaves[:old]), naive_root(leaves[:size])
    path = Tree(leaves).consistency_proof(old, size)
    assert is_consistent(old, old_root, size, root, path)

    bit = data.draw(st.integers(0, 255))
    assert not is_consistent(old, flip(old_root, bit), size, root, path)
    assert not is_consistent(old, old_root, size, flip(root, bit), path)
    assert not is_consistent(old, old_root, size, root, [*path, leaves[0]])
    for place in range(len(path)):
        forged = [*path[:place], flip(path[place], bit), *path[place + 1 :]]
        assert not is_consistent(old, old_root, size, root, forged)
        assert not is_consistent(old, old_root, size, root, path[:place])
