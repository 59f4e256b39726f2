"""``keys``: how old the site's keys are, and putting others in their place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from memory_fabric.cli.session import session

commands = typer.Typer(help="The site's keys.", no_args_is_help=True)


@commands.command("status")
def status(context: typer.Context) -> None:
    """Kind and age of root and epoch key, and what stands under which."""
    run = session(context)
    told = run.run("keys_status")
    if run.output.as_json:
        run.output.json(told)
        return
    root, epoch, keys = told["root"], told["epoch"], told["keys"]
    rows: list[tuple[str, Any]] = [
        ("root key", f"{root['provider']}, made {_since(root)}"),
        ("epoch", f"{epoch['number']}, made {_since(epoch)}"),
        ("keys", ", ".join(f"{count} {kind}" for kind, count in keys.items())),
        ("keyring", _by_epoch(told["rows"], "rows")),
        ("records", _by_epoch(told["records"], "sealed") or "none"),
    ]
    escrow = told["escrow"]
    made = f", made {escrow['made_at'][:10]}" if escrow["made_at"] else ""
    rows.append(("escrow", f"{escrow['state']}{made}. {escrow['advice']}".strip()))
    if told["snapshot"]:
        rows.append(("snapshot key", f"made {_since(told['snapshot'])}"))
    rows += [
        ("warning", f"An old root key ({left['provider']}) could not be destroyed yet.")
        for left in told["to_destroy"]
    ]
    run.output.table("Keys", ("", ""), rows)


@commands.command("rotate")
def rotate(
    context: typer.Context,
    root: Annotated[bool, typer.Option("--root", help="A new root key; the old one goes.")] = False,
    epoch: Annotated[
        bool, typer.Option("--epoch", help="Seal all keys anew under a fresh epoch key.")
    ] = False,
    to: Annotated[
        str | None, typer.Option(help="Kind of the new root key: file, passphrase, pkcs11, ...")
    ] = None,
    new_passphrase_fd: Annotated[
        int | None, typer.Option(help="Read the new passphrase from this descriptor.")
    ] = None,
) -> None:
    """Put new keys in the place of those in force, while the site goes on. Without an option the
    epoch key.
    """
    run = session(context)
    root = root or to is not None
    with run.calls() as call:
        kind = to or (call("keys_status")["root"]["provider"] if root else "")
        given = run.asker.new(new_passphrase_fd) if kind == "passphrase" else None
        done = call("keys_rotate", root=root, epoch=epoch or not root, to=to, passphrase=given)
    if run.output.as_json:
        run.output.json(done)
        return
    run.output.say(
        f"In force: a root key of kind {done['provider']}, epoch {done['epoch']}.", "green"
    )
    if done["to_destroy"]:
        run.output.say(
            f"Out of reach and not destroyed: root key of kind {', '.join(done['to_destroy'])}. "
            "Opening the home tries again.",
            "yellow",
        )
    run.output.say(f"receipt {done['receipt']}", "dim")


@commands.command("escrow")
def escrow(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Where it goes, over an older escrow.")],
) -> None:
    """Write all keys into one sealed file, to be kept elsewhere, and show its key once. Write it
    anew after each erasure: an older one, with its key, would bring the erased back.
    """
    run = session(context)
    with run.output.waiting("Writing the escrow"):
        done = run.run("keys_escrow", file=str(file.absolute()))
    if run.output.as_json:
        run.output.json(done)
        return
    run.output.say(f"{done['keys']} keys are in {done['file']}. What opens it is shown only now:")
    run.output.say(done["key"], "bold")
    run.output.say(
        "Keep the file and this key in two places, and neither beside the home. Destroy the key of "
        "the escrow before."
    )
    run.output.say(f"receipt {done['receipt']}", "dim")


def _since(told: dict[str, Any]) -> str:
    return f"{told['made_at'][:10]}, {told['days']} days ago"


def _by_epoch(counts: dict[str, int], what: str) -> str:
    return ", ".join(f"{count} {what} in epoch {epoch}" for epoch, count in counts.items())
