"""``policy new``: begin a bundle from the starter bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memory_fabric import wiring
from memory_fabric.cli.session import session


def new(
    context: typer.Context,
    directory: Annotated[Path, typer.Argument(help="A folder that is empty or does not exist.")],
    pack: Annotated[
        list[str] | None, typer.Option(help="A body of law, such as eu or us; may be repeated.")
    ] = None,
) -> None:
    """Begin a bundle: schema, register, guards, and the packs that are named, with their cases."""
    run = session(context)
    written = wiring.new_policies(directory, pack or [])
    if run.output.as_json:
        run.output.json({"folder": str(directory), "files": written})
        return
    run.output.say(f"{len(written)} files are in {directory}.")
    if not pack:
        run.output.say(f"It holds guards alone. Packs: {', '.join(wiring.starter_packs())}.")
    run.output.say("Next: `memory-fabric policy check`, `test` and `prove` with this folder.")
