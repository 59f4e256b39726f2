"""Comparing a million records as columns says what comparing them one by one would."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from memory_fabric.flows.inventory import Inventory

rids = st.sampled_from([bytes(16), b"\xff" * 16, *(bytes([n]) + bytes(15) for n in range(1, 9))])
versions = st.dictionaries(rids, st.integers(1, 3))


def columns(of: dict[bytes, int]) -> tuple[bytes, bytes]:
    return b"".join(of), b"".join(version.to_bytes(8, "little") for version in of.values())


@given(versions, versions)
def test_two_inventories_are_told_apart(here: dict[bytes, int], there: dict[bytes, int]) -> None:
    one, two = Inventory.of_columns(*columns(here)), Inventory.of_columns(*columns(there))
    assert one.lacks(two) == sorted(there.keys() - here.keys())
    assert one.differing(two) == [
        (rid, here[rid], there[rid])
        for rid in sorted(here.keys() & there.keys())
        if here[rid] != there[rid]
    ]


@given(st.lists(rids), versions)
def test_what_was_never_changed_has_its_first_version(
    held: list[bytes], changed: dict[bytes, int]
) -> None:
    one = Inventory.of_changed(b"".join(held), changed)
    two = Inventory.of_columns(*columns({rid: changed.get(rid, 1) for rid in held}))
    assert (one.rids.tolist(), one.versions.tolist()) == (two.rids.tolist(), two.versions.tolist())


@given(versions, rids, st.integers(1, 3))
def test_an_id_that_stands_twice_hides_neither(
    here: dict[bytes, int], rid: bytes, version: int
) -> None:
    ids, numbers = columns(here)
    twice = Inventory.of_columns(ids + 2 * rid, numbers + 2 * version.to_bytes(8, "little"))
    one = Inventory.of_columns(ids, numbers)
    if rid not in here:
        assert one.lacks(twice) == [rid, rid]
    elif here[rid] != version:
        assert one.differing(twice) == 2 * [(rid, here[rid], version)]
