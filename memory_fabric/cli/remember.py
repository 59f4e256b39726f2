"""``remember``: one text, or a file of memories."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memory_fabric import wiring
from memory_fabric.cli.session import Call, Session, session
from memory_fabric.core.errors import InputError

if TYPE_CHECKING:
    from memory_fabric.wiring import Row

_BATCH = 500
"""Rows that go in with one receipt."""


def remember(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help="What to remember.")] = None,
    source: Annotated[
        Path | None, typer.Option("--from", help="A .jsonl, .csv or .parquet file instead.")
    ] = None,
    subject: Annotated[list[str] | None, typer.Option(help="Whom it is about; repeat it.")] = None,
    memory_type: Annotated[
        str, typer.Option(help="episodic, semantic, procedural, working.")
    ] = "episodic",
    data_class: Annotated[
        str | None, typer.Option(help="public, internal, confidential, secret.")
    ] = None,
    personal: Annotated[bool | None, typer.Option(help="Whether it is about people.")] = None,
    special: Annotated[
        list[str] | None, typer.Option(help="Special category, such as health.")
    ] = None,
    purpose: Annotated[list[str] | None, typer.Option(help="What it may be used for.")] = None,
    consent: Annotated[str, typer.Option(help="none, given or withdrawn.")] = "none",
    expires_at: Annotated[str | None, typer.Option(help="Until when it may be kept.")] = None,
    id: Annotated[str | None, typer.Option(help="A name of your own for it.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Of a file, take all rows or none.")
    ] = False,
) -> None:
    """Remember one text, or every row of a file."""
    run = session(context)
    if (text is None) == (source is None):
        raise InputError("nothing-to-do", "Name one text, or one file with --from.", "Choose one.")
    if source is not None:
        _import(run, source, tenant, strict)
        return
    fields = {
        "memory": text, "subjects": subject or [], "memory_type": memory_type,
        "data_class": data_class, "personal": personal, "special": special or [],
        "purposes": purpose or [], "consent": consent, "expires_at": expires_at, "id": id,
    }  # fmt: skip
    done = run.run("add", tenant, memories=[fields])
    if run.output.as_json:
        run.output.json(done)
    else:
        run.output.say(f"Remembered as {done['results'][0]['id']} (receipt {done['receipt']}).")


def _import(run: Session, source: Path, tenant: str | None, strict: bool) -> None:
    """Every good row goes in, every bad one is reported by its line; or all or none."""
    total = wiring.count_rows(source)
    problems: list[dict[str, Any]] = []
    ids: list[str] = []
    receipts: list[str] = []
    with run.calls(tenant) as call, run.output.progress("Remembering") as bar:
        done = 0
        passes = (True, False) if strict else (False,)
        for dry in passes:
            if problems:
                break
            done = 0
            lines: dict[str, int] = {}
            for batch in _batches(wiring.read_rows(source)):
                reply = _send(call, batch, problems, dry)
                problems += _repeated(batch, lines) if dry else []
                ids += [item["id"] for item in reply["results"]]
                receipts += [reply["receipt"]] if reply["receipt"] else []
                done += len(batch)
                bar.step(done, total)
    problems.sort(key=lambda problem: int(problem["line"]))
    report = {
        "remembered": len(ids),
        "failed": len(problems),
        "problems": problems,
        "receipts": receipts,
    }
    if run.output.as_json:
        run.output.json(report)
    else:
        rows = [(item["line"], item["code"], item["what"], item["do"]) for item in problems]
        if rows:
            run.output.table("Rows that were not taken", ("line", "code", "what", "do"), rows)
        run.output.say(f"Remembered {len(ids):,} of {done:,} rows.")
    if problems:
        raise typer.Exit(1)


def _batches(rows: Iterator[Row]) -> Iterator[list[Row]]:
    while batch := list(itertools.islice(rows, _BATCH)):
        yield batch


def _repeated(batch: list[Row], lines: dict[str, int]) -> list[dict[str, Any]]:
    """Ids that stand in an earlier batch of the file too; ``lines`` says where."""
    here: dict[str, int] = {}
    for row in batch:
        if row.fields.get("id") not in (None, ""):
            here.setdefault(str(row.fields["id"]).strip(), row.line)
    again = [
        {
            "line": line,
            "code": "id-duplicate",
            "what": f"Its id stands in line {lines[name]} already.",
            "do": "Send each id once.",
        }
        for name, line in here.items()
        if name in lines
    ]
    lines.update(here)
    return again


def _send(
    call: Call, batch: list[Row], problems: list[dict[str, Any]], dry: bool
) -> dict[str, Any]:
    """Hand one batch over; collects what is wrong with its rows, by line."""
    readable = [row for row in batch if row.problem is None]
    problems += [
        {"line": row.line, "code": "row-malformed", "what": row.problem, "do": "Mend the row."}
        for row in batch
        if row.problem is not None
    ]
    reply = call("add_good", memories=[row.fields for row in readable], dry=dry)
    for item in reply["problems"]:
        line = readable[item["row"]].line
        problems.append({"line": line, **{key: item[key] for key in ("code", "what", "do")}})
    return reply
