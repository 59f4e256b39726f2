"""``policy impact``: what a candidate bundle would change here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from memory_fabric.cli.session import session

_SHOWN = 40
"""Rows of one table at most; ``--json`` gives all of them."""


def impact(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="The candidate's folder.")],
    last: Annotated[int, typer.Option(help="Look at so many recorded requests.")] = 10_000,
) -> None:
    """Put this site's own classes and its recorded requests to a candidate bundle; exit 4 where a
    site could not use it.
    """
    run = session(context)
    with run.calls(load=False, doing="Asking again") as call:
        told = call("policy_impact", bundle=str(bundle.resolve()), last=last)
    if run.output.as_json:
        run.output.json(told)
        return
    for sentence in told["sentences"]:
        run.output.say(sentence)
    recent = told["recent"]
    if recent["rules"]:
        rows = [(item["requests"], item["effect"], item["rule"]) for item in recent["rules"]]
        run.output.table("Recorded requests, by rule", ("requests", "effect", "rule"), rows)
    for title, changes in (
        ("Recorded requests, by class", recent["changes"]),
        ("Declared classes, as of now", told["declared"]["changes"]),
    ):
        if changes:
            run.output.table(title, _COLUMNS, _rows(changes[:_SHOWN]))
        if len(changes) > _SHOWN:
            run.output.say(f"... and {len(changes) - _SHOWN:,} more; --json gives all of them.")
    for name, ids in recent["examples"].items():
        if ids:
            run.output.say(f"{name}: receipts {', '.join(ids[-3:])}")


_COLUMNS = ("requests", "effect", "act", "site", "class", "before", "after")


def _rows(changes: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return [
        (
            item["receipts"], item["effect"], item["act"], item["site"], item["class"]["text"],
            _answer(item["before"]), _answer(item["after"]),
        )
        for item in changes
    ]  # fmt: skip


def _answer(answer: Mapping[str, Any]) -> str:
    word = (answer["form"] or "yes") if answer["allowed"] else "refused"
    return f"{word} ({', '.join(answer['rules'])})"
