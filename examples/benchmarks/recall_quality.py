"""How well recall finds what it should: text alone, vectors alone, and both, on real data.

    MEMORY_FABRIC_DATA=... python examples/benchmarks/recall_quality.py [--minilm DIR] [--lancedb]

Conversations (LoCoMo, evaluation only): which turns hold the evidence for a question. Medical
answers (MedQuAD): which answer belongs to a held-out question, among all of its source.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyarrow.parquet as pq
from rich.console import Console
from rich.table import Table

from memory_fabric.adapters.embedders import MiniLmEmbedder, StaticEmbedder
from memory_fabric.adapters.search import MemorySearchCopy
from memory_fabric.core.labels import ClassState, DataClass, Label
from memory_fabric.core.memory import MemoryType
from memory_fabric.core.model_ports import Embedder
from memory_fabric.core.places import Region
from memory_fabric.core.records import IndexRow, Scope

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LABEL = Label(Region("DE"), "bench", DataClass.PUBLIC, False, frozenset({"research"}))
SCOPE = Scope("bench", frozenset({ClassState(LABEL.label_class)}), None, NOW)
TOP = 10


@dataclass(frozen=True)
class Corpus:
    """Texts, and questions with the places of the texts that answer them."""

    name: str
    texts: Sequence[str]
    questions: Sequence[tuple[str, frozenset[int]]]


Ranking = Callable[[int], list[int]]
"""From a question's number to the places of the best texts."""


def corpora(data: Path) -> Iterator[Corpus]:
    turns = pq.read_table(data / "locomo-dev" / "turns.parquet").to_pylist()
    questions = pq.read_table(data / "locomo-dev" / "questions.parquet").to_pylist()
    for conversation in sorted({turn["conversation"] for turn in turns}):
        said = [turn for turn in turns if turn["conversation"] == conversation]
        places = {turn["dia_id"]: place for place, turn in enumerate(said)}
        yield Corpus(
            "LoCoMo",
            [f"{turn['speaker']}: {turn['text']}" for turn in said],
            [
                (asked["question"], frozenset(places[turn] for turn in asked["evidence"]))
                for asked in questions
                if asked["conversation"] == conversation and asked["evidence"]
            ],
        )
    for source in sorted((data / "medquad").glob("*.parquet")):
        pairs = pq.read_table(source).to_pylist()
        held = [(at, pair) for at, pair in enumerate(pairs) if pair["split"] == "heldout"]
        yield Corpus(
            "MedQuAD",
            [pair["answer"] for pair in pairs],
            [(pair["question"], frozenset({at})) for at, pair in held],
        )


def searchable(corpus: Corpus, embedder: Embedder) -> dict[str, Ranking]:
    """Three ways to rank with the product's own search copy."""
    copy = MemorySearchCopy(embedder.dim)
    vectors = embedder.embed(corpus.texts)
    copy.add(
        [
            IndexRow(place.to_bytes(16, "big"), str(place), text, vector, LABEL,
                     MemoryType.EPISODIC, NOW)
            for place, (text, vector) in enumerate(zip(corpus.texts, vectors, strict=True))
        ]
    )  # fmt: skip
    texts = [question for question, _ in corpus.questions]
    asked = embedder.embed(texts)

    def rank(by_text: bool, by_vector: bool) -> Ranking:
        return lambda number: [
            int.from_bytes(hit.rid, "big")
            for hit in copy.search(
                texts[number] if by_text else None,
                asked[number] if by_vector else None,
                SCOPE,
                TOP,
            )
        ]

    return {"text": rank(True, False), "vectors": rank(False, True), "both": rank(True, True)}


def by_lancedb(corpus: Corpus) -> Ranking:
    """LanceDB's full text at its defaults: the line to beat."""
    import lancedb
    from lancedb.index import FTS

    rows = [{"place": place, "text": text} for place, text in enumerate(corpus.texts)]
    table = lancedb.connect("memory://").create_table("texts", rows)
    table.create_index("text", config=FTS())

    def rank(number: int) -> list[int]:
        found = table.search(corpus.questions[number][0], query_type="fts")
        return [row["place"] for row in found.select(["place", "_score"]).limit(TOP).to_list()]

    return rank


def gains(found: list[int], evidence: frozenset[int]) -> tuple[float, float, float]:
    """Recall@5, recall@10 and nDCG@10 of one question."""
    at_5 = len(evidence & set(found[:5])) / len(evidence)
    at_10 = len(evidence & set(found)) / len(evidence)
    gained = sum(1 / math.log2(at + 2) for at, place in enumerate(found) if place in evidence)
    ideal = sum(1 / math.log2(at + 2) for at in range(min(TOP, len(evidence))))
    return at_5, at_10, gained / ideal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minilm", type=Path, help="folder of an exported MiniLM")
    parser.add_argument("--lancedb", action="store_true", help="measure LanceDB's full text too")
    chosen = parser.parse_args()
    embedders: dict[str, Embedder] = {"wordllama": StaticEmbedder()}
    if chosen.minilm:
        embedders["MiniLM"] = MiniLmEmbedder(chosen.minilm)

    results: dict[tuple[str, str], list[tuple[float, float, float]]] = defaultdict(list)
    seconds: dict[tuple[str, str], float] = defaultdict(float)
    for corpus in corpora(Path(os.environ["MEMORY_FABRIC_DATA"])):
        ways = {
            f"{name}: {way}": ranking
            for name, embedder in embedders.items()
            for way, ranking in searchable(corpus, embedder).items()
        }
        if chosen.lancedb:
            ways["LanceDB full text"] = by_lancedb(corpus)
        for way, ranking in ways.items():
            start = time.perf_counter()
            results[corpus.name, way] += [
                gains(ranking(number), evidence)
                for number, (_, evidence) in enumerate(corpus.questions)
            ]
            seconds[corpus.name, way] += time.perf_counter() - start

    table = Table("data", "ranked by", "recall@5", "recall@10", "nDCG@10", "ms a search")
    for (name, way), each in sorted(results.items()):
        means = [f"{sum(column) / len(each):.3f}" for column in zip(*each, strict=True)]
        table.add_row(name, way, *means, f"{1000 * seconds[name, way] / len(each):.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
