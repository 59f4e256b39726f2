"""``export``: hand over what policy lets go, on a lease; take in what another site exported."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from memory_fabric.cli.output import Output
from memory_fabric.cli.session import session

commands = typer.Typer(help="Exports to other sites, on a lease.", no_args_is_help=True)


@commands.command("run")
def run_export(
    context: typer.Context,
    to: Annotated[str, typer.Option(help="The site to export to.")],
    purpose: Annotated[str | None, typer.Option(help="What for; policy decides by it.")] = None,
    form: Annotated[
        str | None, typer.Option(help="Only classes that policy grants in exactly this form.")
    ] = None,
    file: Annotated[
        Path | None, typer.Option(help="Write the packages to this new file (.mfpkg) instead.")
    ] = None,
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
) -> None:
    """Export what is not there yet, each label class in the form that policy grants. A run that
    was interrupted goes on with the next one.
    """
    run = session(context)
    with run.calls(tenant) as call, run.output.progress("Exporting"):
        done = call(
            "export_run", site=to, purpose=purpose, form=form,
            file=str(file.absolute()) if file else None,
        )  # fmt: skip
    if run.output.as_json:
        run.output.json(done)
        return
    rows = [
        (item["class"]["text"], item["form"], item["rows"], ", ".join(item["rules"]))
        for item in done["classes"]
        if item["rows"]
    ]
    run.output.table(f"Exported to {to}", ("class", "form", "rows", "allowed by"), rows)
    run.output.rules("Withheld, whatever is stored", done["withheld"])
    run.output.say(f"{done['rows']} rows in {len(done['packages'])} packages.")
    if done["unredacted"]:
        run.output.say(f"{done['unredacted']} kept back: they cannot be redacted.", "yellow")
    if done["file"]:
        run.output.say(f"Carry {done['file']} there, and run: memory-fabric export take FILE")
    ended(run.output, done)
    run.output.say(f"receipts {', '.join(done['receipts'])}", "dim")


@commands.command("status")
def status(
    context: typer.Context,
    purpose: Annotated[
        str | None, typer.Option(help="Also say what an export for it would take along.")
    ] = None,
    to: Annotated[str | None, typer.Option(help="Only this site.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
) -> None:
    """What is out at each site; asks back what is due."""
    run = session(context)
    told = run.run("export_status", tenant, purpose=purpose, site=to)
    if run.output.as_json:
        run.output.json(told)
        return
    rows = [
        (item["to"], item["packages"], states(item["rows"]), item.get("pending"))
        for item in told["sites"]
    ]
    run.output.table("Exports", ("to", "packages", "rows", "not there yet"), rows)
    ended(run.output, told)


@commands.command("take")
def take(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A file that `export run --file` wrote.")],
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
) -> None:
    """Take in a file that another site exported to this one."""
    run = session(context)
    done = run.run("export_take", tenant, file=str(file.absolute()))
    if run.output.as_json:
        run.output.json(done)
        return
    rows = [(item["from"], item["package"], item["rows"], item["receipt"])
            for item in done["packages"]]  # fmt: skip
    run.output.table("Taken in", ("from", "package", "rows", "receipt"), rows)


def states(counts: dict[str, int]) -> str:
    """Rows by state, for people."""
    return ", ".join(f"{count} {state}" for state, count in counts.items()) or "none"


def ended(output: Output, told: dict[str, Any] | None) -> None:
    """What importers gave up, and who did not answer; nothing where nobody was asked."""
    if told is None:
        return
    for item in told["ended"]:
        output.say(f"{item['site']} gave up {item['rows']} rows (its receipt {item['receipt']}).")
    for item in told.get("overdue", ()):
        output.say(f"{item['site']} has not given up what is due: {item['code']}", "red")
