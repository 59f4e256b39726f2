"""The sealed stack beside plaintext LanceDB, chromadb and qdrant-edge, in one run.

    make bench                                  everything: half an hour; writes docs/benchmarks
    make bench ARGS="--quick"                   10,000 and 20,000 rows, a look; writes nothing
    make bench ARGS="--part 100k"               one part anew, the others as they were
    make bench ARGS="--part 100k --only erase"  one step of it (what it stands on is built first)
    make bench ARGS="--resume"                  what is missing or failed, or is of another version
    make bench ARGS="--page"                    the page anew from what was measured

With MEMORY_FABRIC_DATA set, vectors of real texts are measured too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from corpus import Corpus
from making import real, synthetic
from report import show, write
from stages import STAGES, STEPS, Bench, Stage, epoch, fill, measured
from targets import QUICK, USUAL, Measured, judged
from timing import fsync_milliseconds, number

from memory_fabric.adapters.embedders import StaticEmbedder, default_embedder
from memory_fabric.wiring.paths import model_directory

HERE = Path(__file__).parent
DOCS = HERE.parents[1] / "docs" / "benchmarks"
SUBJECTS = 1_000_000
ALONE = ("epoch", "policy")
"""Parts that need no corpus of their own."""
PARTS = (*STAGES, *ALONE)


class Results:
    """What was measured, kept in a file after every step."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        kept = json.loads(file.read_text("utf-8")) if file and file.exists() else {}
        self.parts: dict[str, Any] = kept.get("parts", {})

    def fresh(self, part: str, step: str, commit: str) -> bool:
        """Whether a step was measured, whole, on this version."""
        found = self.parts.get(part, {}).get(step, {"failed": ""})
        return "failed" not in found and found["commit"] == commit

    def measure(self, part: str, step: str, about: dict[str, Any], run: Callable[[], Any]) -> None:
        """Run a step and keep what it found, or why it failed: the rest goes on."""
        say(f"{part}: {step}")
        start = time.monotonic()
        kept = {**about, "date": time.strftime("%Y-%m-%d %H:%M"), "load": os.getloadavg()[0]}
        try:
            kept["result"] = run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next step is another one
            kept["failed"] = f"{type(error).__name__}: {error}"[:300]
            say(f"  {kept['failed']}")
        kept["seconds"] = round(time.monotonic() - start, 1)
        self.parts.setdefault(part, {})[step] = kept
        if self._file:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            self._file.write_text(json.dumps({"parts": self.parts}, indent=1) + "\n", "utf-8")


def say(what: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)


