"""What the real copy promises beyond its port: exact neighbours, scores that add up, threads."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from memory_fabric.adapters.search import MemorySearchCopy
from tests.fakes.search import label, row, scope, unit


def test_the_code_scan_finds_the_true_neighbours():
    dim, count = 128, 5_000
    rng = np.random.default_rng(3)
    centres = rng.standard_normal((50, dim))
    numbers = centres[rng.integers(0, 50, count)] + rng.standard_normal((count, dim))
    numbers /= np.linalg.norm(numbers, axis=1, keepdims=True)
    rows = [row(vector=one.astype("<f4").tobytes()) for one in numbers]
    copy = MemorySearchCopy(dim)
    copy.add(rows)
    found = expected = 0
    for query in numbers[:50] + 0.02 * rng.standard_normal((50, dim)):
        query /= np.linalg.norm(query)
        nearest = {rows[at].rid for at in np.argsort(-(numbers @ query))[:10]}
        hits = copy.search(None, query.astype("<f4").tobytes(), scope(), 10)
        found += len(nearest & {hit.rid for hit in hits})
        expected += 10
    assert found / expected >= 0.99


def test_equal_vectors_have_equal_scores_and_come_in_the_order_of_writing():
    rng = np.random.default_rng(5)
    numbers = rng.standard_normal(384)
    query = unit(*(numbers + rng.standard_normal(384)), dim=384)
    seen = set()
    for copies in (1, 2, 3, 5, 37, 601):
        copy = MemorySearchCopy(384)
        rows = [row(vector=unit(*numbers, dim=384)) for _ in range(copies)]
        copy.add(rows)
        hits = copy.search(None, query, scope(), copies)
        assert [hit.rid for hit in hits] == [one.rid for one in rows]
        seen |= {hit.score for hit in hits}
    assert len(seen) == 1


def test_rare_words_weigh_more_than_common_ones_within_the_scope():
    copy = MemorySearchCopy(16)
    rare, common = row("quince tart"), row("apple tart")
    copy.add([rare, common, *(row("apple pie") for _ in range(5))])
    hits = copy.search("quince apple", None, scope(), 3)
    assert hits[0].rid == rare.rid


def test_a_words_weight_is_that_of_the_scope_not_of_the_store():
    """``apple`` is common in the store and rare here: here it must weigh as rare."""
    copy = MemorySearchCopy(16)
    apple, pear = row("apple tart"), row("pear tart")
    copy.add([apple, pear, *(row("pear pie") for _ in range(5))])
    copy.add([row("apple pie", labelled=label(tenant="other")) for _ in range(50)])
    assert copy.search("apple pear", None, scope(), 1)[0].rid == apple.rid


def test_a_score_is_the_weighted_mean_of_its_parts():
    copy = MemorySearchCopy(16)
    copy.add([row("apple tart", unit(3, 4)), row("pear pie", unit(0, 1))])
    by = {
        mode: copy.search(text, vector, scope(), 1)[0].score
        for mode, text, vector in (
            ("text", "apple", None), ("vector", None, unit(1)), ("both", "apple", unit(1)),
        )
    }  # fmt: skip
    assert by["vector"] == pytest.approx(0.6)
    assert by["both"] == pytest.approx(0.25 * by["vector"] + 0.75 * by["text"])


def test_a_word_that_nobody_wrote_lowers_the_score():
    copy = MemorySearchCopy(16)
    copy.add([row("apple tart"), row("pear pie")])
    known = copy.search("apple", None, scope(), 1)[0].score
    assert copy.search("apple zeppelin", None, scope(), 1)[0].score < known


def test_most_rows_removed_leaves_the_rest_searchable():
    copy = MemorySearchCopy(16)
    rows = [row(f"fruit number{n}", unit(1, n)) for n in range(200)]
    copy.add(rows)
    for one in rows[:190]:
        copy.remove([one.rid])
    assert len(copy) == 10
    for one in rows[190:]:
        assert copy.search(one.text.split()[1], one.vector, scope(), 1)[0].rid == one.rid
    copy.add([row("late fruit")])
    assert copy.search("late", None, scope(), 5)


def test_searches_and_writes_side_by_side_see_whole_batches():
    copy = MemorySearchCopy(16)
    pairs = [[row(f"twin t{n}", unit(1, n)), row(f"twin t{n}", unit(1, n))] for n in range(60)]
    failures: list[str] = []
    done = threading.Event()

    def reader() -> None:
        while not done.is_set():
            if len(copy.search("twin", unit(1), scope(), 500)) % 2:
                failures.append("half a batch was visible")

    threads = [threading.Thread(target=reader) for _ in range(3)]
    for thread in threads:
        thread.start()
    for pair in pairs:
        copy.add(pair)
    for pair in pairs[:40]:
        copy.remove([one.rid for one in pair])
    done.set()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(copy) == 40
