"""``site``: make, serve, link and check a site."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from memory_fabric import wiring
from memory_fabric.cli.receipts import VIOLATED, kept_checkpoints
from memory_fabric.cli.session import Session, session
from memory_fabric.core.errors import HomeError, InputError, IntegrityViolated

if TYPE_CHECKING:
    from memory_fabric_api.server import Listening

commands = typer.Typer(help="This site.", no_args_is_help=True)
classes = typer.Typer(help="Label classes that memories may have.", no_args_is_help=True)
commands.add_typer(classes, name="classes")


@commands.command("init")
def init(
    context: typer.Context,
    site: Annotated[str, typer.Option(help="The site's name in the grid.")],
    region: Annotated[str, typer.Option(help="ISO 3166 code of where it stands, such as DE.")],
    tenant: Annotated[list[str], typer.Option(help="Whose data it holds; repeat it.")],
    tier: Annotated[str, typer.Option(help="edge, hub or core.")] = "edge",
    policies: Annotated[Path | None, typer.Option(help="A bundle instead of the starter.")] = None,
    member: Annotated[
        list[str] | None, typer.Option(help="A bloc the site itself belongs to: NAME[=last day].")
    ] = None,
    instrument: Annotated[
        list[str] | None, typer.Option(help="A transfer instrument signed: NAME[=last day].")
    ] = None,
    risk_assessed: Annotated[
        bool, typer.Option("--risk-assessed", help="A transfer impact assessment is on file.")
    ] = False,
    keys: Annotated[str, typer.Option(help="Root key: file, passphrase, pkcs11, ...")] = "file",
    key_setting: Annotated[
        list[str] | None, typer.Option(help="A setting of that kind of root key: NAME=VALUE.")
    ] = None,
) -> None:
    """Make the site's home: keys, stack, ledger, rules and a roster of one."""
    run = session(context)
    settings = wiring.create_home(
        run.path, site_id=site, region=region, tenants=tenant, tier=tier, policies=policies,
        memberships=_terms(member), instruments=_terms(instrument),
        transfer_risk_assessed=risk_assessed,
        provider=keys, provider_settings=_terms(key_setting), ask=run.asker.twice,
    )  # fmt: skip
    if run.output.as_json:
        run.output.json({"site": site, "region": settings.region, "home": str(run.path),
                         "classes": len(settings.classes)})  # fmt: skip
        return
    run.output.say(f"Site {site} in {settings.region} is ready in {run.path}.")
    if keys == "file":
        run.output.say(
            "keys/root.key opens everything: keep a copy of it in a safe place.", "yellow"
        )


@commands.command("serve")
def serve(
    context: typer.Context,
    listen: Annotated[str, typer.Option(help="HOST:PORT.")] = "127.0.0.1:8700",
) -> None:
    """Serve the HTTP API and the local socket until interrupted."""
    from memory_fabric_api.server import serve as serve_home  # no other command waits for it

    run = session(context)
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise InputError("listen-invalid", "--listen is not HOST:PORT.", "Use 127.0.0.1:8700.")

    with run.open() as home:
        serve_home(home, host.strip("[]"), int(port), lambda at: _ready(run, at))


def _ready(run: Session, at: Listening) -> None:
    """Say where the site can be reached now."""
    if run.output.as_json:
        told = {"host": at.host, "port": at.port, "socket": str(at.socket), "warning": at.warning}
        run.output.json(told)
        return
    run.output.say(f"Serving http://{at.host}:{at.port} and {at.socket}; Ctrl-C ends it.")
    if at.warning:
        run.output.say(at.warning, "bold yellow")


@commands.command("status")
def status(context: typer.Context) -> None:
    """What the site is and holds."""
    run = session(context)
    told = run.run("status")
    if run.output.as_json:
        run.output.json(told)
        return
    bundle = told["bundle"]
    rows: list[tuple[str, Any]] = [
        ("site", f"{told['site']} ({told['tier']}) in {told['region']}"),
        ("home", told["home"] + (", served" if told["served"] else "")),
        ("tenants", ", ".join(told["tenants"])),
        ("memories", told["memories"]),
        ("search", _memory(told["search"])),
        ("label classes", told["classes"]),
        ("embedder", f"{told['embedder']['name']}, {told['embedder']['dim']} numbers"),
        ("receipts", told["receipts"]),
        ("rules", f"{bundle['digest'][:16]} {_signed(bundle['mandate'])}"),
        ("grid", ", ".join(f"{item['site']} ({item['region']})" for item in told["sites"])),
        ("apps", ", ".join(told["apps"]) or "none"),
    ]
    if bundle["problem"]:
        rows.append(("NOTHING CROSSES", bundle["problem"]))
    for one in told["emergencies"]:
        until = one["expires"][:16].replace("T", " ")
        rows.append(("EMERGENCY", f"{one['ticket']} is open until {until} UTC"))
    snapshot = told["snapshot"]
    if snapshot["refused"]:
        rows.append(("snapshot", f"not opened by: {snapshot['refused']}; written anew when due"))
    elif snapshot["behind"] is not None:
        rows.append(("snapshot", f"{snapshot['behind']:,} memories behind"))
    for job in told["upkeep"]:
        if failed := job["failed"]:
            what = f"{job['job']} failed: {failed['error']} in {failed['place']}"
            rows.append(("upkeep", f"{what} at {failed['at']}; it is tried again"))
        elif job["due"]:
            rows.append(("upkeep", f"{job['job']} is due"))
    rows += [("warning", warning) for warning in told["warnings"]]
    run.output.table("Status", ("", ""), rows)


