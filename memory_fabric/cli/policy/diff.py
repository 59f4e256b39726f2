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
from memory_fabric.core.access import NOTHING_PERMITS

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
    run.output.say("\nTaken for granted:", "dim")
    for assumption in found.assumptions:
        run.output.say(f"- {assumption}", "dim")


def _changes(output: Output, title: str, changes: Sequence[wiring.Change]) -> None:
    """Changes by the same rules in a paragraph each, with one example."""
    if not changes:
        return
    output.say(f"\n{title}: {len(changes)}", "bold")
    receivers: dict[tuple[str, str, str, str, str], list[wiring.Change]] = {}
    for change in changes:
        act, form, home, _ = change.group
        asked = act, form, home, _by(change.before), _by(change.after)
        receivers.setdefault(asked, []).append(change)
    acts: dict[tuple[str, ...], list[str]] = {}
    for (act, *kind), found in receivers.items():
        acts.setdefault((*kind, ", ".join(change.group[3] for change in found)), []).append(act)
    for (form, home, before, after, to), named in acts.items():
        example = receivers[named[0], form, home, before, after][0]
        output.paragraph(
            f"{', '.join(named)}{f' in the form {form}' if form else ''}: home {home}, to {to}",
            f"Until now: {before}. From now on: {after}.",
            f"For example: {example.after.sentence.rpartition(' Cedar:')[0]}",
        )


def _by(example: wiring.Example) -> str:
    rules = ", ".join(rule.id for rule in example.verdict.rules if rule != NOTHING_PERMITS)
    if example.verdict.allowed:
        return f"allowed by {rules}"
    return f"refused by {rules}" if rules else "refused, since no rule permits it"
