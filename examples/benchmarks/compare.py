"""Everything measured on one corpus: plaintext LanceDB and the sealed stack, in turns."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from statistics import median

from corpus import Corpus
from plaintext import Plaintext, batch
from sealed import GivenVectors, Sealed
from timing import Figure, Spread, in_turns, seconds, size_on_disk

from memory_fabric.core.model_ports import Embedder

BATCHES = 10
OPENINGS = 3
SINGLES = 64

Say = Callable[[str], None]


@dataclass(frozen=True)
class Comparison:
    """What was measured on one corpus.

    Attributes:
        rows, dim: of the corpus.
        figures: by name.
        settings: what plaintext LanceDB ran with.
    """

    corpus: str
    rows: int
    dim: int
    figures: dict[str, Figure]
    settings: str


def compare(
    corpus: Corpus, folder: Path, repeats: int, say: Say, embedder: Embedder | None = None
) -> Comparison:
    """Fill both, index, search, open again, write single rows."""
    plain = Plaintext(folder / "plaintext", corpus)
    synced = Plaintext(folder / "plaintext-fsync", corpus, fsync=True)
    sealed = Sealed(folder / "sealed", corpus, embedder or GivenVectors(corpus))
    try:
        say(f"{len(corpus):,} rows: ingest")
        figures = ingest(corpus, plain, synced, sealed)
        queries = range(len(corpus.questions))
        found = [sealed.rows(sealed.vector_search(number)) for number in queries]
        recalls = Spread((plain.tune(),)), Spread((corpus.recall(found),))
        say(f"{len(corpus):,} rows: search")
        figures += [
            Figure("Recall@10 of vector search", "", *recalls),
            *searches(plain, sealed, queries, repeats),
        ]
        say(f"{len(corpus):,} rows: open, single writes")
        figures += [opening(plain, sealed), *singles(plain, synced, sealed), disk(folder)]
    finally:
        sealed.close()
    return Comparison(
        corpus.name, len(corpus), corpus.vectors.shape[1],
        {figure.name: figure for figure in figures},
        f"IVF_RQ, {plain.probes} probes, refine factor {plain.refine}; BITMAP; FTS",
    )  # fmt: skip


def ingest(corpus: Corpus, plain: Plaintext, synced: Plaintext, sealed: Sealed) -> list[Figure]:
    """Rows with vectors, in ten batches, in turns; then LanceDB's indices."""
    edges = [len(corpus) * at // BATCHES for at in range(BATCHES + 1)]
    rates: dict[str, list[float]] = {"plain": [], "synced": [], "sealed": []}
    spent = {"plain": 0.0, "sealed": 0.0}
    for start, stop in pairwise(edges):
        rows, drafts = batch(corpus, range(start, stop)), sealed.drafts(start, stop)
        gc.collect()
        for name, run in {
            "plain": partial(plain.ingest, rows),
            "synced": partial(synced.ingest, rows),
            "sealed": partial(sealed.ingest, drafts),
        }.items():
            took = seconds(run)
            rates[name].append((stop - start) / took)
            if name in spent:
                spent[name] += took
    spent["plain"] += seconds(plain.index)
    found = {name: Spread(tuple(values)) for name, values in rates.items()}
    searchable = {name: Spread((len(corpus) / took,)) for name, took in spent.items()}
    return [
        Figure("Bulk ingest", "rows/s", found["plain"], found["sealed"]),
        Figure("Bulk ingest, both fsynced", "rows/s", found["synced"], found["sealed"]),
        Figure("Bulk ingest until indexed", "rows/s", searchable["plain"], searchable["sealed"]),
    ]


def searches(plain: Plaintext, sealed: Sealed, queries: range, repeats: int) -> list[Figure]:
    """p50 of searches, and of whole recalls beside LanceDB's hybrid search."""
    ways: dict[str, tuple[Callable[[int], object], Callable[[int], object]]] = {
        "Vector search": (plain.vector_search, sealed.vector_search),
        "Vector search, half of the classes": (
            partial(plain.vector_search, share=0.5), partial(sealed.vector_search, share=0.5)),
        "Vector search, 1% of the classes": (
            partial(plain.vector_search, share=0.01), partial(sealed.vector_search, share=0.01)),
        "Full text search": (plain.text_search, sealed.text_search),
        "Hybrid search": (plain.hybrid_search, sealed.hybrid_search),
        "Whole recall": (plain.hybrid_search, sealed.recall),
        "Whole recall, half of the classes": (
            partial(plain.hybrid_search, share=0.5), partial(sealed.recall, purpose="research")),
        "Whole recall, 1% of the classes": (
            partial(plain.hybrid_search, share=0.01), partial(sealed.recall, purpose="fraud")),
        "Whole recall about one subject": (plain.search_about, sealed.recall_about),
    }  # fmt: skip
    gc.collect()
    return [in_turns(name, *both, queries, repeats) for name, both in ways.items()]


def opening(plain: Plaintext, sealed: Sealed) -> Figure:
    """From nothing to the first answer, files in the page cache."""
    turns = [
        (seconds(plain.open_and_answer), seconds(sealed.open_and_answer)) for _ in range(OPENINGS)
    ]
    first, second = zip(*turns, strict=True)
    return Figure("Open, to the first answer", "s", Spread(first), Spread(second))


def singles(plain: Plaintext, synced: Plaintext, sealed: Sealed) -> list[Figure]:
    """p50 of writing one row, acknowledged."""
    took: dict[str, list[float]] = {"plain": [], "synced": [], "sealed": []}
    for number in range(SINGLES):
        [draft] = sealed.drafts(number, number + 1, named=False)
        took["plain"].append(1000 * seconds(partial(plain.write_one, number)))
        took["synced"].append(1000 * seconds(partial(synced.write_one, number)))
        took["sealed"].append(1000 * seconds(partial(sealed.ingest, [draft])))
    quarter = SINGLES // 4
    p50 = {
        name: Spread(tuple(median(values[at : at + quarter]) for at in range(0, SINGLES, quarter)))
        for name, values in took.items()
    }
    return [
        Figure("Single write", "ms", p50["plain"], p50["sealed"]),
        Figure("Single write, both fsynced", "ms", p50["synced"], p50["sealed"]),
    ]


def disk(folder: Path) -> Figure:
    """Without LanceDB's indices, which the sealed stack has in memory only."""
    plain = size_on_disk(folder / "plaintext-fsync")
    return Figure("On disk, without indices", "MB", Spread((plain,)),
                  Spread((size_on_disk(folder / "sealed"),)))  # fmt: skip
