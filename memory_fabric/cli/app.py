"""``app``: API keys for the programs that ask."""

from __future__ import annotations

from typing import Annotated

import typer

from memory_fabric.cli.session import session

commands = typer.Typer(help="API keys for apps.", no_args_is_help=True)


@commands.command("add")
def add(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the app.")],
    purpose: Annotated[list[str], typer.Option(help="What the key may be used for; repeat it.")],
    tenant: Annotated[str | None, typer.Option(help="Whose data it may ask for.")] = None,
    role: Annotated[str, typer.Option(help="app, compliance or operator.")] = "app",
    all_subjects: Annotated[
        bool, typer.Option("--all-subjects", help="May ask across subjects.")
    ] = False,
) -> None:
    """Make an API key and print it once; only its hash is kept."""
    run = session(context)
    made = run.run(
        "app_add", tenant, name=name, tenant=tenant, purposes=purpose, role=role,
        all_subjects=all_subjects,
    )  # fmt: skip
    if run.output.as_json:
        run.output.json(made)
        return
    bound = f"tenant {made['tenant']}, {', '.join(made['purposes'])}, role {made['role']}"
    run.output.say(f"Key of {made['app']} ({bound}). It is shown only now:")
    run.output.say(made["key"], "bold")
