"""Plaintext peer: qdrant-edge-py, in process."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

from corpus import CLASSES, TOP, Corpus
from qdrant_edge import (
    Distance,
    EdgeConfig,
    EdgeOptimizersConfig,
    EdgeShard,
    EdgeVectorParams,
    FieldCondition,
    Filter,
    HnswIndexConfig,
    MatchAny,
    PayloadSchemaType,
    Point,
    QuantizationSearchParams,
    Query,
    ScalarQuantizationConfig,
    ScalarType,
    SearchParams,
    SearchRequest,
    UpdateOperation,
)
from side import Side, seconds

BATCH = 5000
EVERYTHING = 100_000_000
"""Kilobytes: one segment, so that one graph is searched and not several."""


class Qdrant(Side):
    """One segment with a graph of 16 links and int8 codes beside the vectors."""

    def __init__(self, place: Path, corpus: Corpus) -> None:
        super().__init__(place, corpus)
        self._filters: dict[float, Any] = {
            share: Filter(must=[FieldCondition("class", match=MatchAny(classes))])
            for share in (0.5, 0.01)
            for classes in [list(range(0, CLASSES, round(1 / share)))]
        }
        place.mkdir(parents=True)
        vectors = EdgeVectorParams(corpus.dim, Distance.Dot)
        self._shard: Any = EdgeShard.create(
            str(place),
            EdgeConfig(
                vectors=vectors,
                hnsw_config=HnswIndexConfig(16, 100, 10_000),
                quantization_config=ScalarQuantizationConfig(ScalarType.Int8, always_ram=True),
                optimizers=EdgeOptimizersConfig(
                    default_segment_number=1, max_segment_size=EVERYTHING, indexing_threshold=1000
                ),
            ),
        )
        self._shard.update(UpdateOperation.create_field_index("class", PayloadSchemaType.Integer))

    def version(self) -> str:
        return f"qdrant-edge-py {version('qdrant-edge-py')}"

    def fill(self) -> float:
        """All rows and their graph; seconds."""
        corpus = self.corpus

        def run() -> None:
            for start in range(0, len(corpus), BATCH):
                rows = range(start, min(start + BATCH, len(corpus)))
                points = [
                    Point(row, corpus.vectors[row].tolist(), {"class": int(corpus.classes[row])})
                    for row in rows
                ]
                self._shard.update(UpdateOperation.upsert_points(points))
            self._shard.optimize()
            self._shard.flush()

        return seconds(run)

    def ladder(self, share: float) -> list[Any]:
        widths = (10, 16, 24, 48, 96, 192, 384)
        return [(width, codes) for codes in (False, True) for width in widths]

    def find(self, kind: str, number: int, share: float) -> list[Any]:
        width, codes = self.setting
        quantised = QuantizationSearchParams(ignore=not codes, rescore=True, oversampling=2.0)
        found = self._shard.search(
            SearchRequest(
                Query.Nearest(self.corpus.asked[number].tolist()),
                TOP,
                filter=self._filters.get(share),
                params=SearchParams(hnsw_ef=width, quantization=quantised),
            )
        )
        return [point.id for point in found]

    def close(self) -> None:
        self._shard.close()


def side(place: Path, corpus: Corpus) -> Qdrant:
    return Qdrant(place, corpus)
