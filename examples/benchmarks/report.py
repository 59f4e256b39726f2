"""What was measured, for people and for machines: a table, a page, plots, JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from compare import Comparison
from plot import lines
from rich.console import Console
from rich.table import Table
from timing import Figure, Spread, number

GROWING = (
    "Bulk ingest, both fsynced", "Vector search", "Full text search", "Hybrid search",
    "Whole recall", "Whole recall about one subject", "Open, to the first answer",
    "Single write, both fsynced",
)  # fmt: skip
"""Figures shown at every size."""

PAGE = """\
# Benchmarks

Written by `make bench`; edits are lost. Why these figures and these settings:
[ADR 8](../adr/0008-benchmarks.md).

{machine}

Each figure is the median of its repeats, with the least and the greatest in brackets. Both sides
were measured in turns; the ratio (sealed to plaintext) is the median of the turns' ratios, since
other work on a machine meets both. In milliseconds, seconds and megabytes less is better, in rows
a second more.

{tables}

- *Bulk ingest*: rows with vectors in ten batches. Plain LanceDB syncs nothing to the disk and has
  no index until one is built; the sealed stack has both when it acknowledges. So there are three
  lines: as it is, with the files synced, and until all indices are built.
- *Search* is the search alone; *whole recall* is what an app gets: decision of the gate, search
  by vector and text, opening, duties, signed receipt on the disk, answer. It stands beside
  LanceDB's hybrid search that returns the texts.
- *Classes*: each row has one of 100 label classes. LanceDB filters by a bitmap index; a recall is
  filtered by what policy permits for its purpose.
- *Open*: files in the page cache. The sealed stack decrypts every record, checks it against the
  ledger and rebuilds its indices in memory; LanceDB reads its indices from the disk.

## How cost grows

{growth}

![Time of a search by number of rows](search.svg)

![Time to open by number of rows](open.svg)
{more}"""


def show(console: Console, comparison: Comparison) -> None:
    """The table on a terminal."""
    table = Table(title=title(comparison), title_justify="left")
    for heading in ("", "unit", "plaintext LanceDB", "sealed stack", "ratio"):
        table.add_column(heading, justify="left" if heading in ("", "unit") else "right")
    for row in cells(comparison):
        table.add_row(*row)
    console.print(table)


def write(
    folder: Path, machine: str, sizes: Sequence[Comparison], real: Comparison | None,
    others: dict[str, Any],
) -> None:  # fmt: skip
    """The page, its plots and the numbers behind them."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = [sizes[-1], *([real] if real else [])]
    headings = ["", "unit", "plaintext LanceDB", "sealed stack", "ratio"]
    tables = [f"## {title(item)}\n\n{markdown(headings, cells(item))}" for item in shown]
    page = PAGE.format(
        machine=machine, tables="\n\n".join(tables), growth=growth(sizes), more=policy(others)
    )
    (folder / "README.md").write_text(page, "utf-8")
    for name, names, unit in (
        ("search", ("Vector search", "Hybrid search", "Whole recall"), "ms"),
        ("open", ("Open, to the first answer",), "s"),
    ):
        drawing = lines([item.rows for item in sizes], curves(sizes, names), unit)
        (folder / f"{name}.svg").write_text(drawing, "utf-8")
    numbers = {
        "machine": machine,
        "comparisons": [as_json(item) for item in [*sizes, *([real] if real else [])]],
        **others,
    }
    (folder / "results.json").write_text(json.dumps(numbers, indent=1) + "\n", "utf-8")


def title(comparison: Comparison) -> str:
    return f"{comparison.rows:,} rows of {comparison.dim} dimensions: {comparison.corpus}"


def cells(comparison: Comparison) -> list[list[str]]:
    return [
        [figure.name, figure.unit, str(figure.plain), str(figure.sealed), str(figure.ratio)]
        for figure in comparison.figures.values()
    ]


def growth(sizes: Sequence[Comparison]) -> str:
    """Medians at each size: plaintext / sealed."""

    def cell(figure: Figure) -> str:
        return f"{number(figure.plain.median)} / {number(figure.sealed.median)}"

    rows = [
        [name, sizes[0].figures[name].unit, *(cell(item.figures[name]) for item in sizes)]
        for name in GROWING
    ]
    return "Plaintext / sealed, medians.\n\n" + markdown(
        ["", "unit", *(f"{item.rows:,}" for item in sizes)], rows
    )


def curves(
    sizes: Sequence[Comparison], names: Sequence[str]
) -> list[tuple[str, bool, list[float]]]:
    """Label, whether sealed, and medians by size."""
    found = []
    for name in names:
        figures = [item.figures[name] for item in sizes]
        if name != "Whole recall":
            medians = [figure.plain.median for figure in figures]
            found.append((f"{name}, plaintext", False, medians))
        found.append((f"{name}, sealed", True, [figure.sealed.median for figure in figures]))
    return found


def policy(others: dict[str, Any]) -> str:
    """A line on the gate alone."""
    if not (cold := others.get("policy")):
        return ""
    return (
        f"\n## The gate alone\n\nA destination never met before, {cold['classes']:,} label "
        f"classes, {cold['rules']} rules, all five forms\n(`policy_cold_start.py`): decided in "
        f"{cold['cold_start_to_FR_s']} s for France, where {cold['granted_to_FR']} are granted, "
        f"and in\n{cold['cold_start_to_US_s']} s for the United States, where "
        f"{cold['granted_to_US']} are; the second time in {1000 * cold['warm_to_FR_s']:.1f} ms.\n"
    )


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", "---", *("---:" for _ in headings[2:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in [headings, rule, *rows])


def as_json(comparison: Comparison) -> dict[str, Any]:
    def spread(values: Spread) -> dict[str, Any]:
        return {"median": values.median, "all": values.values}

    return {
        "corpus": comparison.corpus,
        "rows": comparison.rows,
        "dim": comparison.dim,
        "plaintext_settings": comparison.settings,
        "figures": [
            {
                "name": figure.name,
                "unit": figure.unit,
                "plaintext": spread(figure.plain),
                "sealed": spread(figure.sealed),
                "ratio": spread(figure.ratio),
            }
            for figure in comparison.figures.values()
        ],
    }
