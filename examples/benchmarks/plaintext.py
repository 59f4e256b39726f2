"""The line to compare with: the same rows in a plain LanceDB table, at good settings."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("LANCEDB_LOG", "error")  # read once, when lancedb is loaded

import lancedb
import pyarrow as pa
from corpus import CLASSES, TOP, Corpus
from lancedb.index import FTS, Bitmap, IvfRq

ENOUGH = 0.99
"""Recall@10 that the vector index must reach; probes are raised until it does."""


class Plaintext:
    """One table.

    Args:
        path: where it lies.
        fsync: whether new files are brought to stable storage after each write. LanceDB itself
            never does that: it acknowledges what a power loss takes away.
    """

    def __init__(self, path: Path, corpus: Corpus, *, fsync: bool = False) -> None:
        self._path = path
        self._corpus = corpus
        self._fsync = fsync
        self._synced: set[str] = set()
        self._next = len(corpus)
        self.probes, self.refine = 20, 10
        schema = batch(corpus, range(0)).schema
        self._table: Any = lancedb.connect(path).create_table("memories", schema=schema)

    def ingest(self, rows: pa.Table) -> None:
        self._table.add(rows)
        if self._fsync:
            self._sync()

    def index(self) -> None:
        """Merge the fragments, and index vectors, classes, subjects and texts."""
        self._table.optimize()
        self._table.create_index("vector", config=IvfRq(distance_type="dot"))
        self._table.create_index("class", config=Bitmap())
        self._table.create_index("subject", config=Bitmap())
        self._table.create_index("text", config=FTS())

    def tune(self) -> float:
        """Raise probes until recall@10 is enough; the recall reached."""
        reached = 0.0
        for self.probes, self.refine in ((20, 10), (40, 10), (80, 20), (160, 20), (400, 40)):
            found = [self.vector_search(number) for number in range(len(self._corpus.questions))]
            reached = self._corpus.recall(found)
            if reached >= ENOUGH:
                break
        return reached

    def open_and_answer(self) -> None:
        """Open the table anew and answer a first search."""
        self._table = lancedb.connect(self._path).open_table("memories")
        self.hybrid_search(0)

    def vector_search(self, number: int, share: float = 1.0) -> list[int]:
        query = self._table.search(self._corpus.asked[number]).distance_type("dot")
        query = query.nprobes(self.probes).refine_factor(self.refine)
        return _ids(_where(query, share).select(["id", "_distance"]))

    def text_search(self, number: int) -> list[int]:
        query = self._table.search(self._corpus.questions[number], query_type="fts")
        return _ids(query.select(["id", "_score"]))

    def hybrid_search(
        self, number: int, share: float = 1.0, subject: int | None = None
    ) -> list[int]:
        """Both, fused by reciprocal rank, with the texts: what a recall gives."""
        query = self._table.search(query_type="hybrid").vector(self._corpus.asked[number])
        query = query.text(self._corpus.questions[number]).distance_type("dot")
        query = query.nprobes(self.probes).refine_factor(self.refine)
        if subject is not None:
            query = query.where(f"subject = {subject}", prefilter=True)
        return _ids(_where(query, share).select(["id", "text"]))

    def search_about(self, number: int) -> list[int]:
        return self.hybrid_search(number, subject=int(self._corpus.subjects[number]))

    def write_one(self, number: int) -> None:
        row = batch(self._corpus, range(number, number + 1))
        self._next += 1
        self.ingest(row.set_column(0, "id", pa.array([self._next], pa.int64())))

    def _sync(self) -> None:
        """Bring files and folders that are new since the last time to stable storage."""
        for folder, _, names in os.walk(self._path):
            fresh = {os.path.join(folder, name) for name in names} - self._synced
            for name in [*fresh, folder] if fresh else []:
                descriptor = os.open(name, os.O_RDONLY)
                os.fsync(descriptor)
                os.close(descriptor)
            self._synced |= fresh


def batch(corpus: Corpus, rows: range) -> pa.Table:
    """Rows as an Arrow table."""
    start, stop = rows.start, rows.stop
    vectors = pa.array(corpus.vectors[start:stop].reshape(-1), pa.float32())
    return pa.table(
        {
            "id": pa.array(list(rows), pa.int64()),
            "text": pa.array(corpus.texts[start:stop], pa.string()),
            "class": pa.array(corpus.classes[start:stop], pa.int32()),
            "subject": pa.array(corpus.subjects[start:stop], pa.int32()),
            "vector": pa.FixedSizeListArray.from_arrays(vectors, corpus.vectors.shape[1]),
        }
    )


def _where(query: Any, share: float) -> Any:
    """Only a share of the classes: every second one for a half, the first for 1%."""
    if share == 1.0:
        return query
    step = round(1 / share)
    permitted = ",".join(str(number) for number in range(0, CLASSES, step))
    return query.where(f"class IN ({permitted})", prefilter=True)


def _ids(query: Any) -> list[int]:
    found: list[int] = query.limit(TOP).to_arrow()["id"].to_pylist()
    return found
