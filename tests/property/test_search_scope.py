"""What is outside the scope changes neither ids, nor order, nor scores: not by one bit."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_fabric.adapters.search import MemorySearchCopy
from memory_fabric.core.memory import MemoryType
from tests.fakes.search import DIM, NOON, label, row, scope, unit

WORDS = ["apple", "apples", "pear", "plum", "the", "Müller", "我喜欢猫", "x"]
texts = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)
vectors = st.lists(st.sampled_from([-1.0, -0.3, 0.0, 0.2, 1.0]), min_size=3, max_size=3).map(
    lambda numbers: unit(*numbers) if any(numbers) else unit(1)
)
SEEN = label("ada")
HIDDEN = [
    label("ada", tenant="other"),
    label("ada", purpose="billing"),
    label("bob"),
    label("ada", expires_at=NOON),
]
visible = st.builds(row, texts, vectors, st.just(SEEN))
late = st.just(NOON + timedelta(days=1))
working = st.just(MemoryType.WORKING)
hidden = st.one_of(
    st.builds(row, texts, vectors, st.sampled_from(HIDDEN)),
    st.builds(row, texts, vectors, st.just(SEEN), created_at=late),
    st.builds(row, texts, vectors, st.just(SEEN), memory_type=working),
)
WHERE = replace(
    scope(SEEN, subject="ada"),
    created_before=NOON + timedelta(days=1),
    memory_types=frozenset({MemoryType.EPISODIC}),
)
queries = st.tuples(texts | st.none(), vectors | st.none()).filter(
    lambda query: query != (None, None)
)


@settings(max_examples=150)
@given(st.lists(visible, max_size=12), st.lists(hidden, max_size=12), queries, st.data())
def test_hidden_rows_change_nothing(seen, unseen, query, data):
    alone = MemorySearchCopy(DIM)
    for one in seen:
        alone.add([one])
    mixed = MemorySearchCopy(DIM)
    left = list(seen)
    for one in data.draw(st.permutations([*(None for _ in seen), *unseen])):
        mixed.add([left.pop(0) if one is None else one])
    mixed.remove([one.rid for one in unseen if data.draw(st.booleans())])
    limit = data.draw(st.integers(1, 15))
    assert mixed.search(*query, WHERE, limit) == alone.search(*query, WHERE, limit)
    assert mixed.page(WHERE, None, 50) == alone.page(WHERE, None, 50)


def test_hidden_rows_change_nothing_where_codes_are_scanned():
    rng = np.random.default_rng(7)
    words = [f"w{number}" for number in range(300)]

    def made(labelled, count):
        numbers = rng.standard_normal((count, DIM)).round(1)  # round: many ties
        return [row(" ".join(rng.choice(words, 5)), unit(*one), labelled) for one in numbers]

    seen, unseen = made(SEEN, 3_000), made(HIDDEN[1], 3_000)
    alone, mixed = MemorySearchCopy(DIM), MemorySearchCopy(DIM)
    alone.add(seen)
    for start in range(0, 3_000, 500):
        mixed.add(unseen[start : start + 500])
        mixed.add(seen[start : start + 500])
    mixed.remove([one.rid for one in unseen[:2_500]])
    for one in made(SEEN, 20):
        for text, vector in ((one.text, one.vector), (None, one.vector), (one.text, None)):
            asked = (text, vector, scope(SEEN, subject="ada"), 25)
            assert mixed.search(*asked) == alone.search(*asked)
