"""Memory: what it is said to be, its ceiling, and gaps that are closed up."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from memory_fabric import operations
from memory_fabric.adapters.search import Ceiling, MemorySearchCopy
from memory_fabric.core.errors import HomeError, Unavailable
from memory_fabric.wiring import create_home, open_home
from tests.fakes.search import DIM, label, row, scope, unit

ASKER = {"os_user": "ada", "tenant": "acme"}


def test_memory_is_reported_by_part_and_grows_with_the_rows():
    copy = MemorySearchCopy(DIM)
    copy.add([row(f"fruit number{n}", unit(1, n)) for n in range(2_000)])
    copy.search("fruit", None, scope(), 1)
    parts = copy.memory()
    assert parts["vectors"] == 2_000 * DIM * 4
    assert parts["codes"] >= 2_000 * DIM // 8
    assert 2_000 * 100 < parts["rows"] < 2_000 * 400
    assert 2_000 * 10 < parts["text"] < 2_000 * 400


def test_copies_with_one_ceiling_share_it():
    ceiling = Ceiling(1)
    one, other = MemorySearchCopy(DIM, ceiling), MemorySearchCopy(DIM, ceiling)
    other.reserve(1_500, 20_000)
    one.add([row(f"fruit number{n}", unit(1, n)) for n in range(1_500)])
    with pytest.raises(Unavailable) as raised:
        other.reserve(2_500, 20_000)
    assert raised.value.code == "search-memory-full"


def test_what_a_ceiling_does_not_let_thaw_leaves_the_copy_empty():
    copy = MemorySearchCopy(DIM)
    copy.add([row(f"fruit number{n}", unit(1, n)) for n in range(4_000)])
    parts = [(name, bytes(part)) for name, part in copy.freeze()]
    low = MemorySearchCopy(DIM, Ceiling(1))
    with pytest.raises(Unavailable) as raised:
        low.thaw(parts)
    assert raised.value.code == "search-memory-full"
    assert len(low) == 0


def test_gaps_are_closed_up_while_rows_come_and_go():
    copy = MemorySearchCopy(DIM)
    rows = [row(f"fruit number{n}", unit(1, n / 9), label(f"p{n % 7}")) for n in range(4_000)]
    copy.add(rows)
    left = list(rows)
    for start in range(0, 2_400, 100):
        copy.remove([one.rid for one in rows[start : start + 100]])
        late = row(f"late number{start}", unit(1, -start - 1), label("late"))
        copy.add([late, replace(rows[3_000 + start // 10], text=f"changed number{start}")])
        left.append(late)
        assert copy.search(f"late number{start}", None, scope(), 1)[0].rid == late.rid
    left = left[2_400:]
    deadline = time.monotonic() + 20
    while copy.memory()["vectors"] > 2_700 * DIM * 4 and time.monotonic() < deadline:
        time.sleep(0.02)
    assert copy.memory()["vectors"] <= 2_700 * DIM * 4
    assert len(copy) == len(left)
    assert copy.page(scope(), None, 9_000) == [one.rid for one in left]
    assert len(copy.of_subject("acme", "late")) == 24
    assert copy.find("acme", rows[0].memory_id) is None
    found = copy.search("changed", None, scope(), 100)
    assert {hit.rid for hit in found} == {rows[3_000 + at // 10].rid for at in range(0, 2_400, 100)}
    fresh = MemorySearchCopy(DIM)
    fresh.thaw((name, bytes(part)) for name, part in copy.freeze())
    asked = ("fruit number2500 late", unit(1, 30), scope(), 50)
    assert fresh.search(*asked) == copy.search(*asked)


def test_more_rows_than_a_block_of_vectors_holds_are_frozen_with_gaps_and_without():
    rng = np.random.default_rng(3)
    vectors = rng.standard_normal((70_000, DIM)).astype("<f4")
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    known = label("ada")
    rows = [row("fruit", one.tobytes(), known) for one in vectors]
    copy = MemorySearchCopy(DIM)
    copy.add(rows[:66_000])
    copy.add(rows[66_000:])
    for gone in ([], rows[5:800:7], rows[65_500:65_600]):
        copy.remove([one.rid for one in gone])
        again = MemorySearchCopy(DIM)
        again.thaw((name, bytearray(part)) for name, part in copy.freeze())
        for one in (rows[0], rows[65_499], rows[65_535], rows[65_536], rows[69_999]):
            hits = copy.search(None, one.vector, scope(known), 5)
            assert again.search(None, one.vector, scope(known), 5) == hits
            assert (hits[0].rid == one.rid) != (one in gone)
        again.remove([rows[1].rid])
        again.add([row("late", unit(1), known)])
        assert len(again) == len(copy)


@pytest.fixture
def small_home(tmp_path):
    path = tmp_path / "fra"
    create_home(path, site_id="fra-1", region="DE", tenants=["acme"])
    with (path / "site.toml").open("a") as file:
        file.write("\n[search]\nmemory_limit_mb = 2\n")
    return path


def drafts(count: int) -> list[dict[str, object]]:
    rng = np.random.default_rng(1)
    return [
        {"memory": f"note {number} {rng.integers(10**9)}", "subjects": ["ada"]}
        for number in range(count)
    ]


def test_what_does_not_fit_is_refused_before_it_is_stored(small_home):
    with open_home(small_home) as home:
        operations.run(home, "add", ASKER, {"memories": drafts(1_000)})
        with pytest.raises(Unavailable) as raised:
            operations.run(home, "add", ASKER, {"memories": drafts(3_000)})
        assert raised.value.code == "search-memory-full"
        status = operations.run(home, "status", ASKER, {})
        assert status["memories"] == 1_000
        assert sum(status["search"]["memory"].values()) < status["search"]["limit"] == 2 * 2**20
        changed = operations.run(
            home, "label_set", ASKER, {"subject": "ada", "change": {"legal_hold": True}}
        )
        assert changed["changed"] == 1_000
    with open_home(small_home) as home:
        assert len(home.node.copy) == 1_000
    settings = (small_home / "site.toml").read_text()
    (small_home / "site.toml").write_text(settings.replace("_mb = 2", "_mb = 1"))
    with pytest.raises(Unavailable) as raised, open_home(small_home):
        pass
    assert raised.value.code == "search-memory-full"


@pytest.mark.parametrize("wrong", ["-1", '"4096"', "1.5", "true"])
def test_a_limit_that_is_no_number_is_an_error(small_home, wrong):
    settings = (small_home / "site.toml").read_text()
    (small_home / "site.toml").write_text(settings.replace("_mb = 2", f"_mb = {wrong}"))
    with pytest.raises(HomeError) as raised:
        open_home(small_home)
    assert raised.value.code == "settings-invalid"