def commit() -> str:
    """The version that is measured, with a plus where files differ from it."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(DOCS.parents[1]), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603

    try:
        changed = git("status", "--porcelain", "--", ".", ":!docs/benchmarks")
        return git("rev-parse", "--short", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def machine(folder: Path) -> dict[str, Any]:
    """Where this was measured."""
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines())
    fsync = sorted(fsync_milliseconds(folder))[25]
    return {
        "commit": commit(),
        "machine": f"{os.cpu_count()} cores ({platform.machine()}), "
        f"{int(memory.split()[1]) / 1e6:.0f} GB, Python {platform.python_version()}, "
        f"fsync of 4 KiB {number(fsync)} ms",
    }


def measure_stage(
    name: str, stage: Stage, steps: Sequence[str], corpora: Path, folder: Path, repeats: int,
    results: Results, about: dict[str, Any],
) -> None:  # fmt: skip
    """Build a stage and measure the wanted steps on it."""
    corpus = Corpus(corpora, stage.rows)
    about = {**about, "rows": stage.rows, "dim": corpus.dim, "corpus": corpus.name}
    peers = {"search", "throughput"}.intersection(steps)
    sides = tuple(side for side in stage.sides if peers or side in ("sealed", "lancedb"))
    with measured(Bench(stage, corpus, folder, repeats), sides) as bench:
        results.measure(name, "fill", about, partial(fill, bench))
        for step in steps:
            results.measure(name, step, about, partial(STEPS[step], bench))


def corpora_for(
    stages: Sequence[Stage], folder: Path, queries: int, quick: bool
) -> dict[bool, Path]:
    """The corpora that these stages need, made once at the largest size; by whether real."""
    found: dict[bool, Path] = {}
    for is_real in (False, True):
        sizes = [stage.rows for stage in stages if stage.real is is_real]
        place = folder / ("real" if is_real else "synthetic")
        if not sizes:
            continue
        try:
            if is_real:
                embedder = StaticEmbedder() if quick else default_embedder(model_directory())
                say(f"corpus of {max(sizes):,} rows from real texts, by {embedder.name}")
                data = Path(os.environ["MEMORY_FABRIC_DATA"])
                real(place, data, embedder, max(sizes), queries)
            else:
                say(f"corpus of {max(sizes):,} rows")
                synthetic(place, max(sizes), queries)
            found[is_real] = place
        except Exception as error:  # noqa: BLE001 - the other one can be measured nevertheless
            say(f"  {type(error).__name__}: {error}")
    return found


def wanted(asked: argparse.Namespace) -> Iterator[tuple[str, Stage | None, tuple[str, ...]]]:
    """Part, stage and steps to measure."""
    names = asked.part or (("10k", "20k", "20k-real", *ALONE) if asked.quick else PARTS)
    for name in names:
        stage = STAGES.get(name)
        if stage is None:
            yield name, None, ()
        elif stage.real and "MEMORY_FABRIC_DATA" not in os.environ:
            say(f"{name}: left out, MEMORY_FABRIC_DATA is not set")
        else:
            steps = STAGES["100k"].steps if asked.quick and name == "20k" else stage.steps
            yield (
                name,
                replace(stage, steps=steps),
                tuple(step for step in steps if not asked.only or step in asked.only),
            )


def policy() -> Any:
    command = [sys.executable, str(HERE / "policy_cold_start.py"), "--json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--part", nargs="+", choices=PARTS, help="only these parts")
    parser.add_argument("--only", nargs="+", choices=list(STEPS), help="only these steps of them")
    parser.add_argument("--quick", action="store_true", help="small sizes; writes nothing")
    parser.add_argument("--resume", action="store_true", help="leave what was measured as it is")
    parser.add_argument("--page", action="store_true", help="only write the page anew")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path, help="where page, plots and results.json go")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # gigabytes would be left behind
    out = asked.out or (None if asked.quick else DOCS)
    results = Results(out / "results.json" if out else None)
    if not asked.page:
        with tempfile.TemporaryDirectory(prefix="memory-fabric-bench-") as name:
            measure(asked, Path(name), results)
    parts = QUICK if asked.quick else USUAL
    verdicts = judged(Measured(results.parts), parts)
    show(verdicts)
    if out:
        write(out, results.parts, verdicts)
        say(f"Written to {out}.")


def measure(asked: argparse.Namespace, folder: Path, results: Results) -> None:
    about = machine(folder)
    todo = []
    for name, stage, steps in wanted(asked):
        if asked.resume:
            steps = tuple(step for step in steps if not results.fresh(name, step, about["commit"]))
            if not (steps if stage else not results.fresh(name, name, about["commit"])):
                continue
        todo.append((name, stage, steps))
    stages = [stage for _, stage, _ in todo if stage]
    corpora = corpora_for(stages, folder, asked.queries, asked.quick)
    for name, stage, steps in todo:
        if stage and stage.real not in corpora:
            say(f"{name}: left out, its corpus could not be made")
        elif stage:
            measure_stage(name, stage, steps, corpora[stage.real], folder / name, asked.repeats,
                          results, about)  # fmt: skip
            shutil.rmtree(folder / name, ignore_errors=True)
        elif name == "policy":
            results.measure(name, name, about, policy)
        else:
            synthetic(folder / "tiny", 100, 10)
            bench = Bench(STAGES["10k"], Corpus(folder / "tiny", 100), folder / name, asked.repeats)
            subjects = 20_000 if asked.quick else SUBJECTS
            with measured(bench, ("sealed",)):
                results.measure(name, name, about, partial(epoch, bench, subjects))


if __name__ == "__main__":
    main()
