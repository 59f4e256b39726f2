"""What every embedder does: runs on the static one, on MiniLM where it was exported, on the fake.

``MEMORY_FABRIC_MINILM`` names the folder of an export; without it MiniLM's cases are skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from memory_fabric.adapters.embedders import MiniLmEmbedder, StaticEmbedder
from memory_fabric.core.model_ports import Embedder
from tests.fakes.embedder import HashEmbedder

TEXTS = [
    "The cat sat on the mat.",
    "",
    "   ",
    "a",
    "naïve café 我喜欢猫 🎉 \u0000",
    "word " * 6_000,
]


def minilm() -> MiniLmEmbedder:
    folder = os.environ.get("MEMORY_FABRIC_MINILM")
    if not folder:
        pytest.skip("MEMORY_FABRIC_MINILM names no export of MiniLM")
    return MiniLmEmbedder(Path(folder))


@pytest.fixture(scope="module", params=[StaticEmbedder, minilm, HashEmbedder])
def embedder(request: pytest.FixtureRequest) -> Embedder:
    made: Embedder = request.param()
    return made


def test_every_text_gets_a_unit_vector_of_the_stated_length(embedder):
    vectors = embedder.embed(TEXTS)
    assert len(vectors) == len(TEXTS)
    for vector in vectors:
        numbers = np.frombuffer(vector, "<f4")
        assert numbers.shape == (embedder.dim,)
        assert np.linalg.norm(numbers) == pytest.approx(1, abs=1e-5)


def test_no_texts_give_no_vectors(embedder):
    assert embedder.embed([]) == []


def test_a_text_has_the_same_vector_alone_and_among_others(embedder):
    together = np.stack([np.frombuffer(vector, "<f4") for vector in embedder.embed(TEXTS)])
    alone = np.stack([np.frombuffer(embedder.embed([text])[0], "<f4") for text in TEXTS])
    assert np.abs(together - alone).max() < 1e-5


def test_the_id_is_a_steady_hash(embedder):
    assert len(embedder.id) == 64
    int(embedder.id, 16)
    assert type(embedder) is not StaticEmbedder or StaticEmbedder().id == embedder.id


def test_texts_about_the_same_are_closer(embedder):
    if isinstance(embedder, HashEmbedder):
        pytest.skip("the fake knows words, not meanings")
    one, same, other = (
        np.frombuffer(vector, "<f4")
        for vector in embedder.embed(
            ["My knee hurts when I run.", "Running gives me knee pain.", "Invoices are due in May."]
        )
    )
    assert one @ same > one @ other + 0.2


def test_the_end_of_a_long_text_counts(embedder):
    start = "The weather is fine. " * 200
    plain, ending = (
        np.frombuffer(vector, "<f4")
        for vector in embedder.embed([start, start + "Quantum chromodynamics. " * 100])
    )
    assert plain @ ending < 0.99
