"""``remember``: one text, or a file of memories."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
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
_ALIASES = {"subject": "subjects", "purpose": "purposes"}


def remember(
    context: typer.Context,
    text: Annotated[str | None, typer.Argument(help="What to remember.")] = None,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="A .jsonl, .csv, .parquet or .arrow file instead; or mem0."),
    ] = None,
    store: Annotated[
        Path | None, typer.Option(help="With --from mem0: the folder of its vector store.")
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
    """Remember one text, or every row of a file. What is said of the label counts for each row that
    does not say otherwise. An interrupted import is run again: what is there stays as it is.
    """
    run = session(context)
    if (text is None) == (source is None):
        raise InputError("nothing-to-do", "Name one text, or one file with --from.", "Choose one.")
    said = {
        "subjects": subject, "data_class": data_class, "personal": personal, "special": special,
        "purposes": purpose, "consent": consent if consent != "none" else None,
        "expires_at": expires_at,
    }  # fmt: skip
    if source is not None:
        _import(run, source, store, tenant, strict, _only_said(said))
        return
    fields = {"memory": text, "memory_type": memory_type, "id": id, **_only_said(said)}
    done = run.run("add", tenant, memories=[fields])
    if run.output.as_json:
        run.output.json(done)
    else:
        run.output.say(f"Remembered as {done['results'][0]['id']} (receipt {done['receipt']}).")


def _only_said(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, [])}


def _import(
    run: Session,
    source: Path,
    store: Path | None,
    tenant: str | None,
    strict: bool,
    defaults: dict[str, Any],
) -> None:
    """Every good row goes in, every bad one is reported by its line; or all or none."""
    if str(source) == "mem0":
        place = store or wiring.DEFAULT_STORE
        total, rows = wiring.count_mem0(place), partial(wiring.mem0_rows, place)
    else:
        total, rows = wiring.count_rows(source), partial(wiring.read_rows, source)
    problems: list[dict[str, Any]] = []
    ids: list[str] = []
    receipts: list[str] = []
    present = 0
    with run.calls(tenant) as call, run.output.progress("Remembering") as bar:
        done = 0
        passes = (True, False) if strict else (False,)
        for dry in passes:
            if problems:
                break
            done = present = 0
            lines: dict[str, int] = {}
            seen: Counter[bytes] = Counter()
            for batch in _batches(rows()):
                some = [replace(row, fields=_with(defaults, row.fields)) for row in batch]
                again = _repeated(some, lines)
                problems += again
                twice = {problem["line"] for problem in again}
                once = [row for row in some if row.line not in twice]
                reply = _send(call, once, problems, dry, seen)
                ids += [item["id"] for item in reply["results"]]
                receipts += [reply["receipt"]] if reply["receipt"] else []
                present += len(reply["present"])
                done += len(some)
                bar.step(done, total)
    problems.sort(key=lambda problem: int(problem["line"]))
    report = {
        "remembered": len(ids),
        "present": present,
        "failed": len(problems),
        "problems": problems,
        "receipts": receipts,
    }
    if run.output.as_json:
        run.output.json(report)
    else:
        shown = [(item["line"], item["code"], item["what"], item["do"]) for item in problems]
        if shown:
            run.output.table("Rows that were not taken", ("line", "code", "what", "do"), shown)
        run.output.say(f"Remembered {len(ids):,} of {done:,} rows.")
        if present:
            run.output.say(f"{present:,} were there already, by their ids, and stay as they are.")
    if problems:
        raise typer.Exit(1)


def _with(defaults: dict[str, Any], fields: Mapping[str, Any]) -> Mapping[str, Any]:
    """A row with what was said for all, where it says nothing itself."""
    nested = fields.get("label")
    label = nested if isinstance(nested, Mapping) else {}
    said = {
        _ALIASES.get(name, name)
        for each in (fields, label)
        for name, value in each.items()
        if value not in (None, "", [])
    }
    left = {name: value for name, value in defaults.items() if name not in said}
    return {**{name: fields[name] for name in fields if name not in left}, **left}


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
    call: Call,
    batch: list[Row],
    problems: list[dict[str, Any]],
    dry: bool,
    seen: Counter[bytes],
) -> dict[str, Any]:
    """Hand one batch over; collects what is wrong with its rows, by line."""
    readable = [row for row in batch if row.problem is None]
    problems += [
        {"line": row.line, "code": "row-malformed", "what": row.problem, "do": "Mend the row."}
        for row in batch
        if row.problem is not None
    ]
    repeats = []
    for row in readable:
        content = json.dumps(dict(row.fields), sort_keys=True, default=str).encode()
        alike = hashlib.sha256(content).digest()
        repeats.append(seen[alike])
        seen[alike] += 1
    asked = [row.fields for row in readable]
    reply = call("add_good", memories=asked, dry=dry, repeats=repeats)
    for item in reply["problems"]:
        line = readable[item["row"]].line
        problems.append({"line": line, **{key: item[key] for key in ("code", "what", "do")}})
    return reply
