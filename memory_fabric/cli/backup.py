"""``backup``: keep what a site holds elsewhere, and bring it back."""

from __future__ import annotations

import getpass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from memory_fabric import wiring
from memory_fabric.cli.session import session
from memory_fabric.core.errors import InputError

commands = typer.Typer(help="Backups of a home, without its keys.", no_args_is_help=True)
_FOLDER = typer.Argument(help="The folder of backups; one for each site.")


@commands.command("create")
def create(
    context: typer.Context,
    folder: Annotated[Path, _FOLDER],
    keep: Annotated[int, typer.Option(min=1, help="Backups that stay in the folder.")] = 7,
) -> None:
    """Back up records and ledger; only what is new is written. The site may be served meanwhile."""
    run = session(context)
    with run.output.progress("Backing up"), run.output.waiting("Backing up"):
        made = run.run("backup_create", folder=str(folder.absolute()), keep=keep)
    if run.output.as_json:
        run.output.json(made)
        return
    run.output.say(
        f"Backup {made['number']} in {made['folder']}: {made['records']:,} records, "
        f"{made['written']:,} of them new, {made['receipts']:,} receipts."
    )
    run.output.say("Keys are not in it: keep the root key, and `keys escrow` after each erasure.")
    run.output.say(f"receipt {made['receipt']}", "dim")


@commands.command("check")
def check(
    context: typer.Context,
    folder: Annotated[Path, _FOLDER],
    number: Annotated[int | None, typer.Option(help="Which; the newest where left out.")] = None,
) -> None:
    """Read a whole backup and say whether it is as it was written (exit 5 where not)."""
    run = session(context)
    with run.output.waiting("Reading the backup"):
        found = run.run("backup_check", folder=str(folder.absolute()), number=number)
    if run.output.as_json:
        run.output.json(found)
    else:
        run.output.say(
            f"Backup {found['number']} of {found['at']}: {found['records']:,} records in "
            f"{found['objects']:,} objects, all as they were written."
        )


@commands.command("restore")
def restore(
    context: typer.Context,
    folder: Annotated[Path, _FOLDER],
    keys: Annotated[
        Path | None, typer.Option(help="The folder keys/ of the home that was backed up.")
    ] = None,
    escrow: Annotated[
        Path | None, typer.Option(help="Or the site's escrow; its key is asked for.")
    ] = None,
    number: Annotated[int | None, typer.Option(help="Which; the newest where left out.")] = None,
) -> None:
    """Make the home that --home names from a backup and from the site's keys. Whoever was erased
    since the backup stays erased. From an escrow it gets a new root key, a file.
    """
    run = session(context)
    if escrow:
        bring = partial(wiring.keys_in_escrow, escrow, run.asker("Key of the escrow"))
    elif keys:
        bring = partial(wiring.keys_of, keys, ask=run.asker)
    else:
        raise InputError("keys-missing", "A backup holds no keys.", "Name --keys or --escrow.")
    with run.output.progress("Restoring") as bar:
        done = wiring.restore_home(
            run.path, folder, bring, getpass.getuser(),
            number=number, progress=bar.step, ask=run.asker,
        )  # fmt: skip
    told = {
        "home": str(run.path),
        "number": done.manifest.number,
        "at": done.manifest.at.isoformat(),
        "records": done.manifest.live - done.erased,
        "erased": done.erased,
        "receipt": done.receipt,
    }
    if run.output.as_json:
        run.output.json(told)
        return
    run.output.say(
        f"Restored {told['records']:,} records of backup {told['number']}, taken {told['at']}."
    )
    if done.erased:
        run.output.say(f"{done.erased:,} more are of people who were erased since; they are gone.")
    run.output.say("Take the old home out of service: two homes of one site would part ways.")
    run.output.say(f"receipt {done.receipt}", "dim")
