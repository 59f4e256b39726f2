"""``label``: consent, legal hold and class of what is remembered."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from memory_fabric.cli.export import ended
from memory_fabric.cli.session import session

commands = typer.Typer(help="Labels of memories.", no_args_is_help=True)


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


@commands.command("set")
def set_label(
    context: typer.Context,
    id: Annotated[str | None, typer.Option(help="One memory.")] = None,
    subject: Annotated[str | None, typer.Option(help="All memories about a subject.")] = None,
    consent: Annotated[str | None, typer.Option(help="none, given or withdrawn.")] = None,
    legal_hold: Annotated[Switch | None, typer.Option(help="on or off.")] = None,
    data_class: Annotated[str | None, typer.Option(help="public ... secret.")] = None,
    personal: Annotated[bool | None, typer.Option(help="Whether it is about people.")] = None,
    special: Annotated[list[str] | None, typer.Option(help="Special categories.")] = None,
    purpose: Annotated[list[str] | None, typer.Option(help="Purposes.")] = None,
    expires_at: Annotated[str | None, typer.Option(help="Until when it may be kept.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
) -> None:
    """Change a label. Tightening is free; loosening takes a key of role compliance
    (MEMORY_FABRIC_API_KEY).
    """
    run = session(context)
    hold = None if legal_hold is None else legal_hold is Switch.ON
    change = {
        "consent": consent, "legal_hold": hold, "data_class": data_class, "personal": personal,
        "special": special or None, "purposes": purpose or None, "expires_at": expires_at,
    }  # fmt: skip
    asked = {name: value for name, value in change.items() if value is not None}
    done = run.run("label_set", tenant, id=id, subject=subject, change=asked)
    if run.output.as_json:
        run.output.json(done)
    else:
        run.output.say(f"Changed {done['changed']} (receipt {done['receipt']}).")
        ended(run.output, done.get("leases"))
