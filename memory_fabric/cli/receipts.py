"""``receipts``: what was decided, and the proof that nobody changed the record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from memory_fabric.cli.output import Output
from memory_fabric.cli.session import session
from memory_fabric.core.errors import InputError
from memory_fabric.core.notes import VerifierKey

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
    proof: Annotated[
        bool, typer.Option("--proof", help="With the proof that it stands in the log.")
    ] = False,
    size: Annotated[
        int | None, typer.Option(help="Prove it in the log of so many receipts, not the newest.")
    ] = None,
) -> None:
    """One receipt; or, for others to check, the receipt with its proof (C2SP tlog-proof)."""
    run = session(context)
    if not proof:
        run.output.json(run.run("receipt_show", id=id))
        return
    told = run.run("receipt_proof", id=id, size=size)
    run.output.document(told, told["proof"])


@commands.command("checkpoint")
def checkpoint(
    context: typer.Context,
    size: Annotated[int | None, typer.Option(help="Of the first so many receipts.")] = None,
    old: Annotated[
        int | None, typer.Option("--from", help="Prove that the log goes on from so many receipts.")
    ] = None,
    key: Annotated[
        bool, typer.Option("--key", help="The log's verifier key instead, to be given to others.")
    ] = False,
) -> None:
    """The newest signed root as a note to be kept elsewhere (C2SP tlog-checkpoint)."""
    run = session(context)
    if old is not None:
        told = run.run("consistency", old=old, size=size)
        run.output.document(told, told["proof"])
        return
    told = run.run("checkpoint", size=size)
    run.output.document(told, told["verifier_key"] + "\n" if key else told["note"])


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
def verify(
    context: typer.Context,
    checkpoint: Annotated[
        Path | None,
        typer.Option(
            help="A checkpoint of the log that was kept elsewhere: a note, or JSON lines."
        ),
    ] = None,
    proof: Annotated[
        Path | None, typer.Option(help="Check only this proof, without a home.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="With a proof: the log's verifier key, or a file with it.")
    ] = None,
) -> None:
    """Read the whole log against its hashes and signatures, and against a checkpoint that was
    kept; or check one proof without a home. Exit 5 where something was changed.
    """
    run = session(context)
    if proof:
        _verify_proof(run.output, proof, checkpoint, key)
        return
    if key:
        raise InputError(
            "option-needs-proof", "--key goes with a proof; a home has its own.", "Leave it out."
        )
    kept = kept_checkpoints(checkpoint) if checkpoint else []
    with run.calls(load=False, doing="Verifying") as call:
        found = call("receipts_verify", checkpoints=kept)
    if run.output.as_json:
        run.output.json(found)
    elif found["damaged"]:
        rows = [(item["file"], item["what"]) for item in found["damaged"]]
        run.output.table("Changed", ("where", "what"), rows)
    else:
        run.output.say(f"All {found['receipts']} receipts are as they were written and signed.")
        if kept:
            run.output.say("The log goes on from every checkpoint that was kept.")
    if found["damaged"]:
        raise typer.Exit(VIOLATED)


def kept_checkpoints(file: Path) -> list[dict[str, Any]]:
    """Checkpoints that somebody kept: one signed note, or JSON lines of ``/v1/checkpoint``.

    Raises:
        InputError: ``file-unreadable``.
    """
    text = _read(file)
    if not text.lstrip().startswith("{"):
        return [{"note": text}]
    try:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError:
        raise _unreadable(file) from None


def _verify_proof(output: Output, file: Path, checkpoint: Path | None, key: str | None) -> None:
    from memory_fabric.flows.proofs import verify_proof  # only this command needs it

    # Of several kept in one file, the last is the newest.
    note = kept_checkpoints(checkpoint)[-1].get("note", "") if checkpoint else None
    proved = verify_proof(_read(file), note, _verifier_key(key) if key else None)
    root = proved.checkpoint
    if output.as_json:
        output.json({
            "receipt": proved.receipt, "index": proved.index, "old": proved.old,
            "origin": root.origin, "size": root.size, "root": root.root.hex(),
            "signed": proved.signed,
        })  # fmt: skip
        return
    if proved.receipt is None:
        output.say(f"{root.origin} goes on from {proved.old} receipts to {root.size}.")
    else:
        told = proved.receipt
        output.say(
            f"The receipt {told.get('id')} ({told.get('act')}, {told.get('outcome')}, "
            f"{str(told.get('at'))[:19]} UTC) is number {proved.index} of the {root.size} of "
            f"{root.origin}."
        )
    if not proved.signed:
        output.say("Signatures were not checked: name the log's key with --key.", "yellow")


def _verifier_key(given: str) -> VerifierKey:
    text = _read(Path(given)) if "+" not in given else given
    try:
        return VerifierKey.parse(text)
    except ValueError:
        raise InputError(
            "verifier-key-malformed",
            "That is no verifier key of a log.",
            "Take it as `receipts checkpoint --key` prints it.",
        ) from None


def _read(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, ValueError):
        raise _unreadable(file) from None


def _unreadable(file: Path) -> InputError:
    return InputError(
        "file-unreadable", f"{file} cannot be read as text.", "Name the file that was kept."
    )
