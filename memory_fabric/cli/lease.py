"""``lease``: what is out on a lease, and ending it."""

from __future__ import annotations

from typing import Annotated

import typer

from memory_fabric.cli.export import ended, states
from memory_fabric.cli.session import session

commands = typer.Typer(help="Leases of exported data.", no_args_is_help=True)


@commands.command("list")
def list_leases(
    context: typer.Context,
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
) -> None:
    """Leases given and taken; asks back what is due."""
    run = session(context)
    told = run.run("lease_list", tenant)
    if run.output.as_json:
        run.output.json(told)
        return
    rows = [
        (
            item["lease"], f"{item['way']}: {item['site']}", item["class"]["text"], item["form"],
            states(item["rows"]), "overdue" if item["overdue"] else item["state"],
            item["expires_at"][:16],
        )
        for item in told["leases"]
    ]  # fmt: skip
    columns = ("lease", "with", "class", "form", "rows", "state", "until")
    run.output.table("Leases", columns, rows)
    ended(run.output, told)


@commands.command("recall")
def recall_lease(
    context: typer.Context,
    lease: Annotated[str, typer.Argument(help="Its id, from `lease list`.")],
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
) -> None:
    """End a lease that this site gave; the other site removes the rows and proves it."""
    run = session(context)
    done = run.run("lease_recall", tenant, id=lease)
    if run.output.as_json:
        run.output.json(done)
    else:
        ended(run.output, done)
