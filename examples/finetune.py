"""Four sites train one model: three in the EEA, and one whose update the rules keep at home.

    python examples/finetune.py [--seeds 3] [--picture loss.svg] [--keep DIR]

Needs memory-fabric[federation,train]; with MEMORY_FABRIC_DATA the memories are medical questions
and answers of MedQuAD (CC BY 4.0), else the demo's records.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
from memory_fabric_federation.in_process import neighbours_grid
from memory_fabric_federation.report import Gain, curve_in_text, gains, loss_curve
from memory_fabric_federation.rounds import Plan, start
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from memory_fabric import operations
from memory_fabric.core.training import Lesson, Task
from memory_fabric.demo.records import story_records
from memory_fabric.wiring import Home, WorkerTrainer, create_home, open_home
from memory_fabric.wiring.paths import model_directory

SITES = {"fra-1": "DE", "par-1": "FR", "ams-1": "NL", "vir-1": "US"}
SOURCES = {
    "fra-1": ("NIDDK", "NINDS"),
    "par-1": ("GARD", "CDC"),
    "ams-1": ("GHR", "MPlusHealthTopics"),
    "vir-1": ("CancerGov", "NHLBI", "NIHSeniorHealth"),
}
TENANT, WHO = "health-alliance", {"os_user": "finetune"}
TRAINED, HELDOUT, PEOPLE = 400, 200, 60
console = Console(highlight=False)


class Stopwatch:
    """A trainer that adds up the time it takes, so that what the gate costs can be told."""

    def __init__(self, trainer: WorkerTrainer) -> None:
        self._trainer = trainer
        self.seconds = 0.0
        self._lock = threading.Lock()

    @property
    def model(self) -> str:
        return self._trainer.model

    @property
    def model_id(self) -> str:
        return self._trainer.model_id

    def initial(self, adapter: Any, seed: int) -> bytes:
        return self._trainer.initial(adapter, seed)

    def train(
        self, task: Task, arrays: bytes, texts: Sequence[str], heldout: Sequence[str]
    ) -> Lesson:
        # Sites ask at the same time and are served in turn: waiting is not training.
        with self._lock:
            started = time.monotonic()
            try:
                return self._trainer.train(task, arrays, texts, heldout)
            finally:
                self.seconds += time.monotonic() - started


def memories(site: str, data: Path | None) -> list[dict[str, Any]]:
    """What a site remembers: questions with their answers, each about one of its people."""
    if data is None:
        told = [str(row["memory"]) for rows in story_records().rows.values() for row in rows]
        texts = [(text, None) for text in told]
    else:
        rows = [
            row
            for source in SOURCES[site]
            for row in parquet.read_table(data / "medquad" / f"{source}.parquet").to_pylist()
        ]
        split = {
            name: [row for row in rows if row["split"] == name] for name in ("train", "heldout")
        }
        every = max(1, len(split["train"]) // TRAINED)
        chosen = split["train"][::every][:TRAINED] + split["heldout"][:HELDOUT]
        texts = [
            (f"Question: {row['question']}\nAnswer: {row['answer']}", row["split"])
            for row in chosen
        ]
    return [
        {
            "memory": text,
            "subjects": [f"{site}-patient-{number % PEOPLE}"],
            "metadata": {"split": split} if split else {},
            "label": {"purposes": ["training"]},
        }
        for number, (text, split) in enumerate(texts)
    ]


def grid(folder: Path, trainer: Stopwatch, data: Path | None, stack: ExitStack) -> dict[str, Home]:
    """The sites, linked, each with its memories, all but the first joined to it."""
    homes: dict[str, Home] = {}
    for name, region in SITES.items():
        create_home(folder / name, site_id=name, region=region, tenants=[TENANT])
        if homes:
            operations.run(homes["fra-1"], "link", WHO, {"address": str(folder / name)})
        else:
            homes[name] = stack.enter_context(open_home(folder / name, trainer=trainer))
    for name in SITES:
        if name not in homes:
            homes[name] = stack.enter_context(open_home(folder / name, trainer=trainer))
            homes[name].join("fra-1")
        told = operations.run(homes[name], "add", WHO, {"memories": memories(name, data)})
        console.print(f"  {name} in {SITES[name]}: {len(told['results'])} memories")
    return homes


def one_run(
    homes: dict[str, Home], trainer: Stopwatch, step: Any, seed: int, options: argparse.Namespace
) -> dict[str, Any]:
    """A run; its last state, with the share of the time that was not training."""

    def call(operation: str, **params: Any) -> dict[str, Any]:
        if operation == "finetune_relay" and params["site"] != "fra-1":
            # These homes are open in this process; elsewhere the letter goes through a socket.
            return operations.run(homes[params["site"]], "finetune_answer", WHO, params)
        return operations.run(homes["fra-1"], operation, WHO, params)

    task = {"steps": options.steps, "seed": seed, "heldout": HELDOUT}
    plan = Plan(f"medquad-{seed}", options.rounds, tuple(SITES), timeout=1200.0, task=task)
    with Progress(
        TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console,
        transient=True, disable=not console.is_terminal,
    ) as progress:  # fmt: skip
        bar = progress.add_task("training", total=3 * options.rounds * options.steps + 150)
        step.append(lambda: progress.advance(bar))
        with closing(neighbours_grid(call, list(SITES))) as nodes:
            return start(nodes, call, plan, told)


def told(entry: dict[str, Any]) -> None:
    """A round, as it ends."""
    console.print(f"round {entry['round']}: {entry['seconds']:.1f} s")
    for item in entry["accepted"]:
        facts = item["facts"]
        loss = "" if facts["loss"] is None else f", held-out loss before {facts['loss']:.4f}"
        console.print(f"  {item['site']}: taken in, receipt {item['receipts']['theirs']}{loss}")
    for item in entry["refused"]:
        why = item.get("code") or ", ".join(rule["id"] for rule in item["rules"])
        receipt = item.get("receipts", {}).get("theirs", item.get("receipt"))
        console.print(f"  {item['site']}: refused by {why}, receipt {receipt}")
    for item in entry["withheld"]:
        rules = ", ".join(rule["id"] for rule in item["rules"])
        console.print(f"  {item['site']}: not asked, {rules}, receipt {entry['receipt']}")


def table(found: list[list[Gain]]) -> None:
    """Base against federated loss at each site, with the spread where there are several seeds."""
    shown = Table(title="Held-out loss on answers, nats a token", title_justify="left")
    for column in ("site", "answers", "base", "federated", "gain", "spread over seeds"):
        shown.add_column(column)
    for same in zip(*found, strict=True):
        gain = [item.gain for item in same]
        spread = f"{min(gain):.4f} to {max(gain):.4f}" if len(gain) > 1 else "-"
        tuned = statistics.mean(item.tuned for item in same)
        shown.add_row(
            same[0].site, str(same[0].heldout), f"{same[0].base:.4f}", f"{tuned:.4f}",
            f"{statistics.mean(gain):.4f}", spread,
        )  # fmt: skip
    console.print(shown)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--model", default=None)
    parser.add_argument("--picture", type=Path, default=Path("finetune.svg"))
    options = parser.parse_args()
    named = os.environ.get("MEMORY_FABRIC_DATA")
    data = Path(named) if named else None
    begun = time.monotonic()
    steps: list[Any] = []
    more = {"model": options.model} if options.model else {}
    worker = WorkerTrainer(
        model_dir=model_directory(), step=lambda: steps[-1]() if steps else None, **more
    )
    trainer = Stopwatch(worker)
    with tempfile.TemporaryDirectory(prefix="memory-fabric-") as folder, ExitStack() as stack:
        stack.callback(worker.close)
        console.print("Four sites and their memories")
        homes = grid(Path(folder), trainer, data, stack)
        console.print(f"Base model {trainer.model}; unpacked once, then loaded")
        found, states = [], []
        for seed in range(options.seeds):
            trainer.seconds = 0.0
            state = one_run(homes, trainer, steps, seed, options)
            spent = sum(entry["seconds"] for entry in state["history"])
            share = (spent - trainer.seconds) / trainer.seconds
            console.print(
                f"Rounds {spent:.1f} s, of which training and measuring {trainer.seconds:.1f} s: "
                f"gate, receipts and letters add {100 * share:.1f}%"
            )
            found.append(gains(state))
            states.append(state)
        table(found)
        for line in curve_in_text(states[0]):
            console.print(line)
        options.picture.write_text(loss_curve(states[0]), "utf-8")
        for name, home in homes.items():
            checked = operations.run(home, "verify_site", WHO, {})
            damaged = len(checked["damaged"])
            console.print(f"{name}: {checked['receipts']} receipts verified, {damaged} damaged")
    console.print(f"Loss curve in {options.picture}; {time.monotonic() - begun:.0f} s in all")


if __name__ == "__main__":
    main()
