"""``policy diff``: what a bundle newly allows and newly refuses, compared with another."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from memory_fabric import wiring
from memory_fabric.cli.output import Output
from memory_fabric.cli.session import session

Old = Annotated[Path, typer.Argument(help="The folder of the bundle as it was.")]
New = Annotated[Path, typer.Argument(help="The folder of the bundle as it would be.")]


def diff(context: typer.Context, old: Old, new: New) -> None:
    """Compare two bundles in meaning: of every question there is, not of their text."""
    run = session(context)
    with run.output.progress("Comparing") as bar:
        found = wiring.compare_policies(old, new, datetime.now(UTC), bar.step)
    if run.output.as_json:
        run.output.json(found.to_json())
        return
    if found.none:
        run.output.say("Both bundles answer every question alike.")
    for sentence in found.words:
        run.output.say(sentence)
    _changes(run.output, "Newly allowed", found.allowed)
    _changes(run.output, "Newly refused", found.refused)
    if not found.whole:
        run.output.say("There may be more; these are the first.", "yellow")
    for assumption in found.assumptions:
        run.output.say(f"- {assumption}", "dim")


def _changes(output: Output, title: str, changes: Sequence[wiring.Change]) -> None:
    if not changes:
        return
    rows = [
        (
            act, form, home, to,
            change.after.sentence.rpartition(" Cedar:")[0],
            ", ".join(rule.id for rule in change.before.verdict.rules) or "nothing permits",
            ", ".join(rule.id for rule in change.after.verdict.rules) or "nothing permits",
        )
        for change in changes
        for act, form, home, to in (change.group,)
    ]  # fmt: skip
    columns = ("act", "form", "home", "to", "for example", "by until now", "by from now on")
    output.table(f"{title}: {len(changes)}", columns, rows)
