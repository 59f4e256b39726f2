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


@commands.command("list")
def list_apps(context: typer.Context) -> None:
    """Who holds a key, and for what."""
    run = session(context)
    told = run.run("app_list")
    if run.output.as_json:
        run.output.json(told)
        return
    rows = [
        (
            item["app"],
            item["tenant"],
            item["role"],
            ", ".join(item["purposes"]),
            "yes" if item["all_subjects"] else "no",
        )
        for item in told["apps"]
    ]
    run.output.table("Apps", ("app", "tenant", "role", "purposes", "across subjects"), rows)


@commands.command("remove")
def remove(
    context: typer.Context, name: Annotated[str, typer.Argument(help="Name of the app.")]
) -> None:
    """Forget an app: from now on its key opens nothing."""
    run = session(context)
    done = run.run("app_remove", name=name)
    if run.output.as_json:
        run.output.json(done)
    else:
        run.output.say(f"Removed {done['removed']} (receipt {done['receipt']}).")
