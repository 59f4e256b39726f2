"""``policy key``, ``officers``, ``sign``, ``publish`` and ``install``: four eyes on every rule."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from memory_fabric import wiring
from memory_fabric.cli.session import Session, session

officers = typer.Typer(help="Who signs rules: the officers' root.", no_args_is_help=True)

Folder = Annotated[Path, typer.Argument(help="The publication folder.")]
Key = Annotated[Path, typer.Option(help="Your key: the .key file.")]
Officers = Annotated[list[Path], typer.Option("--officer", help="A .pub file; repeat it.")]
Threshold = Annotated[int, typer.Option(help="How many officers' signatures it takes.")]
Publishers = Annotated[
    list[Path] | None,
    typer.Option("--publisher", help="Who may publish; every officer where left out."),
]


def key(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Your name, as colleagues know it.")],
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path(),
) -> None:
    """Make an officer's key: NAME.key, which you keep, and NAME.pub, which you hand out."""
    run = session(context)
    secret, public = wiring.make_key(name, out, run.asker.twice("New passphrase of your key"))
    if run.output.as_json:
        run.output.json({"key": str(secret), "public": str(public)})
    run.output.say(f"{secret} is your key: keep it where nobody else gets at it.")
    run.output.say(f"{public} is to be shown to whoever sets up the officers.")


@officers.command("new")
def new(
    context: typer.Context,
    folder: Folder,
    officer: Officers,
    threshold: Threshold = 2,
    publisher: Publishers = None,
) -> None:
    """Begin a publication folder: these officers, of whom so many have to sign."""
    run = session(context)
    _tell(run, wiring.begin_publication(folder, officer, threshold, publisher or []))
    run.output.say("Next: officers run `memory-fabric policy officers sign`.")


@officers.command("change")
def change(
    context: typer.Context,
    folder: Folder,
    officer: Officers,
    threshold: Threshold = 2,
    publisher: Publishers = None,
) -> None:
    """Draft another list of officers, whole: enough of the old and of the new ones sign it."""
    run = session(context)
    _signed(run, wiring.change_officers(folder, officer, threshold, publisher or []))


@officers.command("sign")
def sign_root(context: typer.Context, folder: Folder, key: Key) -> None:
    """Sign the list of officers that waits for signatures."""
    run = session(context)
    _signed(run, wiring.sign_officers(folder, key, run.asker))


@officers.command("show")
def show(context: typer.Context, folder: Folder) -> None:
    """What a publication folder holds, and the fingerprint that sites have to be told."""
    run = session(context)
    _tell(run, wiring.publication_state(folder))


@officers.command("fingerprint")
def fingerprint(context: typer.Context, folder: Folder) -> None:
    """The fingerprint of the officers' root alone, to be read out to operators."""
    run = session(context)
    found = wiring.publication_state(folder).fingerprint
    run.output.document({"fingerprint": found}, f"{found}\n")


def sign(
    context: typer.Context,
    bundle: Annotated[Path, typer.Argument(help="The folder of the rules.")],
    into: Annotated[Path, typer.Option(help="The publication folder.")],
    key: Key,
    replace: Annotated[
        bool, typer.Option("--replace", help="Begin anew where other rules wait.")
    ] = False,
) -> None:
    """Sign rules that pass their checks, cases and properties; the second officer does the same
    with the same rules.
    """
    run = session(context)
    _signed(run, wiring.sign_rules(bundle, into, key, run.asker, replace))


def publish(
    context: typer.Context,
    folder: Folder,
    key: Key,
    offline: Annotated[
        bool, typer.Option("--offline", help="For 30 days, not 7: sites are brought a stick.")
    ] = False,
) -> None:
    """Say that the signed rules are the newest, or that those published before still are."""
    run = session(context)
    _tell(run, wiring.publish(folder, key, run.asker, offline))


def install(
    context: typer.Context,
    folder: Folder,
    root_fingerprint: Annotated[
        str | None,
        typer.Option(help="Of the officers' root, as an officer told you; the first time only."),
    ] = None,
) -> None:
    """Put the newest rules of a publication folder in force on this site."""
    run = session(context)
    with run.calls(load=False, doing="Installing") as call, run.output.waiting("Installing"):
        told = call("policy_install", folder=str(folder.resolve()), fingerprint=root_fingerprint)
    if run.output.as_json:
        run.output.json(told)
        return
    mandate = told["mandate"]
    run.output.say(
        f"Version {mandate['version']}, signed by {' and '.join(mandate['signers'])}, is in force "
        f"until {mandate['expires'][:10]}. Receipt {told['receipt']}."
    )


def _signed(run: Session, signed: Any) -> None:
    if run.output.as_json:
        run.output.json(asdict(signed))
        return
    run.output.say(
        f"Version {signed.version} is signed by {' and '.join(signed.signers) or 'nobody'}."
    )
    if signed.missing:
        more = "one more officer" if signed.missing == 1 else f"{signed.missing} more officers"
        run.output.say(f"It takes {more}.", "yellow")


def _tell(run: Session, state: Any) -> None:
    if run.output.as_json:
        ends = {role: end.isoformat() for role, end in state.ends.items()}
        run.output.json({**asdict(state), "ends": ends})
        return
    rows: list[tuple[str, Any]] = [
        ("officers", f"{', '.join(state.officers)}; it takes {state.threshold} of them"),
        ("may publish", ", ".join(state.publishers)),
        ("root", f"version {state.root_version}" if state.root_version else "not signed yet"),
        ("its fingerprint", state.fingerprint if state.root_version else "once it is signed"),
        ("rules", f"version {state.version}" if state.version else "none published yet"),
        *((_ENDS[role], f"until {end:%Y-%m-%d}") for role, end in state.ends.items()),
    ]
    for draft in state.drafts:
        signers = " and ".join(draft.signers) or "nobody"
        missing = f"{draft.missing} missing" if draft.missing else "complete"
        rows.append(
            (f"waits: {draft.what}", f"version {draft.version}, signed by {signers}, {missing}")
        )
    run.output.table("Publication", ("", ""), rows)


_ENDS = {"root": "the officers' list", "targets": "signatures", "timestamp": "counts as newest"}
