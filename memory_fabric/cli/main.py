"""The program: its commands, its global options, and how every error ends it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, Optional

import click
import typer

from memory_fabric import __version__, wiring
from memory_fabric.cli import (
    app,
    ask,
    backup,
    breakglass,
    demo,
    export,
    federation,
    finetune,
    forget,
    keys,
    label,
    lease,
    policy,
    recall,
    receipts,
    remember,
    save,
    site,
)
from memory_fabric.cli.asking import Asker
from memory_fabric.cli.output import Output
from memory_fabric.cli.session import Session
from memory_fabric.core.errors import InputError, MemoryFabricError

program = typer.Typer(
    name="memory-fabric",
    help="Federated memory that asks the law before it travels.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    epilog="Every command takes --json. Exit codes: 0 done, 1 failed, 2 usage, 3 denied by policy, "
    "4 policy invalid, 5 integrity violated.",
)


@program.callback(invoke_without_command=False)
def options(
    context: typer.Context,
    home: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads it at run time
        typer.Option(help="The site's home; else MEMORY_FABRIC_HOME.", show_default=False),
    ] = None,
    passphrase_fd: Annotated[
        Optional[int],  # noqa: UP045
        typer.Option(
            help="Read the root key's passphrase, or a token's PIN, from this descriptor.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Options that stand before the command."""
    context.obj = Session(home or wiring.default_home(), context.obj, Asker(passphrase_fd))


program.command("demo")(demo.demo)
program.add_typer(site.commands, name="site")
program.add_typer(app.commands, name="app")
program.command("remember")(remember.remember)
program.command("recall")(recall.recall)
program.command("save")(save.save)
program.command("ask")(ask.ask)
program.command("forget")(forget.forget)
program.add_typer(label.commands, name="label")
program.add_typer(export.commands, name="export")
program.add_typer(lease.commands, name="lease")
program.add_typer(breakglass.commands, name="breakglass")
program.add_typer(keys.commands, name="keys")
program.add_typer(policy.commands, name="policy")
program.add_typer(backup.commands, name="backup")
program.add_typer(receipts.commands, name="receipts")
program.add_typer(federation.commands, name="federation")
program.add_typer(finetune.commands, name="finetune")


def main(arguments: list[str] | None = None) -> None:
    """Run the program and exit.

    ``--json`` may stand anywhere, also last: it is taken out before the commands read theirs.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    end = given.index("--") if "--" in given else len(given)
    as_json = "--json" in given[:end]
    if "--version" in given[:end]:
        sys.stdout.write(f"memory-fabric {__version__}\n")
        sys.exit(0)
    words = [word for word in given[:end] if word != "--json"] + given[end:]
    output = Output(as_json)
    # Lance and tokenizers write warnings of their own; what matters, this program says.
    os.environ.setdefault("RUST_LOG", "error")
    try:
        # Click prints what is wrong with the words by itself; machines get a problem document.
        code = program(args=words, obj=output, standalone_mode=not as_json)
        sys.exit(code or 0)
    except click.UsageError as error:
        usage = InputError("usage-invalid", error.format_message(), "See --help.")
        output.error(usage)
        sys.exit(usage.exit_code)
    except MemoryFabricError as error:
        output.error(error)
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        output.note("Interrupted; what was acknowledged is kept.")
        sys.exit(130)
