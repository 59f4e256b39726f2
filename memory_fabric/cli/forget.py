"""``forget``: a subject with its key, or one memory."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from memory_fabric.cli.export import ended
from memory_fabric.cli.output import Output
from memory_fabric.cli.session import session


def forget(
    context: typer.Context,
    subject: Annotated[
        str | None, typer.Option(help="Erase everything about this subject.")
    ] = None,
    id: Annotated[str | None, typer.Option(help="Erase one memory.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
) -> None:
    """Erase: unfindable and unopenable at once; the bytes on the disk go in a pass of their own."""
    run = session(context)
    done = run.run("forget", tenant, subject=subject, id=id, finish=True)
    if run.output.as_json:
        run.output.json(done)
        return
    erased = done["erased"]
    key = f", {erased['keys']} key destroyed" if erased["keys"] else ""
    gone = f"{erased['memories']} memories out of stack, search and snapshot{key}"
    run.output.say(f"Erased at {done['site']}: {gone}.")
    _say_bytes(run.output, done["bytes"])
    if not erased["memories"] and not erased["keys"]:
        run.output.say("Nothing was known here by that name; check how it is spelled.", "yellow")
    for told in done["elsewhere"]:
        there = told["erased"]
        run.output.say(f"Erased at {told['site']}: {there['memories']} memories.")
    for held in done["withheld"]:
        title = f"Not told, or refused: {held['site']} ({held['region']})"
        run.output.rules(title, held["rules"])
    for gone in done.get("unreachable", ()):
        run.output.say(f"{gone['site']} did not answer ({gone['code']}); erase again.", "yellow")
    ended(run.output, done.get("leases"))
    if done["runs"]:
        run.output.say(f"Adapters that learned from it: {', '.join(done['runs'])}.", "yellow")
    for remains in done["remains"]:
        run.output.say(remains, "yellow")
    run.output.say(f"receipt {done['receipt']}", "dim")


def _say_bytes(output: Output, told: dict[str, Any]) -> None:
    """What became of the sealed bytes on the disk."""
    if told["receipt"]:
        output.say(f"Bytes on the disk: gone, receipt {told['receipt']}.")
    elif told["by"]:
        output.say(f"Bytes on the disk: gone by {told['by']}; a receipt of act scrub will say so.")
    elif not told["gone"]:
        output.say(
            "Bytes on the disk: still there, sealed. Every command on this home tries to remove "
            "them; `site status` says what is in the way.",
            "yellow",
        )
