"""Stages: a corpus of one size, and the steps that are measured on it, each side built once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus import SHARES, Corpus
from sides import SideFailed, SideProcess, in_turns
from timing import fsync_milliseconds

BATCH = 10_000
"""Rows of one batch of a bulk ingest."""
ADDS = 300
CHUNK = 25
"""Single writes of one side before the other has its turn."""
THREADS = 8
WRITERS = 32
WRITES = 200
"""Writes of each concurrent writer, unless time is up before."""
PATIENCE = 600.0
"""Seconds that erased bytes may take to go."""
OPENINGS = 3

Result = dict[str, Any]


@dataclass(frozen=True)
class Stage:
    """What is built, and what is measured on it.

    Attributes:
        real: whether the corpus comes from real texts.
        sides: in the order of their turns.
        steps: after ``fill``, in this order.
        enough: recall@10 that every side's vector search must reach; filtered ones .98.
    """

    rows: int
    sides: tuple[str, ...]
    steps: tuple[str, ...]
    real: bool = False
    enough: float = 0.99


TWO = ("sealed", "lancedb")
FOUR = (*TWO, "chroma", "qdrant")
GROWTH = ("search", "text", "recall", "open")
STAGES = {
    "20k": Stage(20_000, FOUR, ("search", "throughput", "text", "recall", "open")),
    "100k": Stage(
        100_000, FOUR,
        ("search", "throughput", "text", "recall", "open", "erase", "adds", "writers"),
    ),
    "10k": Stage(10_000, TWO, GROWTH),
    "30k": Stage(30_000, TWO, GROWTH),
    "300k": Stage(300_000, TWO, GROWTH),
    "1m": Stage(1_000_000, TWO, GROWTH, enough=0.97),
    "20k-real": Stage(20_000, FOUR, ("search", "text", "recall"), real=True),
    "1m-real": Stage(1_000_000, TWO, ("search", "text"), real=True, enough=0.97),
}  # fmt: skip


@dataclass
class Bench:
    """A stage that is being measured."""

    stage: Stage
    corpus: Corpus
    folder: Path
    repeats: int
    sides: dict[str, SideProcess] = field(default_factory=dict)

    def start(self, name: str) -> SideProcess:
        return SideProcess(name, self.folder / name, self.corpus.folder, len(self.corpus))

    def turns(self, method: str, *, only: tuple[str, ...] = FOUR, **arguments: Any) -> Result:
        """What the sides answer, by side, as a list over the turns."""
        sides = [side for side in self.sides.values() if side.name in only]
        return in_turns(sides, self.repeats, method, **arguments)

    def fsync(self) -> list[float]:
        return fsync_milliseconds(self.folder)


@contextmanager
def measured(bench: Bench, names: tuple[str, ...]) -> Iterator[Bench]:
    """The sides started; ended whatever happens."""
    bench.folder.mkdir(parents=True)
    try:
        for name in names:
            try:
                bench.sides[name] = bench.start(name)
            except SideFailed as error:
                print(f"  {error}", file=sys.stderr)
        yield bench
    finally:
        for side in bench.sides.values():
            side.close()


def fill(bench: Bench) -> Result:
    """Rows with vectors in batches, in turns, one sync a batch on both sides; then indices."""
    rows = len(bench.corpus)
    two = [bench.sides[name] for name in TWO if name in bench.sides]
    rates: dict[str, list[float]] = {side.name: [] for side in two}
    for side in two:
        side.call("create")
    for start in range(0, rows, BATCH):
        stop = min(start + BATCH, rows)
        for side in two:
            took = side.call("ingest", start=start, stop=stop, synced=True)
            rates[side.name].append((stop - start) / took)
    index = {side.name: side.call("index") for side in two}
    for name, side in list(bench.sides.items()):
        if name not in TWO:
            try:
                index[name] = side.call("fill")
            except SideFailed as error:
                print(f"  {error}", file=sys.stderr)
                bench.sides.pop(name).close()
    versions = {name: side.call("version") for name, side in bench.sides.items()}
    memory = bench.sides["sealed"].call("memory") if "sealed" in bench.sides else None
    return {
        "rates": rates,
        "index": index,
        "versions": versions,
        "memory": memory,
        "content_bytes": bench.corpus.content_bytes,
    }


def search(bench: Bench) -> Result:
    """Vector searches: all classes, half, 1% of them, each side at its best setting for each."""
    found: Result = {}
    for share in SHARES:
        bench.corpus.tenth(share)
        enough = bench.stage.enough if share == 1.0 else 0.98
        tuned = in_turns(bench.sides.values(), 1, "tune", share=share, enough=enough)
        turns = bench.turns("search", kind="vector", share=share)
        found[str(share)] = {
            name: {
                "ms": [turn["ms"] for turn in each],
                "recall": each[0]["recall"],
                **tuned[name][0],
            }
            for name, each in turns.items()
            if name in tuned
        }
    return found


def throughput(bench: Bench) -> Result:
    return bench.turns("throughput", threads=THREADS, lasting=2.0)


def text(bench: Bench) -> Result:
    """Full text and hybrid: LanceDB beside the sealed stack."""
    return {
        kind: {
            name: [turn["ms"] for turn in each]
            for name, each in bench.turns("search", only=TWO, kind=kind).items()
        }
        for kind in ("text", "hybrid")
    }


def recall(bench: Bench) -> Result:
    """Whole recalls beside the search in them, and what the disk takes, turn by turn."""
    side = bench.sides["sealed"]
    found: Result = {name: [] for name in ("recall", "half", "hundredth", "about", "search")}
    found["fsync"] = []
    for _ in range(bench.repeats):
        found["recall"].append(side.call("recall")["ms"])
        found["search"].append(side.call("search", kind="hybrid")["ms"])
        found["fsync"].append(sorted(bench.fsync())[25])
        found["half"].append(side.call("recall", share=0.5)["ms"])
        found["hundredth"].append(side.call("recall", share=0.01)["ms"])
        found["about"].append(side.call("recall_about")["ms"])
    found["parts"] = side.call("recall_parts")
    return found


def opening(bench: Bench) -> Result:
    """Fresh processes open what is on the disk, its pages in the page cache; memory of the last."""
    rows = len(bench.corpus)
    found: Result = {"sealed": [], "lancedb": [], "started": [], "full_speed": []}
    lasting, most = max(5.0, rows / 40_000), 0
    for turn in range(OPENINGS):
        bench.sides.pop("sealed").close()
        side = bench.sides["sealed"] = bench.start("sealed")
        bare = side.call("memory")
        found["started"].append(side.started)
        found["sealed"].append(side.call("open"))
        if turn in (0, OPENINGS - 1):
            found["full_speed"].append(side.call("settle", lasting=lasting))
            side.call("recall")
        used = side.call("memory")
        most = max(most, used["most"])
        fresh = bench.start("lancedb")
        found["lancedb"].append(fresh.call("open"))
        fresh.close()
    found["memory"] = {"bare": bare, "used": {**used, "most": most}}
    found["content_bytes"] = bench.corpus.content_bytes
    return found


def adds(bench: Bench) -> Result:
    """Single durable writes in turns, and what searches take before and after 300 of them."""
    two = [bench.sides[name] for name in TWO]
    found: Result = {"write": {side.name: [] for side in two}, "fsync": []}
    for kind in ("vector", "hybrid"):
        found[f"{kind} before"] = bench.turns("search", only=TWO, kind=kind, judge=False)
    for _ in range(0, ADDS, CHUNK):
        for side in two:
            found["write"][side.name] += side.call("write", count=CHUNK)
        found["fsync"] += fsync_milliseconds(bench.folder, CHUNK)
    for kind in ("vector", "hybrid"):
        found[f"{kind} after"] = bench.turns("search", only=TWO, kind=kind, judge=False)
    return found


def writers(bench: Bench) -> Result:
    side = bench.sides["sealed"]
    side.call("writers", threads=WRITERS, each=2, lasting=5.0)
    rates = [
        side.call("writers", threads=WRITERS, each=WRITES, lasting=5.0)
        for _ in range(bench.repeats)
    ]
    return {"sealed": rates, "fsync": bench.fsync()}


def erase(bench: Bench) -> Result:
    """Three subjects, one after the other."""
    return {"sealed": bench.sides["sealed"].call("erase", numbers=[7, 8, 9], patience=PATIENCE)}


STEPS: dict[str, Callable[[Bench], Result]] = {
    "search": search, "throughput": throughput, "text": text, "recall": recall, "open": opening,
    "erase": erase, "adds": adds, "writers": writers,
}  # fmt: skip


def epoch(bench: Bench, subjects: int) -> Result:
    """Renew the epoch of a keyring that holds keys for so many subjects."""
    side = bench.sides["sealed"]
    side.call("create")
    made = side.call("subjects", count=subjects)
    turns = [side.call("renew_epoch") for _ in range(3)]
    return {"subjects": subjects, "made": made, "sealed": turns, "fsync": bench.fsync()}