def _signed(mandate: dict[str, Any] | None) -> str:
    """By whose authority rules are in force, and until when."""
    if mandate is None:
        return "signed by nobody"
    if mandate["self_signed"]:
        return "self-signed: no officers sign for this site"
    signers = " and ".join(mandate["signers"])
    return f"version {mandate['version']}, signed by {signers}, until {mandate['expires'][:10]}"


def _memory(search: dict[str, Any]) -> str:
    """What the searchable copy takes."""
    limit = f" of {search['limit'] / 2**20:,.0f}" if search["limit"] else ""
    return f"{sum(search['memory'].values()) / 2**20:,.1f}{limit} MiB in memory"


@commands.command("verify")
def verify(
    context: typer.Context,
    against: Annotated[
        Path | None,
        typer.Option(help="Checkpoints of this log kept elsewhere: a note, or JSON lines."),
    ] = None,
) -> None:
    """Read every sealed file and the ledger, and compare the log with the checkpoints of it that
    neighbours hold; exit 5 names what was changed.
    """
    run = session(context)
    kept = kept_checkpoints(against) if against else []
    try:
        with run.calls(load=False) as call, run.output.progress("Verifying"):
            found = call("verify_site", checkpoints=kept)
    except (IntegrityViolated, HomeError) as error:
        damages = [asdict(item) for item in wiring.audit_home(run.path, error, run.asker)]
        found = {"records": None, "receipts": None, "unacknowledged": None, "damaged": damages}
    if run.output.as_json:
        run.output.json(found)
    elif found["damaged"]:
        rows = [(item["file"], item["what"]) for item in found["damaged"]]
        run.output.table("Changed", ("where", "what"), rows)
    else:
        run.output.say(
            f"All {found['records']} sealed records and {found['receipts']} receipts "
            "are as they were acknowledged."
        )
        if found["unacknowledged"]:
            run.output.say(
                f"{found['unacknowledged']} more were never acknowledged; the next opening ends "
                "what a crash left.",
                "yellow",
            )
    if found["damaged"]:
        raise typer.Exit(VIOLATED)


@commands.command("link")
def link(
    context: typer.Context,
    address: Annotated[str, typer.Argument(help="The other site's home on this machine.")],
) -> None:
    """Make another site known to this one, and the whole grid to both."""
    run = session(context)
    told = run.run(
        "link", address=str(Path(address).resolve()) if "://" not in address else address
    )
    if run.output.as_json:
        run.output.json(told)
        return
    run.output.say(
        f"Linked {told['linked']} in {told['region']}; the grid: {', '.join(told['sites'])}."
    )
    claims = told["claims"]
    claimed = [*claims["memberships"], *claims["instruments"]]
    if claims["transfer_risk_assessed"]:
        claimed.append("a transfer impact assessment")
    if claimed:
        run.output.say(
            f"It says of itself, and rules rely on it: {', '.join(claimed)}. Check that it is so.",
            "yellow",
        )
    for name, code in told["not_told"].items():
        run.output.say(f"{name} could not be told ({code}); link it again.", "yellow")


@classes.command("list")
def list_classes(context: typer.Context) -> None:
    """The declared label classes."""
    run = session(context)
    told = run.run("classes_list")
    if run.output.as_json:
        run.output.json(told)
        return
    rows = [(item["tenant"], item["home"], item["text"]) for item in told["classes"]]
    run.output.table("Label classes", ("tenant", "home", "class"), rows)


@classes.command("add")
def add_class(
    context: typer.Context,
    purpose: Annotated[list[str], typer.Option(help="Purposes; repeat it.")],
    data_class: Annotated[str, typer.Option(help="public ... secret.")] = "confidential",
    personal: Annotated[bool, typer.Option(help="Whether it is about people.")] = True,
    special: Annotated[list[str] | None, typer.Option(help="Special categories.")] = None,
    consent: Annotated[str, typer.Option(help="none or given.")] = "none",
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
) -> None:
    """Declare a further label class."""
    run = session(context)
    fields = {
        "purposes": purpose, "data_class": data_class, "personal": personal,
        "special": special or [], "consent": consent,
    }  # fmt: skip
    if tenant:
        fields["tenant"] = tenant
    told = run.run("classes_add", tenant, classes=[fields])
    if run.output.as_json:
        run.output.json(told)
    else:
        run.output.say(f"Declared {len(told['added'])} more; {told['classes']} in all.")


def _terms(given: list[str] | None) -> dict[str, str]:
    """``NAME=last day`` as a mapping; no day means without end."""
    return {name: day for name, _, day in (item.partition("=") for item in given or ())}
