"""What a receipt adds to a recall, and how many go in a second when recalls are many.

    python examples/benchmarks/receipts.py [--receipts 100000] [--turns 5] [--classes N] [--json]

One home, its log filled first. In turns, since other work on the machine meets all alike: what the
disk takes to keep 4 KiB; a row of a receipt's size, committed by itself to a plain SQLite table
that is as durable; a receipt by itself; a receipt within a recall, where the processor's caches
hold other things; receipts of 32 threads at once, and how many of them shared a sync; the same
rows to the plain table in transactions as large. The target is judged on medians: at most one
sync and 0.5 ms beside it, and 5,000 a second.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

from timing import Spread, fsync_milliseconds
from walls import TENANT, WHO, WORDS, Embedder, drafts

from memory_fabric import operations
from memory_fabric.core.labels import Consent, DataClass, LabelClass
from memory_fabric.core.places import Region
from memory_fabric.core.receipt import Commit, Committed
from memory_fabric.flows.remember import remember
from memory_fabric.wiring import Home, create_home, open_home

THREADS = 32
ALONE, AT_ONCE = 300, 6000
"""Receipts of a turn."""
QUESTION = {"purpose": "care", "all_subjects": True}

Make = Callable[[], Commit]


class Plain:
    """A table of rows with no log, no signature and no index, synced at each commit."""

    def __init__(self, file: Path, row: str) -> None:
        self._database = sqlite3.connect(file, isolation_level=None)
        self._row = row
        self._size = 0
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.execute("CREATE TABLE plain (leaf INTEGER PRIMARY KEY, body TEXT)")

    def commit(self, rows: int) -> None:
        """So many rows in one transaction."""
        self._database.execute("BEGIN IMMEDIATE")
        numbered = ((leaf, self._row) for leaf in range(self._size, self._size + rows))
        self._database.executemany("INSERT INTO plain VALUES (?, ?)", numbered)
        self._database.execute("COMMIT")
        self._size += rows

    def close(self) -> None:
        self._database.close()


@contextmanager
def commits(home: Home) -> Iterator[list[tuple[tuple[Any, ...], dict[str, Any], float]]]:
    """What the site commits meanwhile, and the milliseconds that each took."""
    node, seen = home.node, []
    commit = node.commit

    def timed(*args: Any, **named: Any) -> Committed:
        start = time.perf_counter()
        done = commit(*args, **named)
        seen.append((args, named, 1000 * (time.perf_counter() - start)))
        return done

    node.commit = timed  # type: ignore[method-assign]  # taken away again below
    try:
        yield seen
    finally:
        del node.commit


def recall(home: Home, number: int) -> float:
    """One recall; milliseconds."""
    words = (WORDS[number % 12], WORDS[number // 12 % 12], str(number))
    start = time.perf_counter()
    operations.run(home, "search", WHO, {"query": " ".join(words), **QUESTION})
    return 1000 * (time.perf_counter() - start)


def receipt_of_a_recall(home: Home) -> Make:
    """A maker of receipts like that of a recall."""
    with commits(home) as seen:
        recall(home, 0)
    ((args, named, _),) = seen
    return lambda: home.node.to_commit(*args, **named)


def milliseconds(act: Callable[[], object], times: int) -> float:
    """The median of an act done so many times."""
    took = []
    for _ in range(times):
        start = time.perf_counter()
        act()
        took.append(1000 * (time.perf_counter() - start))
    return median(took)


def at_once(home: Home, make: Make) -> tuple[float, float]:
    """Receipts a second by many threads, each waiting for its own; how many shared a sync."""
    ledger, roots, lock = home.node.ledger, set[int](), threading.Lock()

    def work(_: int) -> None:
        seen = {ledger.commit(*make()).checkpoint.size for _ in range(AT_ONCE // THREADS)}
        with lock:
            roots.update(seen)

    count = AT_ONCE // THREADS * THREADS
    start = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    return count / (time.perf_counter() - start), count / len(roots)


def measure(home: Home, folder: Path, receipts: int, turns: int) -> dict[str, Any]:
    """Every figure of each turn."""
    ledger, make = home.node.ledger, receipt_of_a_recall(home)
    while (left := receipts - ledger.checkpoint().size) > 0:
        ledger.commit_all([make() for _ in range(min(left, 1000))])
    row = make().receipt.canonical().decode()
    figures: dict[str, list[float]] = {}
    with closing(Plain(folder / "plain.db", row)) as plain:
        for turn in range(turns):
            found = {
                "fsync": median(fsync_milliseconds(folder)),
                "plain row": milliseconds(lambda: plain.commit(1), ALONE),
                "receipt": milliseconds(lambda: ledger.commit(*make()), ALONE),
            }
            with commits(home) as seen:
                found["recall"] = median(recall(home, turn * ALONE + at) for at in range(ALONE))
            found["receipt in a recall"] = median(took for _, _, took in seen)
            found["receipts a second"], found["receipts a sync"] = at_once(home, make)
            share = round(found["receipts a sync"])
            took = milliseconds(lambda share=share: plain.commit(share), AT_ONCE // share)
            found["plain rows a second"] = 1000 * share / took
            for name, value in found.items():
                figures.setdefault(name, []).append(value)
    return {"bytes": len(row), "receipts": ledger.checkpoint().size, "figures": figures}


def told(measured: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """What was measured, its figure, and the target."""
    spread = {name: Spread(tuple(values)) for name, values in measured["figures"].items()}
    sync = spread["fsync"].median
    yield "fsync of 4 KiB", f"{spread['fsync']} ms", ""
    yield "plain row, committed", f"{spread['plain row']} ms", ""
    for name in ("receipt", "receipt in a recall"):
        beside = spread[name].median - sync
        yield name, f"{spread[name]} ms", ""
        yield "  beside its sync", f"{beside:.2f} ms", f"at most 0.5: {verdict(beside <= 0.5)}"
        yield "  over the plain row", f"{spread[name].over(spread['plain row'])}", ""
    yield "whole recall", f"{spread['recall']} ms", ""
    rate = spread["receipts a second"]
    yield f"{THREADS} threads", f"{rate} receipts/s", f"5,000: {verdict(rate.median >= 5000)}"
    yield "  sharing a sync", f"{spread['receipts a sync']}", ""
    yield "  over plain rows", f"{rate.over(spread['plain rows a second'])}", ""


def verdict(met: bool) -> str:
    return "yes" if met else "NO"


def declare(home: Home, classes: int) -> None:
    """Label classes that a recall for care asks about, until there are so many in all."""
    special = ("health", "genetic", "biometric", "ethnicity", "politics", "religion", "union")
    purposes = [name for name in home.node.purposes if name != "care"]
    possible = (
        LabelClass(
            Region("DE"), TENANT, data_class, True, frozenset({category}),
            frozenset({"care", *also}), consent,
        )
        for category in special
        for several in range(4)
        for also in combinations(purposes, several)
        for data_class in DataClass
        for consent in (Consent.GIVEN, Consent.NONE)
    )  # fmt: skip
    left = classes - len(home.node.settings.declared)
    home.declare([next(possible) for _ in range(left)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--receipts", type=int, default=100_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--classes", type=int, default=0, help="declare so many in all")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memory-fabric-receipts-") as place:
        folder, embedder = Path(place), Embedder()
        create_home(
            folder / "home", site_id="bench-1", region="DE", tenants=[TENANT], embedder=embedder
        )
        with open_home(folder / "home", embedder=embedder) as home:
            declare(home, asked.classes)
            who = operations.operator(home, "bench", TENANT)
            for number in range(20):
                remember(home.node, who, drafts(f"person-{number}", 100))
            measured = measure(home, folder, asked.receipts, asked.turns)
    if asked.json:
        print(json.dumps(measured))
        return
    print(f"{measured['receipts']:,} receipts, the last of {measured['bytes']:,} bytes")
    for what, figure, target in told(measured):
        print(f"{what:22} {figure:32} {target}")


if __name__ == "__main__":
    main()
