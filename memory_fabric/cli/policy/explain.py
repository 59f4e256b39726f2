"""``policy explain``: put one question to the rules without doing anything."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from memory_fabric import wiring
from memory_fabric.cli.policy.folder import Directory, folder
from memory_fabric.cli.session import Session, session
from memory_fabric.core.errors import InputError


def explain(
    context: typer.Context,
    directory: Directory = None,
    act: Annotated[
        str, typer.Option(help="recall, query, take_in, export, train, erase, relabel.")
    ] = "recall",
    from_: Annotated[
        str | None,
        typer.Option("--from", help="Ask about places, not this home's sites: where the data is."),
    ] = None,
    to: Annotated[
        str | None, typer.Option(help="The other site, or with --from its region.")
    ] = None,
    instrument: Annotated[
        list[str] | None, typer.Option(help="With --from: the receiver has signed it.")
    ] = None,
    member: Annotated[
        list[str] | None, typer.Option(help="With --from: the receiver has joined this bloc.")
    ] = None,
    assessed: Annotated[
        bool, typer.Option("--assessed", help="With --from: a transfer risk assessment is on file.")
    ] = False,
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
    """Put one question to the rules without doing anything: to those of a home about its sites,
    or with --from to any bundle about places.
    """
    run = session(context)
    label = {
        "data_class": data_class, "personal": personal, "special": special, "consent": consent,
    }  # fmt: skip
    given = {name: value for name, value in label.items() if value is not None}
    if from_ is None:
        if directory or instrument or member or assessed:
            raise InputError(
                "option-needs-from",
                "A folder, --instrument, --member and --assessed go with --from.",
                "Say in which region the data is, as in `--from DE --to US`.",
            )
        told = run.run(
            "explain_policy",
            tenant,
            act=act,
            purpose=purpose,
            site=to,
            label=given,
            home_region=home_region,
        )
    else:
        plain = wiring.PlainPolicies(folder(run, directory))
        here = wiring.site_in(from_, name="here")
        there = wiring.site_in(
            to or from_, name="there", instruments=instrument or [], memberships=member or [],
            assessed=assessed,
        )  # fmt: skip
        told = plain.explain(act, here, there, purpose or "", given).to_json()
    _show(run, told)


def _show(run: Session, told: dict[str, Any]) -> None:
    if run.output.as_json:
        run.output.json(told)
        return
    for sentence in told["sentences"][:2]:
        run.output.say(sentence)
    run.output.rules("Decided by", told["rules"])
    for near in told["closest"]:
        run.output.say(near["sentence"])
