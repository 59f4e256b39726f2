"""Engines for the searchable copy, side by side: which find what policy allows, and nothing else.

The last column decides. It is the share of questions whose answer, within half of the classes,
changes when the rows of the other half are not there at all. A search copy may not tell of rows
that the asker must not see, so it must be 0 (guarantee 7, ``docs/adr/0019``).

    .venv/bin/python examples/benchmarks/engines.py [--rows 20000 100000]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from memory_fabric.adapters.search import MemorySearchCopy
from memory_fabric.core.labels import ClassState, DataClass, Label, LabelClass
from memory_fabric.core.memory import MemoryType
from memory_fabric.core.places import Region
from memory_fabric.core.records import IndexRow, Scope

import faiss  # isort: skip  (after the search copy, which says how its threads wait)

CLASSES = 1_000
TOP = 10
QUERIES = 100
THREADS = 8
NOW = datetime(2026, 1, 1, tzinfo=UTC)

Floats = npt.NDArray[np.float32]
Search = Callable[[int, int], list[int]]
"""From a query's number and how many classes to leave out between two, to the best rows."""
_faiss: Any = faiss


class Corpus:
    """Clustered vectors of low intrinsic dimension, as embeddings are, and queries like them."""

    def __init__(self, rows: int, dim: int = 384, inner: int = 48) -> None:
        self._random = np.random.default_rng(20261125)
        self._spread = self._random.standard_normal((inner, dim), np.float32)
        self._centres = self._random.standard_normal((2_000, inner), np.float32)
        self.vectors = self._drawn(rows)
        self.asked = self._drawn(QUERIES)

    def __len__(self) -> int:
        return len(self.vectors)

    def _drawn(self, count: int) -> Floats:
        moved = self._centres[self._random.integers(0, len(self._centres), count)]
        moved += 0.7 * self._random.standard_normal(moved.shape, np.float32)
        noise = self._random.standard_normal((count, self._spread.shape[1]), np.float32)
        found = moved @ self._spread + 0.15 * moved.shape[1] ** 0.5 * noise
        unit: Floats = found / np.linalg.norm(found, axis=1, keepdims=True)
        return unit


def label_of(number: int) -> Label:
    """A label of one of the thousand classes."""
    names = [f"p{bit}" for bit in range(10) if number >> bit & 1]
    return Label(Region("DE"), "bench", DataClass.INTERNAL, False, frozenset([*names, "all"]))


