"""``breakglass``: an emergency that two officers vouch for, for one purpose and some hours."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from memory_fabric import wiring
from memory_fabric.cli.session import session
from memory_fabric.core.emergency import APPROVERS
from memory_fabric.core.errors import InputError

commands = typer.Typer(help="Documented emergencies.", no_args_is_help=True)

File = Annotated[Path, typer.Argument(help="The request, which goes from hand to hand.")]
_SPAN = re.compile(r"(\d{1,4})([hm])")


@commands.command("request")
def request(
    context: typer.Context,
    file: File,
    site: Annotated[str, typer.Option(help="The site at which it shall hold.")],
    ticket: Annotated[str, typer.Option(help="Of the incident, such as INC-2041.")],
    purpose: Annotated[str, typer.Option(help="The only one that it serves.")],
    expires: Annotated[str, typer.Option(help="From now: 4h, 90m; 24h at most.")] = "4h",
    to: Annotated[str | None, typer.Option(help="The only site that may receive for it.")] = None,
) -> None:
    """Write down what officers are to approve."""
    run = session(context)
    if (span := _SPAN.fullmatch(expires)) is None:
        raise InputError("span-invalid", "This is no span of time.", "Write it like 4h or 90m.")
    number = int(span[1])
    ends = datetime.now(UTC) + (
        timedelta(hours=number) if span[2] == "h" else timedelta(minutes=number)
    )
    document = wiring.emergency_request(site, ticket, purpose, to, ends)
    _write(file, document, new=True)
    run.output.say(_sentence(document["statement"]))
    run.output.say("Next: two officers run `memory-fabric breakglass approve` on this file.")
    if run.output.as_json:
        run.output.json(document)


@commands.command("approve")
def approve(
    context: typer.Context,
    file: File,
    key: Annotated[Path, typer.Option(help="Your officer's key: the .key file.")],
) -> None:
    """Vouch for an emergency, as an officer."""
    run = session(context)
    document = _read(file)
    run.output.say(_sentence(document.get("statement", {})))
    approved = wiring.approve_emergency(document, key, run.asker)
    _write(file, approved)
    if run.output.as_json:
        run.output.json(approved)
    else:
        run.output.say(f"Signed; it has {len(approved['approvals'])} of {APPROVERS} signatures.")


@commands.command("open")
def open_it(context: typer.Context, file: File) -> None:
    """Open an emergency on this site, on two officers' word; it ends by itself."""
    run = session(context)
    told = run.run("breakglass_open", document=_read(file))
    if run.output.as_json:
        run.output.json(told)
    else:
        run.output.say(
            f"{told['ticket']} is open until {_when(told['expires'])}, approved by "
            f"{' and '.join(told['approvers'])}. Receipt {told['receipt']}.",
            "red",
        )


@commands.command("close")
def close(
    context: typer.Context, ticket: Annotated[str, typer.Argument(help="Such as INC-2041.")]
) -> None:
    """Close an emergency before its end."""
    run = session(context)
    told = run.run("breakglass_close", ticket=ticket)
    if run.output.as_json:
        run.output.json(told)
    else:
        run.output.say(f"{ticket} is closed. Receipt {told['receipt']}.")


@commands.command("list")
def list_open(context: typer.Context) -> None:
    """The emergencies that are open."""
    run = session(context)
    told = run.run("breakglass_list")
    if run.output.as_json:
        run.output.json(told)
    elif not told["open"]:
        run.output.say("No emergency is open.")
    else:
        rows = [
            (one["ticket"], one["purpose"], one["to"] or "any site",
             " and ".join(one["approvers"]), _when(one["expires"]))
            for one in told["open"]
        ]  # fmt: skip
        run.output.table("Open", ("ticket", "for", "to", "approved by", "until"), rows)


def _sentence(statement: Any) -> str:
    try:
        to = statement["to"] or "any site that the rules allow in an emergency"
        return (
            f"{statement['ticket']}: at {statement['site']}, for {statement['purpose']}, to {to}, "
            f"until {_when(statement['expires'])}."
        )
    except (KeyError, TypeError):
        return "The file holds no request."


def _when(iso: str) -> str:
    return f"{iso[:16].replace('T', ' ')} UTC"


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        raise InputError(
            "approval-invalid",
            f"{file} holds no request for an emergency.",
            "Make one with `memory-fabric breakglass request`.",
        ) from None


def _write(file: Path, document: Any, new: bool = False) -> None:
    try:
        with file.open("x" if new else "w", encoding="utf-8") as stream:
            stream.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    except FileExistsError:
        raise InputError("file-exists", f"{file} is there already.", "Name a new file.") from None
    except OSError as error:
        raise InputError(
            "file-unwritable",
            f"{file} cannot be written ({error.strerror}).",
            "Name another file.",
        ) from None
