"""How far the time of a recall tells what is held back (guarantee 7 in docs/internals/security.md).

    python examples/benchmarks/walls.py [--hidden 400] [--turns 400] [--rows 5000]

Pairs of questions whose answers are alike, where behind the second one stand memories that policy
does not let out. They are asked in turns, in random order, on one home, each time with a new text.
The hidden memories hold the words of the questions, so that a search that looked at them would
have the most to do. Printed are the medians, the difference with its 95% interval (bootstrap), and
how often the slower of two single answers is the one with something behind it: 50% is a coin.
Wall time is what an app sees; the thread's processor time is the same on a machine that does
nothing else, and tells small differences on one that does.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from memory_fabric import operations
from memory_fabric.core.drafts import Draft
from memory_fabric.core.labels import Consent, DataClass, LabelClass
from memory_fabric.core.memory import Vector
from memory_fabric.core.places import Region
from memory_fabric.flows.remember import remember
from memory_fabric.wiring import Home, create_home, open_home

TENANT = "bench"
WHO = {"os_user": "bench"}
SHOWN = 10
"""Memories that each subject shows."""
WORDS = "blue tea morning walk garden letter doctor piano winter bread river visit".split()

Floats = npt.NDArray[np.float64]


class Embedder:
    """A vector for each text: the same for the same, and unrelated for others."""

    id = "walls"
    name = "chance"
    dim = 384

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> Vector:
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
        drawn = np.random.default_rng(seed).standard_normal(self.dim)
        return (drawn / np.linalg.norm(drawn)).astype("<f4").tobytes()


@dataclass(frozen=True)
class Pair:
    """Two questions with like answers; behind the second one something is held back."""

    name: str
    open: dict[str, Any]
    walled: dict[str, Any]


def a_class(purpose: str, consent: Consent) -> LabelClass:
    return LabelClass(
        Region("DE"), TENANT, DataClass.CONFIDENTIAL, True, frozenset(), frozenset({purpose}),
        consent,
    )  # fmt: skip


def drafts(
    subject: str, count: int, purpose: str = "care", consent: Consent = Consent.GIVEN
) -> list[Draft]:
    random = np.random.default_rng(len(subject) + count)
    return [
        Draft(
            text=f"{' '.join(random.choice(WORDS, 8))} {purpose} {number}",
            subjects=(subject,),
            data_class=DataClass.CONFIDENTIAL,
            personal=True,
            purposes=frozenset({purpose}),
            consent=consent,
        )
        for number in range(count)
    ]


def fill(home: Home, rows: int, hidden: int) -> list[Pair]:
    """Memories in the home, and the questions to ask it."""
    requester = operations.operator(home, "bench", TENANT)

    def keep(some: list[Draft]) -> None:
        for start in range(0, len(some), 1000):
            remember(home.node, requester, some[start : start + 1000])

    for number in range(rows // 100):
        keep(drafts(f"other-{number}", 100))
    keep(drafts("anna", SHOWN) + drafts("ben", SHOWN))
    keep(drafts("ben", hidden, "research") + drafts("fay", hidden, "research"))
    keep(drafts("cleo", SHOWN) + drafts("dan", SHOWN) + drafts("gus", 1, "research"))
    keep(drafts("dan", hidden, consent=Consent.WITHDRAWN))
    about = [{"subject": name, "purpose": "care"} for name in
             ("anna", "ben", "cleo", "dan", "eve", "fay")]  # fmt: skip
    return [
        Pair(f"{SHOWN} shown; {hidden} for another purpose", about[0], about[1]),
        Pair(f"{SHOWN} shown; {hidden} without consent", about[2], about[3]),
        Pair(f"nothing shown; {hidden} for another purpose", about[4], about[5]),
    ]


def measured(home: Home, pairs: Sequence[Pair], turns: int) -> dict[tuple[int, int], Floats]:
    """Milliseconds of each answer, on the wall and on the processor, for each side of each pair."""
    random = np.random.default_rng(20261125)
    asked = [(at, side) for at in range(len(pairs)) for side in (0, 1)]
    found: dict[tuple[int, int], list[list[float]]] = {key: [] for key in asked}
    for turn in range(turns + 20):
        for at, side in random.permutation(asked).tolist():
            scope = (pairs[at].open, pairs[at].walled)[side]
            query = f"{' '.join(random.choice(WORDS, 4))} {turn}"
            start = (time.perf_counter(), time.thread_time())
            operations.run(home, "search", WHO, {"query": query, **scope})
            took = (time.perf_counter() - start[0], time.thread_time() - start[1])
            if turn >= 20:
                found[at, side].append([1000 * seconds for seconds in took])
    return {key: np.array(times) for key, times in found.items()}


def told(pair: Pair, first: Floats, second: Floats) -> str:
    random = np.random.default_rng(1)
    drawn = [
        np.median(random.choice(second, len(second))) - np.median(random.choice(first, len(first)))
        for _ in range(2000)
    ]
    low, high = np.percentile(drawn, [2.5, 97.5])
    slower = float(np.mean(second[:, None] > first[None, :]))
    difference = np.median(second) - np.median(first)
    return (
        f"{pair.name:46} {np.median(first):7.2f} {np.median(second):7.2f} "
        f"{difference:+8.3f} ({low:+.3f} to {high:+.3f})  {slower:4.0%}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=400)
    parser.add_argument("--turns", type=int, default=400)
    parser.add_argument("--rows", type=int, default=5000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="memory-fabric-walls-") as folder:
        path, embedder = Path(folder) / "home", Embedder()
        create_home(path, site_id="walls-1", region="DE", tenants=[TENANT], embedder=embedder)
        with open_home(path, embedder=embedder) as home:
            home.declare(
                [a_class("care", Consent.GIVEN), a_class("care", Consent.NONE),
                 a_class("research", Consent.GIVEN)]
            )  # fmt: skip
            pairs = fill(home, asked.rows, asked.hidden)
            results = measured(home, pairs, asked.turns)
    for clock, what in enumerate(("wall", "processor")):
        title = f"{what}, ms, median"
        print(f"{title:46} {'open':>7} {'walled':>7} {'difference (95%)':>27}  slower")
        for at, pair in enumerate(pairs):
            print(told(pair, results[at, 0][:, clock], results[at, 1][:, clock]))


if __name__ == "__main__":
    main()
