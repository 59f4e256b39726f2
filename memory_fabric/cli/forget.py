"""``forget``: a subject with its key, or one memory."""

from __future__ import annotations

from typing import Annotated

import typer

from memory_fabric.cli.export import ended
from memory_fabric.cli.session import session


def forget(
    context: typer.Context,
    subject: Annotated[
        str | None, typer.Option(help="Erase everything about this subject.")
    ] = None,
    id: Annotated[str | None, typer.Option(help="Erase one memory.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
) -> None:
    """Erase: the key is destroyed and the rows are gone at once, the bytes by compaction."""
    run = session(context)
    done = run.run("forget", tenant, subject=subject, id=id)
    if run.output.as_json:
        run.output.json(done)
        return
    erased = done["erased"]
    run.output.say(
        f"Erased at {done['site']}: {erased['memories']} memories, "
        f"{erased['keys']} key destroyed, bytes compacted away."
        if erased["keys"]
        else f"Erased at {done['site']}: {erased['memories']} memories, bytes compacted away."
    )
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
    for remains in done["remains"]:
        run.output.say(remains, "yellow")
    run.output.say(f"receipt {done['receipt']}", "dim")
