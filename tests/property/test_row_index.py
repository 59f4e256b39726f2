"""The index of the stack's rows answers as a dictionary would, whatever came before."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from memory_fabric.adapters.lance_rows import NOWHERE, RowIndex, Rows, as_rids

# Few ids, so that they meet again; some end in zeros, which NumPy's strings do not keep by nature.
RIDS = [bytes([number]) + bytes(15) for number in range(12)] + [
    bytes(15) + bytes([number]) for number in range(1, 13)
]
CHANGES = st.lists(st.tuples(st.booleans(), st.sets(st.sampled_from(RIDS))), max_size=30)


def rows(rids: list[bytes], first: int) -> Rows:
    numbers = np.arange(first, first + len(rids))
    return Rows(as_rids(b"".join(rids)), numbers.astype(np.uint64), numbers + 1, numbers + 2)


@given(CHANGES)
def test_finds_what_was_put_last_and_not_what_was_removed(
    changes: list[tuple[bool, set[bytes]]],
) -> None:
    index = RowIndex()
    expected: dict[bytes, int] = {}
    for step, (adds, chosen) in enumerate(changes):
        rids = list(chosen)
        if adds:
            index.put(rows(rids, 100 * step))
            expected |= {rid: 100 * step + at for at, rid in enumerate(rids)}
        else:
            index.remove(rids)
            expected = {rid: at for rid, at in expected.items() if rid not in chosen}
        assert len(index) == len(expected)
        found = index.find(RIDS)
        assert found.address.tolist() == [expected.get(rid, NOWHERE) for rid in RIDS]
        there = [at for at, rid in enumerate(RIDS) if rid in expected]
        assert found.version[there].tolist() == [expected[RIDS[at]] + 1 for at in there]
        assert found.epoch[there].tolist() == [expected[RIDS[at]] + 2 for at in there]
        every = index.all()
        ids = [rid.ljust(16, b"\0") for rid in every.rid.tolist()]
        assert dict(zip(ids, every.address.tolist(), strict=True)) == expected
        assert ids == sorted(expected)
