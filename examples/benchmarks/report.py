"""What was measured, for people: a table on the terminal, a page with plots."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from textwrap import fill
from typing import Any

from plot import Curve, lines
from rich.console import Console
from rich.table import Table
from targets import NAMES, Measured, Missing, Verdict, spread
from timing import Spread, number

GROWING = ("10k", "30k", "100k", "300k", "1m")
"""Parts that show how cost grows."""

PAGE = """\
# Benchmarks

Written by `make bench`; edits are lost. Why these figures and these settings:
[ADR 8](../adr/0008-benchmarks.md).

{machine}

## Targets

Each figure is the median of its repeats, with the least and the greatest in brackets. All sides
were measured in turns, each in a process of its own and by its own clock; a ratio is the median
of the turns' ratios, since other work on the machine meets all sides.

{met}

{targets}

## Beside the targets

{beside}

## How cost grows

Medians at each size, synthetic rows of 384 dimensions: sealed / plaintext LanceDB.

{growth}

![Time of a search by number of rows](search.svg)

![Time to open by number of rows](open.svg)

![Rows ingested a second by number of rows](ingest.svg)

![Resident memory by number of rows](memory.svg)

## What the rows mean

- *Search* is the search copy alone, asked through its port with the classes that policy permits;
  *whole recall* is what an app gets: decision of the gate, search by vector and text, fetching and
  opening of ten records, duties, signed receipt on the disk, answer. Queries come with their
  vector on every side: no model is measured.
- *Recall@10*: of the ten nearest rows by an exact comparison of all, how many were found. Each side
  runs with the fastest of several settings whose recall is enough, chosen anew for each filter.
- *Classes*: each row has one of 1,000 label classes. The peers filter by an index on the class
  number (chromadb by its metadata).
- *Bulk ingest*: rows with vectors, 10,000 a batch. LanceDB syncs nothing by itself; here its new
  files are synced after each batch. The sealed rows are sealed, accounted for in the ledger and
  found by the next search when the batch is acknowledged; LanceDB's indices are built later.
- *Single writes* arrive as JSON through the operation `add`. LanceDB's append is not synced;
  fsync is what this disk took for 4 KiB between the turns.
- *Open*: a fresh process, files in the page cache, until the first whole recall is answered. *Full
  speed*: until searches take at most 1.2 times what they take in the end.
- *Resident memory*: of that process (VmRSS, VmHWM), interpreter and libraries included.
- *Erase*: the operation `forget`. Bytes are gone when the sealed records of that subject stand
  in no file of the home any more.
- *1m-real*: {real}

## Run it again

```sh
make bench                                  # everything
make bench ARGS="--quick"                   # a look at small sizes; writes nothing
make bench ARGS="--part 100k --only erase"  # one step of one part anew
make bench ARGS="--resume"                  # what is missing or failed
```

`make bench` installs the peers into an environment of their own, `.venv/bench`. The parts:

