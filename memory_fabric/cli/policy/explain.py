"""``policy explain``: put one question to the rules without doing anything."""

from __future__ import annotations

from typing import Annotated

import typer

from memory_fabric.cli.session import session


def explain(
    context: typer.Context,
    act: Annotated[
        str, typer.Option(help="recall, query, take_in, export, train, erase, relabel.")
    ] = "recall",
    to: Annotated[str | None, typer.Option(help="The other site; this one if left out.")] = None,
    purpose: Annotated[str | None, typer.Option(help="What for.")] = None,
    home_region: Annotated[
        str | None, typer.Option(help="Home region, if not this site's.")
    ] = None,
    data_class: Annotated[str | None, typer.Option(help="public ... secret.")] = None,
    personal: Annotated[bool | None, typer.Option(help="Whether it is about people.")] = None,
    special: Annotated[list[str] | None, typer.Option(help="Special categories.")] = None,
    consent: Annotated[str | None, typer.Option(help="none, given or withdrawn.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
) -> None:
    """Put one question to the rules without doing anything."""
    run = session(context)
    label = {
        "data_class": data_class, "personal": personal, "special": special, "consent": consent,
    }  # fmt: skip
    given = {name: value for name, value in label.items() if value is not None}
    told = run.run(
        "explain_policy",
        tenant,
        act=act,
        purpose=purpose,
        site=to,
        label=given,
        home_region=home_region,
    )
    if run.output.as_json:
        run.output.json(told)
        return
    for sentence in told["sentences"][:2]:
        run.output.say(sentence)
    run.output.rules("Decided by", told["rules"])
