"""Full text: skipping what cannot be among the best changes no score and no rank."""

from __future__ import annotations

from collections import Counter
from math import log1p

import numpy as np
import pytest

from memory_fabric.adapters.search import MemorySearchCopy
from memory_fabric.adapters.search.fulltext import K1, B
from memory_fabric.adapters.search.words import words
from tests.fakes.search import label, row, scope


def plainly(texts: list[list[str]], query: list[str]) -> list[float]:
    """BM25 of each text, as a share of what none can reach."""
    average = sum(map(len, texts)) / len(texts)
    holding = Counter(word for text in texts for word in set(text))
    weights = {
        word: log1p((len(texts) - holding[word] + 0.5) / (holding[word] + 0.5)) for word in query
    }
    bound = sum(weights.values())
    scores = []
    for text in texts:
        damped = K1 * (1 - B + B * len(text) / average)
        counts = Counter(text)
        found = (weights[word] * counts[word] / (counts[word] + damped) for word in query)
        scores.append(sum(found) / bound)
    return scores


@pytest.fixture(scope="module")
def corpus():
    """Rows whose words follow Zipf's law, so that some are in most texts, half of them hidden."""
    rng = np.random.default_rng(11)
    known = [f"w{number}x" for number in range(800)]
    weights = 1 / np.arange(1, len(known) + 1)
    weights /= weights.sum()
    shown, other = label("ada"), label("ada", purpose="billing")
    rows = [
        row(" ".join(rng.choice(known, rng.integers(3, 30), p=weights)), labelled=one)
        for _ in range(2_500)
        for one in (shown, other)
    ]
    copy = MemorySearchCopy(16)
    for start in range(0, len(rows), 400):  # several sets of lists
        copy.add(rows[start : start + 400])
        copy.search("w1x", None, scope(shown), 1)
    queries = [" ".join(rng.choice(known, 4, p=weights)) for _ in range(12)]
    return copy, rows, [*queries, "w0x w1x", "w0x w799x", "w0x", "w700x w701x w0x unknown"]


@pytest.mark.parametrize("limit", [1, 10, 300])
def test_the_best_are_those_of_a_plain_computation(corpus, limit):
    copy, rows, queries = corpus
    for labelled in (rows[0].label, rows[1].label):
        seen = [one for one in rows if one.label == labelled]
        texts = [words(one.text) for one in seen]
        for query in queries:
            scores = np.array(plainly(texts, list(dict.fromkeys(words(query)))))
            best = np.lexsort((np.arange(len(scores)), -scores.round(12)))
            best = [at for at in best[:limit] if scores[at] > 0]
            hits = copy.search(query, None, scope(labelled), limit)
            assert [hit.score for hit in hits] == pytest.approx(scores[best], abs=1e-12)
            assert {hit.rid for hit in hits[: limit // 2]} <= {
                seen[at].rid for at in np.flatnonzero(scores >= scores[best].min() - 1e-12)
            }


def test_a_text_scores_the_same_whatever_else_is_asked_for(corpus):
    """Few asked for and many: other ways through the lists, the same scores to the bit."""
    copy, rows, queries = corpus
    for query in queries:
        few = copy.search(query, None, scope(rows[0].label), 5)
        many = copy.search(query, None, scope(rows[0].label), 2_500)
        assert few == many[: len(few)]
