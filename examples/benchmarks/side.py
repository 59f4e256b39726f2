"""One side of a comparison: a store in a process of its own, asked through a pipe.

A side measures itself, so that neither the pipe nor its neighbours' interpreters count. The driver
asks the sides in turns; a busy minute of the machine meets them all. Sides of other packages run
under another environment's Python: this module needs NumPy only.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from corpus import Corpus

WARM_UP = 10
"""Queries before each turn: while the others had theirs, caches went cold."""


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


class Side:
    """What every store can be asked. A store brings ``find`` and says how it is filled.

    Attributes:
        setting: what its searches run with, chosen by ``tune``.
    """

    def __init__(self, place: Path, corpus: Corpus) -> None:
        self.place = place
        self.corpus = corpus
        self.setting: Any = None
        self._chosen: dict[float, Any] = {}

    # What a store brings.

    def version(self) -> str:
        raise NotImplementedError

    def find(self, kind: str, number: int, share: float) -> list[Any]:
        """The ten best rows for a query by ``vector``, ``text`` or both (``hybrid``)."""
        raise NotImplementedError

    def numbers(self, found: list[Any]) -> list[int]:
        """Row numbers of what ``find`` gave; not measured."""
        return found

    def ladder(self, share: float) -> list[Any]:
        """Settings worth trying."""
        return [None]

    def use(self, setting: Any) -> None:
        """Search with this setting from now on."""
        self.setting = setting

    # What the driver asks.

    def tune(self, share: float, enough: float) -> dict[str, Any]:
        """Take the fastest setting whose recall is enough; the most exact where none is."""
        ladder = self.ladder(share)
        tried = []
        for setting in ladder:
            self.use(setting)
            turns = [self._turn("vector", share) for _ in range(2 if ladder[1:] else 1)]
            tried.append((min(turn["ms"] for turn in turns), turns[0]["recall"], setting))
        reached = [one for one in tried if one[1] >= enough] or [max(tried, key=lambda t: t[1])]
        self._chosen[share] = min(reached, key=lambda one: one[0])[2]
        return {"setting": str(self._chosen[share]), "tried": tried}

    def search(self, kind: str, share: float = 1.0, judge: bool = True) -> dict[str, float]:
        """One turn: the median time of a query in ms, and recall@10 where vectors alone decide."""
        self.use(self._chosen.get(share, self.setting))
        return self._turn(kind, share, judge)

    def throughput(self, threads: int, lasting: float) -> float:
        """Vector searches a second from several threads at once."""
        self.use(self._chosen.get(1.0, self.setting))
        queries = len(self.corpus.asked)
        end = time.perf_counter() + lasting

        def work(first: int) -> int:
            done = 0
            while time.perf_counter() < end:
                self.find("vector", (first + done) % queries, 1.0)
                done += 1
            return done

        start = time.perf_counter()
        with ThreadPoolExecutor(threads) as pool:
            done = sum(pool.map(work, range(0, queries, max(1, queries // threads))))
        return done / (time.perf_counter() - start)

    def memory(self) -> dict[str, int]:
        """Resident bytes now and at most, and without pages of files."""
        lines = Path("/proc/self/status").read_text().splitlines()
        held = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith(" kB")}
        names = {"now": "VmRSS", "most": "VmHWM", "anonymous": "RssAnon"}
        return {name: 1024 * int(held[field]) for name, field in names.items()}

    def close(self) -> None:
        """Let go of files and locks."""

    def _turn(self, kind: str, share: float, judge: bool = True) -> dict[str, float]:
        queries = range(len(self.corpus.asked))
        for number in queries[:WARM_UP]:
            self.find(kind, number, share)
        gc.collect()
        took, found = [], []
        for number in queries:
            start = time.perf_counter()
            rows = self.find(kind, number, share)
            took.append(time.perf_counter() - start)
            found.append(rows)
        turn = {"ms": 1000 * median(took)}
        if kind == "vector" and judge:
            numbers = [self.numbers(rows) for rows in found]
            turn["recall"] = self.corpus.recall(numbers, share)
        return turn


def main() -> None:
    """Answer calls, one JSON a line; what a library prints goes to standard error."""
    born = time.time()
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    name, place, folder, rows = sys.argv[1:]
    corpus = Corpus(folder, int(rows))
    side = importlib.import_module(f"side_{name}").side(Path(place), corpus)
    print(json.dumps({"ready": time.time() - born}), file=answers, flush=True)
    for line in sys.stdin:
        call = json.loads(line)
        try:
            answer = {"ok": getattr(side, call["call"])(**call["with"])}
        except Exception as error:  # noqa: BLE001 - the driver records it and goes on
            traceback.print_exc()
            answer = {"failed": f"{type(error).__name__}: {error}"[:300]}
        print(json.dumps(answer), file=answers, flush=True)
    side.close()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