{parts}
{more}"""

REAL = (
    "MedQuAD's answers in windows of one to three sentences and Banking77's queries "
    "(`MEMORY_FABRIC_DATA`), 20,000 of them embedded by the best embedder installed "
    "(`make minilm` for MiniLM). The rest are pairs of these texts, half from one answer and half "
    "from one source, with both texts and a mixture of both vectors in a random proportion: what a "
    "model that takes the mean over its tokens gives for both together, but for what attention "
    "changes. Asked are MedQuAD's held-out questions. 20k-real is the 20,000 alone."
)


def show(verdicts: Sequence[Verdict]) -> None:
    """The table of targets on a terminal."""
    table = Table(title="Targets", title_justify="left")
    for heading in HEADINGS:
        table.add_column(heading)
    for row in cells(verdicts):
        table.add_row(*row)
    Console(width=180).print(table)


HEADINGS = ("", "sealed", "plaintext", "ratio", "target", "met")


def cells(verdicts: Sequence[Verdict]) -> list[list[str]]:
    words = {True: "yes", False: "**no**", None: "-"}
    return [
        [one.what, one.ours, one.peers, one.ratio, one.target, words[one.met]] for one in verdicts
    ]


def write(folder: Path, parts: Mapping[str, Any], verdicts: Sequence[Verdict]) -> None:
    """The page and its plots."""
    measured = Measured(parts)
    met = sum(one.met is True for one in verdicts)
    missed = sum(one.met is False for one in verdicts)
    page = PAGE.format(
        machine=fill(machines(parts), 100, break_on_hyphens=False),
        met=f"Met: {met} of {len(verdicts)}; missed: {missed}; not judged: "
        f"{len(verdicts) - met - missed}.",
        targets=markdown(HEADINGS, cells(verdicts)),
        beside=markdown(("", "figures"), list(beside(measured))),
        growth=growth(measured),
        real=fill(REAL, 98, subsequent_indent="  "),
        parts=markdown(("part", "rows", "steps", "measured", "load", "minutes"), listed(parts)),
        more=policy(measured),
    )
    (folder / "README.md").write_text(page, "utf-8")
    for name, unit, names in PLOTS:
        curves = [curve for title in names for curve in curves_of(measured, title)]
        if curves:
            (folder / f"{name}.svg").write_text(lines(curves, unit), "utf-8")


def beside(measured: Measured) -> Iterator[list[str]]:
    """What no target asks for and a reader would."""
    for part in ("20k-real", "20k", "100k"):
        for title, get in BESIDE.items():
            try:
                shown = get(measured, part)
            except (Missing, LookupError):
                continue
            if shown:
                yield [f"{title}, {part}", shown]


def _real(measured: Measured, part: str) -> str:
    found = measured.get(part, "search")["1.0"] if part.endswith("real") else {}
    return "; ".join(
        f"{NAMES[name]} {spread(each['ms'])} ms, recall {each['recall']:.3f}"
        for name, each in found.items()
    )


def _without_codes(measured: Measured, part: str) -> str:
    """The figure that others publish: no codes beside the vectors."""
    shown = []
    for share, enough in (("1.0", 0.99), ("0.5", 0.98), ("0.01", 0.98)):
        tried = measured.get(part, "search")[share]["qdrant"]["tried"]
        plain = [ms for ms, recall, setting in tried if recall >= enough and not setting[1]]
        shown.append(f"{float(share):.0%} of the classes {number(min(plain))} ms" if plain else "")
    return "; ".join(filter(None, shown))


def _recalls(measured: Measured, part: str) -> str:
    found = measured.get(part, "recall")
    names = {"half": "research, half of the classes", "hundredth": "fraud, 1%",
             "about": "about one subject"}  # fmt: skip
    return "; ".join(f"{title} {spread(found[name])} ms" for name, title in names.items())


def _rest(measured: Measured, part: str) -> str:
    index = measured.get(part, "fill")["index"]
    return "; ".join(f"{NAMES[name]} {number(took)} s" for name, took in index.items())


BESIDE: dict[str, Callable[[Measured, str], str]] = {
    "vector search of real texts": _real,
    "qdrant-edge without its int8 codes": _without_codes,
    "whole recalls for other purposes": _recalls,
    "after the ingest until all indices rest (chromadb and qdrant-edge: all of it)": _rest,
}

# --- growth --------------------------------------------------------------------------------------

Getter = Callable[[Measured, str, str], Spread]


def _vector(measured: Measured, part: str, side: str) -> Spread:
    return spread(measured.get(part, "search")["1.0"].get(side, {}).get("ms"))


def _words(kind: str) -> Getter:
    return lambda measured, part, side: spread(measured.get(part, "text")[kind].get(side))


def _recall(measured: Measured, part: str, side: str) -> Spread:
    return spread(measured.get(part, "recall")["recall"] if side == "sealed" else ())


def _open(measured: Measured, part: str, side: str) -> Spread:
    return spread([turn["first_answer"] for turn in measured.get(part, "open")[side]])


def _ingest(measured: Measured, part: str, side: str) -> Spread:
    return spread(measured.get(part, "fill")["rates"].get(side))


def _memory(which: str) -> Getter:
    def get(measured: Measured, part: str, side: str) -> Spread:
        found = measured.get(part, "open")
        if side == "sealed":
            return Spread((found["memory"]["used"][which] / 1e6,))
        if which == "now":
            return Spread((found["content_bytes"] / 1e6,))
        raise Missing("not measured")

    return get


GROWTH: dict[str, tuple[str, Getter]] = {
    "Bulk ingest": ("rows/s", _ingest),
    "Vector search": ("ms", _vector),
    "Full text search": ("ms", _words("text")),
    "Hybrid search": ("ms", _words("hybrid")),
    "Whole recall": ("ms", _recall),
    "Open, to the first answer": ("s", _open),
    "Resident memory / vectors + text": ("MB", _memory("now")),
    "Resident memory at most": ("MB", _memory("most")),
}
PLOTS = (
    ("search", "ms", ("Vector search", "Hybrid search", "Whole recall")),
    ("open", "s", ("Open, to the first answer",)),
    ("ingest", "rows/s", ("Bulk ingest",)),
    ("memory", "MB", ("Resident memory / vectors + text", "Resident memory at most")),
)


def growth(measured: Measured) -> str:
    def cell(get: Getter, part: str) -> str:
        shown = []
        for side in ("sealed", "lancedb"):
            try:
                shown.append(number(get(measured, part, side).median))
            except Missing:
                shown.append("-")
        return " / ".join(shown)

    rows = [
        [title, unit, *(cell(get, part) for part in GROWING)]
        for title, (unit, get) in GROWTH.items()
    ]
    return markdown(("", "unit", *GROWING), rows)


def curves_of(measured: Measured, title: str) -> Iterator[Curve]:
    """Of the sealed stack and of LanceDB, as far as they were measured."""
    _, get = GROWTH[title]
    for side in ("sealed", "lancedb"):
        points = []
        for part in GROWING:
            try:
                found = get(measured, part, side)
                points.append((measured.parts[part]["fill"]["rows"], found.median))
            except Missing:
                continue
        if points:
            label = title if side == "sealed" else f"{title}, LanceDB"
            if title.startswith("Resident memory / "):
                label = "Resident memory" if side == "sealed" else "Vectors + text"
            yield Curve(label, title, side == "sealed", points)


# --- the rest ------------------------------------------------------------------------------------


def machines(parts: Mapping[str, Any]) -> str:
    """Where, when and with what versions: usually one line."""
    steps = [step for part in parts.values() for step in part.values()]
    places = dict.fromkeys(step["machine"] for step in steps)
    dates = sorted(step["date"] for step in steps)
    results = [part.get("fill", {}).get("result", {}) for part in parts.values()]
    versions = dict.fromkeys(one for found in results for one in found.get("versions", {}).values())
    commits = dict.fromkeys(step["commit"] for step in steps)
    return (
        f"Measured {dates[0]} to {dates[-1]} on {'; '.join(places)}. Versions: "
        f"{'; '.join(versions)}. Commit {', '.join(commits)}."
        if steps
        else "Nothing was measured yet."
    )


def listed(parts: Mapping[str, Any]) -> list[list[str]]:
    """Each part: when it was measured, and the load of the machine meanwhile."""
    rows = []
    for name, steps in parts.items():
        whole = list(steps.values())
        failed = [step for step, found in steps.items() if "failed" in found]
        loads = [found["load"] for found in whole]
        rows.append([
            name, f"{whole[0].get('rows', 0):,}" if "rows" in whole[0] else "",
            ", ".join(steps) + (f"; failed: {', '.join(failed)}" if failed else ""),
            max(found["date"] for found in whole), f"{min(loads):.1f} to {max(loads):.1f}",
            f"{sum(found['seconds'] for found in whole) / 60:.1f}",
        ])  # fmt: skip
    return rows


def policy(measured: Measured) -> str:
    """A line on the gate alone."""
    try:
        cold = measured.get("policy", "policy")
    except Missing:
        return ""
    return (
        f"\n## The gate alone\n\nA destination never met before, {cold['classes']:,} label "
        f"classes, {cold['rules']} rules, all five forms\n(`policy_cold_start.py`): decided in "
        f"{cold['cold_start_to_FR_s']} s for France, where {cold['granted_to_FR']} are granted, "
        f"and in\n{cold['cold_start_to_US_s']} s for the United States, where "
        f"{cold['granted_to_US']} are; the second time in {1000 * cold['warm_to_FR_s']:.1f} ms.\n"
    )


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---"] * len(headings)
    return "\n".join(f"| {' | '.join(row)} |" for row in [list(headings), rule, *rows])
