"""Plaintext LanceDB beside the sealed stack, in one run, as values and as ratios.

    make bench                          10,000, 30,000 and 100,000 rows; writes docs/benchmarks
    make bench ARGS="--rows 10000"      a quick look; writes nothing

With MEMORY_FABRIC_DATA set, real texts and their embeddings are measured too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

from compare import Comparison, compare
from corpus import real, synthetic
from report import show, write
from rich.console import Console
from timing import fsync_milliseconds, number

from memory_fabric.adapters.embedders import StaticEmbedder

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs" / "benchmarks"
SIZES = [10_000, 30_000, 100_000]


def machine(folder: Path) -> str:
    """Where this was measured."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("lancedb", "faiss-cpu", "numpy"))
    return (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores ({platform.machine()}), "
        f"Python {platform.python_version()}, {packages}.\nKeeping 4 KiB on this disk (fsync) "
        f"takes {number(fsync_milliseconds(folder))} ms. Load of the machine when the run began: "
        f"{os.getloadavg()[0]:.1f}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", help="sizes; default 10000 30000 100000")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where to write page, plots and results.json")
    asked = parser.parse_args()
    sizes = sorted(asked.rows or SIZES)
    out = asked.out or (None if asked.rows else DOCS)
    console = Console(width=140 if not sys.stdout.isatty() else None)

    def say(what: str) -> None:
        print(what, file=sys.stderr)

    found: list[Comparison] = []
    with tempfile.TemporaryDirectory(prefix="memory-fabric-bench-") as name:
        folder = Path(name)
        where = machine(folder)
        console.print(where, highlight=False)
        largest = synthetic(sizes[-1], asked.queries)
        for rows in sizes:
            place = folder / str(rows)
            found.append(compare(largest.first(rows), place, asked.repeats, say))
        on_real = None
        if data := os.environ.get("MEMORY_FABRIC_DATA"):
            embedder = StaticEmbedder()
            corpus = real(Path(data), embedder, asked.queries)
            on_real = compare(corpus, folder / "real", asked.repeats, say, embedder)
    for comparison in [*found, *([on_real] if on_real else [])]:
        show(console, comparison)
    say("policy, cold start")
    command = [sys.executable, str(HERE / "policy_cold_start.py"), "--json"]
    cold = subprocess.run(command, check=True, capture_output=True)  # noqa: S603
    others = {"policy": json.loads(cold.stdout)}
    console.print(others["policy"])
    if out:
        write(out, where, found, on_real, others)
        say(f"Written to {out}.")


if __name__ == "__main__":
    main()
