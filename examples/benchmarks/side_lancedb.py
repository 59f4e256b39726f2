"""Plaintext peer, and the line to compare durable writes with: LanceDB."""

from __future__ import annotations

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("LANCEDB_LOG", "error")  # read once, when lancedb is loaded
os.environ.setdefault("RUST_LOG", "error")

import lancedb
import pyarrow as pa
from corpus import CLASSES, TOP, Corpus
from lancedb.index import FTS, Bitmap, IvfRq
from side import Side, seconds


class LanceDB(Side):
    """One table. It never brings a file to stable storage by itself; ``synced`` does it for it."""

    def __init__(self, place: Path, corpus: Corpus) -> None:
        super().__init__(place, corpus)
        self._synced: set[str] = set()
        self._next = len(corpus)
        self._table: Any = None
        self._permitted = {
            share: f"class IN ({','.join(map(str, range(0, CLASSES, round(1 / share))))})"
            for share in (0.5, 0.01)
        }
        self.setting = (40, 10)

    def version(self) -> str:
        return f"lancedb {version('lancedb')}"

    def create(self) -> None:
        schema = self._batch(range(0)).schema
        self._table = lancedb.connect(self.place).create_table("memories", schema=schema)

    def ingest(self, start: int, stop: int, synced: bool) -> float:
        """Rows in one batch; seconds."""
        rows = self._batch(range(start, stop))

        def run() -> None:
            self._table.add(rows)
            if synced:
                self._sync()

        return seconds(run)

    def index(self) -> float:
        """Merge the fragments, and index vectors, classes, subjects and texts; seconds."""

        def run() -> None:
            self._table.optimize()
            self._table.create_index("vector", config=IvfRq(distance_type="dot"))
            self._table.create_index("class", config=Bitmap())
            self._table.create_index("subject", config=Bitmap())
            self._table.create_index("text", config=FTS())

        return seconds(run)

    def ladder(self, share: float) -> list[Any]:
        return [(20, 5), (20, 10), (40, 10), (80, 20), (160, 20), (400, 40)]

    def find(self, kind: str, number: int, share: float) -> list[Any]:
        corpus = self.corpus
        if kind == "text":
            query = self._table.search(corpus.questions[number], query_type="fts")
            return _ids(query.select(["id", "_score"]))
        if kind == "vector":
            query = self._table.search(corpus.asked[number])
        else:
            query = self._table.search(query_type="hybrid").vector(corpus.asked[number])
            query = query.text(corpus.questions[number])
        probes, refine = self.setting
        query = query.distance_type("dot").nprobes(probes).refine_factor(refine)
        if share != 1.0:
            query = query.where(self._permitted[share], prefilter=True)
        return _ids(query.select(["id", "_distance"] if kind == "vector" else ["id"]))

    def open(self) -> dict[str, float]:
        """Open the table anew and answer a first search; seconds."""

        def run() -> None:
            self._table = lancedb.connect(self.place).open_table("memories")
            self.find("hybrid", 0, 1.0)

        return {"first_answer": seconds(run)}

    def write(self, count: int) -> list[float]:
        """Single rows, appended and not brought to stable storage; ms each."""
        took = []
        for _ in range(count):
            at = self._next % len(self.corpus)
            row = self._batch(range(at, at + 1))
            row = row.set_column(0, "id", pa.array([self._next], pa.int64()))
            self._next += 1
            took.append(1000 * seconds(lambda row=row: self._table.add(row)))
        return took

    def _sync(self) -> None:
        """Bring files and folders that are new since the last time to stable storage."""
        for folder, _, names in os.walk(self.place):
            fresh = {os.path.join(folder, name) for name in names} - self._synced
            for name in [*fresh, folder] if fresh else []:
                descriptor = os.open(name, os.O_RDONLY)
                os.fsync(descriptor)
                os.close(descriptor)
            self._synced |= fresh

    def _batch(self, rows: range) -> pa.Table:
        """Rows as an Arrow table."""
        corpus, start, stop = self.corpus, rows.start, rows.stop
        vectors = pa.array(corpus.vectors[start:stop].reshape(-1), pa.float32())
        return pa.table(
            {
                "id": pa.array(list(rows), pa.int64()),
                "text": pa.array(corpus.texts[start:stop], pa.string()),
                "class": pa.array(corpus.classes[start:stop], pa.int32()),
                "subject": pa.array(corpus.subjects[start:stop], pa.int32()),
                "vector": pa.FixedSizeListArray.from_arrays(vectors, corpus.dim),
            }
        )


def _ids(query: Any) -> list[Any]:
    found: list[Any] = query.limit(TOP).to_arrow()["id"].to_pylist()
    return found


def side(place: Path, corpus: Corpus) -> LanceDB:
    return LanceDB(place, corpus)
