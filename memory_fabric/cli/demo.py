"""``demo``: the whole story on this machine."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import RenderableType
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from memory_fabric.cli.output import Output
from memory_fabric.cli.session import session
from memory_fabric.core.errors import HomeError

if TYPE_CHECKING:
    from memory_fabric import demo as story

_STYLES = {
    "full": "green", "redacted": "yellow", "vectors_only": "yellow", "proved": "green",
    "denied": "red", "partly_withheld": "yellow", "done": "green",
}  # fmt: skip
_WHOLE = ("site", "form", "rule", "allowed by", "receipt", "root of the log", "pieces on disk")
"""Columns whose cells stay on one line."""
_HELD, _BROKEN = ("✓", "green"), ("✗", "bold red")


def demo(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(help="Your own records: a .jsonl, .csv or .parquet file.")
    ] = None,
    keep: Annotated[
        Path | None, typer.Option(help="Keep the homes in this folder, to go on with.")
    ] = None,
) -> None:
    """The whole story on this machine: remember, cross borders, refuse, erase, prove."""
    from memory_fabric import demo as story  # engines and all: only where it is told

    output = session(context).output
    folder = _folder(keep)
    try:
        supply = story.own_records(data) if data else story.story_records()
        with story.own_temporary_directory(folder / "tmp"):
            held = _play(output, supply, story.tell(folder, supply))
        if keep:
            _go_on(output, folder, story.HOME)
    finally:
        shutil.rmtree(folder / "tmp" if keep else folder, ignore_errors=True)
    if not held:
        raise typer.Exit(1)


def _play(output: Output, supply: story.Supply, chapters: list[story.Chapter]) -> bool:
    """Tell every chapter; whether all expectations held."""
    started = time.monotonic()
    output.show(_title(supply))
    outcomes: list[story.Outcome] = []
    for number, chapter in enumerate(chapters, 1):
        output.show(*_announced(number, chapter))
        with output.waiting(f"[dim]{number} of {len(chapters)}: {chapter.title}"):
            outcome = chapter.play()
        output.show(*_told(outcome))
        outcomes.append(outcome)
    took = time.monotonic() - started
    output.show(*_summary(outcomes, took))
    held = all(outcome.held for outcome in outcomes)
    if output.as_json:
        output.json(_document(chapters, outcomes, held, took))
    return held


def _folder(keep: Path | None) -> Path:
    """An empty folder for the homes."""
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="memory-fabric-demo-"))
    if keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise HomeError(
            "home-exists",
            "There is something at this place already.",
            "Name a folder that does not exist yet.",
        )
    keep.mkdir(parents=True, exist_ok=True)
    return keep.resolve()


def _document(
    chapters: list[story.Chapter], outcomes: list[story.Outcome], held: bool, took: float
) -> dict[str, Any]:
    steps = [
        {"title": chapter.title, "why": chapter.why, "commands": list(chapter.commands),
         "held": outcome.held, **outcome.to_json()}
        for chapter, outcome in zip(chapters, outcomes, strict=True)
    ]  # fmt: skip
    return {"held": held, "seconds": round(took, 1), "steps": steps}


# --- on a terminal ------------------------------------------------------------------------------


def _title(supply: story.Supply) -> RenderableType:
    whose = "Your own records" if supply.own else "Everybody in these records is made up"
    text = Text.assemble(
        ("Memory Fabric", "bold"), "  federated memory that asks the law before it travels\n",
        (f"{whose}.\nThe rules are a template for counsel, not legal advice.", "dim"),
    )  # fmt: skip
    return Panel(text, box=box.ROUNDED, border_style="cyan", padding=(0, 2))


def _announced(number: int, chapter: story.Chapter) -> list[RenderableType]:
    heading = Rule(Text(f"{number}  {chapter.title}", "bold cyan"), align="left", style="cyan")
    lines = [Text(f"$ {command}", "cyan dim") for command in chapter.commands]
    return [Text(), heading, Text(chapter.why, "italic"), *lines, Text()]


def _told(outcome: story.Outcome) -> list[RenderableType]:
    printed: list[RenderableType] = []
    for table in outcome.tables:
        printed += [_table(table.title, table.columns, table.rows), Text()]
    if not printed and not outcome.checks:
        printed.append(Text(f"Left out. {outcome.summary.came}", style="yellow"))
    return [*printed, *map(_check, outcome.checks)]


def _check(check: story.Check) -> Text:
    mark, style = _HELD if check.held else _BROKEN
    return Text.assemble((mark, style), " ", (check.expected, "dim" if check.held else style))


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> Table:
    table = Table(
        title=title or None, title_justify="left", title_style="bold", header_style="dim",
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False,
    )  # fmt: skip
    for place, name in enumerate(columns):
        numbers = bool(rows) and all(row[place].isdecimal() for row in rows)
        table.add_column(
            name, no_wrap=name in _WHOLE, overflow="fold", justify="right" if numbers else "left"
        )
    for row in rows:
        table.add_row(*map(_cell, row))
    return table


def _cell(text: str) -> Text:
    """A cell; its second line is a remark."""
    first, _, remark = text.partition("\n")
    cell = Text(first, _STYLES.get(first, ""))
    return cell.append(f"\n{remark}", "dim") if remark else cell


def _summary(outcomes: list[story.Outcome], took: float) -> list[RenderableType]:
    checks = [check for outcome in outcomes for check in outcome.checks]
    broken = [check for check in checks if not check.held]
    rows = [
        (outcome.summary.asked, outcome.summary.came, ", ".join(outcome.summary.rules))
        for outcome in outcomes
    ]
    heading = Rule(Text("What happened", "bold cyan"), align="left", style="cyan")
    verdict = (
        Text(
            f"{len(broken)} of {len(checks)} expectations did not hold ({took:.1f} s).", _BROKEN[1]
        )
        if broken
        else Text(f"All {len(checks)} expectations held ({took:.1f} s).", "bold green")
    )
    columns = ("asked", "what came", "by rule")
    return [Text(), heading, _table("", columns, rows), Text(), *map(_check, broken), verdict]


def _go_on(output: Output, folder: Path, home: str) -> None:
    output.say(f"\nThe homes are kept. Go on with them:\n  cd {folder}", "bold")
    for command in ("site status", "receipts list", "policy explain --to vir-1 --purpose support"):
        output.say(f"  memory-fabric --home {home} {command}", "cyan")
