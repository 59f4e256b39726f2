"""``federation``: the servers that carry letters between sites on different machines."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from memory_fabric.cli.session import Session, session
from memory_fabric.core.errors import InputError, Unavailable

commands = typer.Typer(help="Flower between sites.", no_args_is_help=True)


@commands.command("serve")
def serve(
    context: typer.Context,
    node: Annotated[
        list[Path] | None, typer.Option(help="node.pub of a site that may connect; repeat it.")
    ] = None,
    listen: Annotated[str, typer.Option(help="HOST:PORT.")] = "127.0.0.1:8701",
) -> None:
    """Run the SuperLink of this site, which aggregates, until interrupted."""
    run = session(context)
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise InputError("listen-invalid", "--listen is not HOST:PORT.", "Use 127.0.0.1:8701.")
    flower = _flower(run)
    try:
        flower.start_superlink(host, int(port))
        for key in node or ():
            flower.register(key.resolve())
        told = {"superlink": listen, "certificate": str(flower.certificate)}
        if run.output.as_json:
            run.output.json(told)
        else:
            run.output.say(f"SuperLink at {listen}; nodes need {flower.certificate}.")
        flower.wait()
    finally:
        flower.stop()


@commands.command("join")
def join(
    context: typer.Context,
    aggregator: Annotated[str, typer.Argument(help="The site to take training tasks from.")],
    superlink: Annotated[str | None, typer.Option(help="Its HOST:PORT.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="Its ca.crt.")] = None,
    port: Annotated[int, typer.Option(help="Of the node's own local API.")] = 9094,
) -> None:
    """Take training tasks from a site; with --superlink run this site's SuperNode as well."""
    run = session(context)
    told = run.run("finetune_join", aggregator=aggregator)
    if superlink is None:
        if run.output.as_json:
            run.output.json(told)
        else:
            run.output.say(f"{told['site']} takes training tasks from {aggregator}.")
        return
    if certificate is None:
        raise InputError("certificate-missing", "The SuperLink's ca.crt is not named.", "Name it.")
    flower = _flower(run)
    try:
        key = flower.node_key()
        flower.start_supernode(superlink, certificate.resolve(), port)
        if run.output.as_json:
            run.output.json({**told, "node_key": str(key)})
        else:
            run.output.say(f"SuperNode of {told['site']} runs; its key is {key}.")
        flower.wait()
    finally:
        flower.stop()


@commands.command("key")
def key(context: typer.Context) -> None:
    """Print the path of this site's node.pub, for `federation serve --node`."""
    run = session(context)
    path = str(_flower(run).node_key())
    if run.output.as_json:
        run.output.json({"node_key": path})
    else:
        run.output.say(path)


def _flower(run: Session) -> Any:
    """Flower's programs for this home, where Flower is installed."""
    try:
        from memory_fabric_federation.processes import Flower
    except ImportError as error:
        raise Unavailable(
            "federation-not-installed",
            f"Federation needs {error.name}, which is not installed.",
            "Install memory-fabric[federation].",
        ) from None
    return Flower(run.path)
