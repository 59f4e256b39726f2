"""``finetune``: federated fine-tuning, from the site that aggregates."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer

from memory_fabric.cli.output import Output
from memory_fabric.cli.session import Call, Session, session
from memory_fabric.core.errors import Unavailable

commands = typer.Typer(help="Federated fine-tuning of a shared model.", no_args_is_help=True)
_RUNS = typer.Argument(help="The run; see `finetune status`.")
_DEPLOYED = typer.Option("--deployed", help="Through this site's `federation serve`.")
_SIMULATED = typer.Option("--simulated", help="In Flower's simulation; the sites are served here.")


@commands.command("start")
def start(
    context: typer.Context,
    run: Annotated[str | None, typer.Option(help="Its name; random where left out.")] = None,
    rounds: Annotated[int, typer.Option(help="Rounds of training.")] = 2,
    site: Annotated[list[str] | None, typer.Option(help="Only these sites; repeat it.")] = None,
    steps: Annotated[int, typer.Option(help="Optimizer steps a round and site.")] = 25,
    strategy: Annotated[
        str, typer.Option(help="fedavg, fedmedian, fedtrimmedavg or krum.")
    ] = "fedavg",
    quorum: Annotated[int, typer.Option(help="Updates that a round needs.")] = 2,
    timeout: Annotated[float, typer.Option(help="Seconds that a round waits.")] = 900.0,
    purpose: Annotated[str, typer.Option(help="Policy decides by it.")] = "training",
    seed: Annotated[int, typer.Option(help="Of the adapter and the order of examples.")] = 0,
    deployed: Annotated[bool, _DEPLOYED] = False,
    simulated: Annotated[bool, _SIMULATED] = False,
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
) -> None:
    """Train an adapter with the sites of the roster that are homes on this machine."""
    rounds_of, grid_of = _federation()
    session_run = session(context)
    task = {"steps": steps, "purpose": purpose, "seed": seed}
    plan = rounds_of.Plan(
        run=run or f"run-{secrets.token_hex(3)}", rounds=rounds, sites=tuple(site or ()),
        quorum=quorum, strategy=strategy, timeout=timeout, task=task,
    )  # fmt: skip
    if deployed or simulated:
        _by_flower(session_run, plan.run, plan.to_json(), simulated, tenant)
        return
    with session_run.calls(tenant) as call:
        known = call("finetune_model")["sites"]
        _train(session_run.output, grid_of, call, list(plan.sites) or known,
               lambda grid, told: rounds_of.start(grid, call, plan, told))  # fmt: skip


@commands.command("resume")
def resume(
    context: typer.Context,
    run: Annotated[str, _RUNS],
    deployed: Annotated[bool, _DEPLOYED] = False,
    simulated: Annotated[bool, _SIMULATED] = False,
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
) -> None:
    """Go on with a run from its last checkpoint."""
    rounds_of, grid_of = _federation()
    session_run = session(context)
    if deployed or simulated:
        _by_flower(session_run, run, None, simulated, tenant)
        return
    with session_run.calls(tenant) as call:
        known = call("finetune_model")["sites"]
        _train(session_run.output, grid_of, call, known,
               lambda grid, told: rounds_of.resume(grid, call, run, told))  # fmt: skip


@commands.command("status")
def status(context: typer.Context) -> None:
    """The runs that this site aggregates."""
    run = session(context)
    told = run.run("finetune_runs")
    if run.output.as_json:
        run.output.json(told)
        return
    rows = [
        (state["run"], state["status"], f"{len(state['history'])}", state["task"]["model"])
        for state in told["runs"]
    ]
    run.output.table("Fine-tuning", ("run", "status", "rounds", "model"), rows)


@commands.command("report")
def report(
    context: typer.Context,
    run: Annotated[str, _RUNS],
    picture: Annotated[Path | None, typer.Option(help="Write the loss curve as SVG.")] = None,
) -> None:
    """How a run went: losses, updates taken and refused, receipts."""
    made = session(context)
    state = made.run("finetune_load", run=run)["state"]
    if picture:
        from memory_fabric_federation.report import loss_curve

        picture.write_text(loss_curve(state), "utf-8")
    if made.output.as_json:
        made.output.json(state)
    else:
        show(made.output, state)


def show(output: Output, state: dict[str, Any]) -> None:
    """A run for people."""
    from memory_fabric_federation.report import curve_in_text, gains

    for entry in state["history"]:
        show_round(output, entry)
    rows = [
        (gain.site, gain.heldout, f"{gain.base:.4f}", f"{gain.tuned:.4f}", f"{gain.gain:.4f}")
        for gain in gains(state)
    ]
    if rows:
        columns = ("site", "answers", "base", "federated", "gain")
        output.table("Held-out loss, nats a token", columns, rows)
    for line in curve_in_text(state):
        output.say(line)


def show_round(output: Output, entry: dict[str, Any]) -> None:
    """One round for people."""
    what = "trained" if entry["trained"] else "measured"
    output.say(f"round {entry['round']} {what} in {entry['seconds']:.1f} s", "bold")
    for item in entry["accepted"]:
        facts = item["facts"]
        said = f"{facts['examples']} memories, {facts['cohort']} people"
        output.say(f"  {item['site']}: update taken ({said}), receipt {item['receipts']['theirs']}")
    for item in [*entry["refused"], *entry["withheld"]]:
        why = item.get("code") or ", ".join(rule["id"] for rule in item["rules"])
        output.say(f"  {item['site']}: none, {why}", "yellow")


def _by_flower(
    run: Session, name: str, plan: dict[str, Any] | None, simulated: bool, tenant: str | None
) -> None:
    """A run by Flower's own programs; this site must be served, in a simulation all sites."""
    from memory_fabric_federation.processes import Flower

    flower, resume = Flower(run.path), "" if plan else name
    with run.output.waiting("Training"):
        if simulated:
            homes = run.run("finetune_model", tenant)["addresses"]
            flower.simulate(plan, list(homes.values()), resume)
        else:
            flower.run(plan, resume)
    state = run.run("finetune_load", run=name)["state"]
    if run.output.as_json:
        run.output.json(state)
    else:
        show(run.output, state)
    if state["status"] != "done":
        raise typer.Exit(1)


def _train(
    output: Output,
    grid_of: Callable[..., Any],
    call: Call,
    sites: list[str],
    work: Callable[..., dict[str, Any]],
) -> None:
    def told(entry: dict[str, Any]) -> None:
        show_round(output, entry)

    with closing(grid_of(call, sites)) as grid, output.waiting("Training"):
        state = work(grid, told)
    if output.as_json:
        output.json(state)
    else:
        output.say(f"Run {state['run']} is {state['status']}.")


def _federation() -> tuple[Any, Callable[..., Any]]:
    """The federation room, where Flower is installed."""
    try:
        from memory_fabric_federation import rounds
        from memory_fabric_federation.in_process import neighbours_grid
    except ImportError as error:
        raise Unavailable(
            "federation-not-installed",
            f"Federated fine-tuning needs {error.name}, which is not installed.",
            "Install memory-fabric[federation,train]; `make finetune` does.",
        ) from None
    return rounds, neighbours_grid