def search_copy(corpus: Corpus, rows: npt.NDArray[np.int64]) -> Search:
    """The product's own."""
    labels = [label_of(number) for number in range(CLASSES)]
    copy = MemorySearchCopy(corpus.vectors.shape[1])
    for some in np.array_split(rows, max(1, len(rows) // 10_000)):
        copy.add([
            IndexRow(int(row).to_bytes(16, "big"), str(row), "",
                     corpus.vectors[row].tobytes(), labels[row % CLASSES], MemoryType.EPISODIC, NOW)
            for row in some.tolist()
        ])  # fmt: skip
    scopes: dict[int, Scope] = {}
    for step in (1, 2, 100):
        classes: list[LabelClass] = [label.label_class for label in labels[::step]]
        scopes[step] = Scope("bench", frozenset(map(ClassState, classes)), None, NOW)

    def search(number: int, step: int) -> list[int]:
        hits = copy.search(None, corpus.asked[number].tobytes(), scopes[step], TOP)
        return [int.from_bytes(hit.rid, "big") for hit in hits]

    return search


def exact(corpus: Corpus, rows: npt.NDArray[np.int64]) -> Search:
    """All products by NumPy."""
    vectors = corpus.vectors[rows]
    chosen = {step: np.flatnonzero(rows % CLASSES % step == 0) for step in (1, 2, 100)}
    parts = {step: vectors[some] for step, some in chosen.items()}

    def search(number: int, step: int) -> list[int]:
        products = parts[step] @ corpus.asked[number]
        best = np.argpartition(-products, TOP)[:TOP]
        return list(rows[chosen[step][best[np.argsort(-products[best])]]])

    return search


def _selected(corpus: Corpus, rows: npt.NDArray[np.int64], index: Any, params: Any) -> Search:
    """A faiss index with a bitmap; its candidates ranked by their exact products."""
    vectors = np.ascontiguousarray(corpus.vectors[rows])
    index.train(vectors)
    index.add(vectors)
    bits = {step: np.packbits(rows % CLASSES % step == 0, bitorder="little") for step in (2, 100)}
    local = {
        step: params(sel=_faiss.IDSelectorBitmap(len(some), _faiss.swig_ptr(some)))
        for step, some in bits.items()
    }
    local[1] = params()
    kept = (bits, vectors)

    def search(number: int, step: int) -> list[int]:
        query = corpus.asked[number]
        _, (found,) = index.search(query[None], 10 * TOP, params=local[step])
        found = found[found >= 0]
        products = kept[1][found] @ query
        return list(rows[found[np.argsort(-products)[:TOP]]])

    return search


def hnsw(corpus: Corpus, rows: npt.NDArray[np.int64]) -> Search:
    """A graph over bf16 vectors."""
    dim = corpus.vectors.shape[1]
    index = _faiss.IndexHNSWSQ(dim, _faiss.ScalarQuantizer.QT_bf16, 16, _faiss.METRIC_INNER_PRODUCT)
    return _selected(
        corpus, rows, index, lambda **sel: _faiss.SearchParametersHNSW(efSearch=96, **sel)
    )


def rabitq(corpus: Corpus, rows: npt.NDArray[np.int64]) -> Search:
    """Clusters of one-bit codes, a quarter of them looked at."""
    dim, lists = corpus.vectors.shape[1], max(16, int(len(rows) ** 0.5))
    index = _faiss.IndexIVFRaBitQFastScan(
        _faiss.IndexFlatIP(dim), dim, lists, _faiss.METRIC_INNER_PRODUCT
    )
    return _selected(
        corpus, rows, index,
        lambda **sel: _faiss.IVFRaBitQSearchParameters(nprobe=lists // 4, qb=8, **sel),
    )  # fmt: skip


ENGINES = {
    "search copy (sign codes, exact products)": search_copy,
    "NumPy, all products": exact,
    "faiss HNSW, bf16": hnsw,
    "faiss IVF, RaBitQ": rabitq,
}


def median_ms(search: Search, step: int) -> float:
    """Median time of one search."""
    times = []
    for number in range(-5, QUERIES):
        start = time.perf_counter()
        search(max(number, 0), step)
        times.append(time.perf_counter() - start)
    return 1_000 * statistics.median(times[5:])


def per_second(search: Search) -> float:
    """Searches a second by eight threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(search, range(THREADS), [1] * THREADS))
        start = time.perf_counter()
        list(pool.map(search, [number % QUERIES for number in range(400)], [1] * 400))
    return 400 / (time.perf_counter() - start)


def recall(corpus: Corpus, search: Search, step: int) -> float:
    """Share of the ten nearest permitted rows that were found."""
    permitted = np.arange(len(corpus))[np.arange(len(corpus)) % CLASSES % step == 0]
    found = 0.0
    for number in range(QUERIES):
        products: Floats = corpus.vectors[permitted] @ corpus.asked[number]
        tenth = np.partition(products, -TOP)[-TOP]
        rows = search(number, step)
        found += float(
            np.count_nonzero(corpus.vectors[rows] @ corpus.asked[number] >= tenth - 1e-6)
        )
    return found / TOP / QUERIES


def told(alone: Search, among: Search) -> float:
    """Share of questions whose answer depends on rows outside the scope."""
    return statistics.mean(alone(number, 2) != among(number, 2) for number in range(QUERIES))


def table(rows: int) -> list[str]:
    """Lines of a table in Markdown."""
    corpus = Corpus(rows)
    every = np.arange(rows)
    shown = every[every % CLASSES % 2 == 0]
    lines = [
        f"| {rows:,} rows | p50 ms: all / half / 1% | recall: all / half / 1% "
        "| searches/s, 8 threads | to add, s | answers that change with hidden rows |",
        "|---|---|---|---|---|---|",
    ]
    for name, make in ENGINES.items():
        start = time.perf_counter()
        search = make(corpus, every)
        built = time.perf_counter() - start
        speed = " / ".join(f"{median_ms(search, step):.2f}" for step in (1, 2, 100))
        found = " / ".join(f"{recall(corpus, search, step):.3f}" for step in (1, 2, 100))
        leak = told(make(corpus, shown), search)
        lines.append(
            f"| {name} | {speed} | {found} | {per_second(search):,.0f} | {built:.1f} | {leak:.0%} |"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table for each number of rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[20_000, 100_000])
    faiss.omp_set_num_threads(2)
    for rows in parser.parse_args(arguments).rows:
        print("\n".join([*table(rows), ""]), flush=True)


if __name__ == "__main__":
    main()
