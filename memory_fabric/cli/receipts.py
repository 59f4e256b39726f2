"""``receipts``: what was decided, and the proof that nobody changed the record."""

from __future__ import annotations

from typing import Annotated

import typer

from memory_fabric.cli.session import session

commands = typer.Typer(help="The log of decisions.", no_args_is_help=True)

VIOLATED = 5
"""Exit code of a log or a file that was changed."""


@commands.command("list")
def list_receipts(
    context: typer.Context,
    act: Annotated[str | None, typer.Option(help="Only this act, such as recall or erase.")] = None,
    outcome: Annotated[str | None, typer.Option(help="done, partly_withheld or denied.")] = None,
    app: Annotated[str | None, typer.Option(help="Only what this app or user asked.")] = None,
    purpose: Annotated[str | None, typer.Option(help="Only for this purpose.")] = None,
    site: Annotated[str | None, typer.Option(help="Only those that name this site.")] = None,
    rule: Annotated[
        str | None, typer.Option(help="Only what this rule allowed or refused.")
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="Words in names, rules and sites, or the start of an id.")
    ] = None,
    since: Annotated[str | None, typer.Option(help="From this moment on.")] = None,
    until: Annotated[str | None, typer.Option(help="Before this moment.")] = None,
    limit: Annotated[int, typer.Option(help="So many, newest first.")] = 20,
    before: Annotated[int | None, typer.Option(help="Only those with a smaller index.")] = None,
) -> None:
    """The newest receipts."""
    run = session(context)
    found = run.run(
        "receipts_list",
        act=act, outcome=outcome, app=app, purpose=purpose, site=site, rule=rule, text=text,
        since=since, until=until, limit=limit, before=before,
    )  # fmt: skip
    if run.output.as_json:
        run.output.json(found)
        return
    rows = [
        (
            item["index"],
            item["at"][:19].replace("T", " "),
            item["act"],
            item["outcome"],
            item["request"]["requester"]["name"],
            item["id"],
        )
        for item in found["receipts"]
    ]
    run.output.table("Receipts", ("index", "at (UTC)", "act", "outcome", "asked by", "id"), rows)


@commands.command("show")
def show(
    context: typer.Context,
    id: Annotated[str, typer.Argument(help="The receipt's id.")],
    proof: Annotated[bool, typer.Option("--proof", help="Its place in the log instead.")] = False,
) -> None:
    """One receipt, or the proof that it stands in the log."""
    run = session(context)
    run.output.json(run.run("receipt_proof" if proof else "receipt_show", id=id))


@commands.command("replay")
def replay(
    context: typer.Context,
    last: Annotated[int | None, typer.Option(help="Only the newest so many.")] = None,
) -> None:
    """Put recorded requests to the rules of then; exit 5 where one is answered otherwise."""
    run = session(context)
    with run.calls(load=False, doing="Asking again") as call:
        found = call("receipts_replay", last=last)
    if run.output.as_json:
        run.output.json(found)
    else:
        for bundle, receipts in found["unknown"].items():
            run.output.say(
                f"{receipts} receipts name a bundle that is not kept: {bundle}", "yellow"
            )
        rows = [
            (item["receipt"], item["act"], item["class"]["text"]) for item in found["different"]
        ]
        if rows:
            run.output.table("Answered otherwise", ("receipt", "act", "class"), rows)
        run.output.say(
            f"{found['answers']:,} answers of {found['receipts']:,} receipts were asked again; "
            f"{len(rows):,} came out otherwise."
        )
    if found["different"]:
        raise typer.Exit(VIOLATED)


@commands.command("verify")
def verify(context: typer.Context) -> None:
    """Read the whole log against its hashes and signatures; exit 5 where it was changed."""
    run = session(context)
    with run.calls(load=False) as call:
        found = call("receipts_verify")
    if run.output.as_json:
        run.output.json(found)
    elif found["damaged"]:
        rows = [(item["file"], item["what"]) for item in found["damaged"]]
        run.output.table("Changed", ("where", "what"), rows)
    else:
        run.output.say(f"All {found['receipts']} receipts are as they were written and signed.")
    if found["damaged"]:
        raise typer.Exit(VIOLATED)
