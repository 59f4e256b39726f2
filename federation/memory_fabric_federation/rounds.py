"""A run: rounds over a Flower grid, with a quorum, short timeouts and a checkpoint after each."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from time import monotonic, sleep
from typing import Any

from flwr.app import Message, RecordDict
from flwr.serverapp import Grid

from memory_fabric.core.errors import InputError, Unavailable
from memory_fabric.core.training import Task
from memory_fabric_federation.aggregation import Call, aggregated, open_answers, strategy_named
from memory_fabric_federation.wire import site_in, with_letter

Told = Callable[[dict[str, Any]], None]
"""Hears of each round as it stands in the history."""

_ASKING, _CONNECTING = 120.0, 15.0


@dataclass(frozen=True)
class Plan:
    """What a run is to do.

    Attributes:
        run: its name.
        rounds: rounds of training; the loss is measured before the first and after the last.
        sites: asked in each round; empty for all of the tenant that answer.
        quorum: updates that a round needs.
        strategy: name of the Flower strategy.
        timeout: seconds that a round waits for answers.
        task: fields of the task beside those that the run sets.
    """

    run: str
    rounds: int = 2
    sites: tuple[str, ...] = ()
    quorum: int = 2
    strategy: str = "fedavg"
    timeout: float = 600.0
    task: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {**asdict(self), "sites": list(self.sites), "task": dict(self.task or {})}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Plan:
        """The inverse of ``to_json``, or ``plan-invalid``."""
        try:
            plan = cls(**{**value, "sites": tuple(value["sites"])})
        except (KeyError, TypeError):
            raise _invalid("has fields that it should not have, or lacks some") from None
        if plan.rounds < 1 or plan.quorum < 1 or plan.timeout <= 0:
            raise _invalid("needs at least one round, a quorum of one and some time")
        return plan


def start(grid: Grid, call: Call, plan: Plan, told: Told = lambda _: None) -> dict[str, Any]:
    """Run a plan from the beginning; the run's last state.

    Raises:
        Unavailable: ``quorum-missed``; what was done is in the checkpoint, ``resume`` goes on.
        InputError: ``plan-invalid``, ``strategy-unknown``, ``task-invalid``, ``run-exists``.
    """
    if any(state["run"] == plan.run for state in call("finetune_runs")["runs"]):
        raise InputError(
            "run-exists",
            "There is a run of this name already.",
            "Choose another name, or resume that one.",
        )
    model = call("finetune_model")
    fields = {"model": model["model"], "model_id": model["model_id"], **(plan.task or {})}
    first = Task(run=plan.run, round=1, **_shaped(fields))
    first.check()
    adapter = call("finetune_initial", adapter=first.to_json()["adapter"], seed=first.seed)
    state = {
        "run": plan.run, "plan": plan.to_json(), "task": first.to_json(), "status": "running",
        "round": 0, "aggregator": model["site"], "regions": model["regions"], "history": [],
    }  # fmt: skip
    call("finetune_save", run=plan.run, state=state, adapter=adapter["adapter"])
    return _go_on(grid, call, state, base64.b64decode(adapter["adapter"]), told)


def resume(grid: Grid, call: Call, run: str, told: Told = lambda _: None) -> dict[str, Any]:
    """Go on from a run's last checkpoint; its last state.

    Raises:
        NotFound: ``run-unknown``.
        Unavailable: ``quorum-missed``.
    """
    kept = call("finetune_load", run=run)
    state = {**kept["state"], "status": "running"}
    return _go_on(grid, call, state, base64.b64decode(kept["adapter"]), told)


def _go_on(
    grid: Grid, call: Call, state: dict[str, Any], adapter: bytes, told: Told
) -> dict[str, Any]:
    plan = Plan.from_json(state["plan"])
    strategy = strategy_named(plan.strategy, plan.quorum)
    nodes = _nodes(grid, plan, call("finetune_model")["sites"])
    while state["round"] <= plan.rounds:
        number = state["round"] + 1
        last = number > plan.rounds
        task = Task.from_json(state["task"])
        # The loss is measured twice: with the adapter that changes nothing, and with the last one.
        changes: dict[str, Any] = {"round": number}
        if last:
            changes["steps"] = 0
        elif number > 1:
            changes["heldout"] = 0
        asked = Task.from_json({**task.to_json(), **changes})
        if last and not task.heldout:
            state = {**state, "round": number, "status": "done"}
            call("finetune_save", run=plan.run, state=state, adapter=_text(adapter))
            return state
        entry, messages = _round(grid, call, plan, asked, adapter, nodes)
        enough = len(entry["accepted"]) >= plan.quorum
        if enough and not last:
            adapter = aggregated(strategy, number, messages)
        history = [*state["history"], {**entry, "quorum": enough}]
        done = {"round": number} if enough else {}
        status = "waiting" if not enough else "done" if last else "running"
        state = {**state, **done, "history": history, "status": status}
        call("finetune_save", run=plan.run, state=state, adapter=_text(adapter))
        told(history[-1])
        if not enough:
            raise Unavailable(
                "quorum-missed",
                f"Only {len(entry['accepted'])} of {plan.quorum} updates that round {number} "
                "needs came in.",
                f"Look at the refusals; `memory-fabric finetune resume {plan.run}` goes on.",
            )
    return state


def _round(
    grid: Grid, call: Call, plan: Plan, task: Task, adapter: bytes, nodes: Mapping[str, int]
) -> tuple[dict[str, Any], list[Message]]:
    """One round: tasks out, answers in; how it went, and the answers for the strategy."""
    started = monotonic()
    begun = call("finetune_begin", task=task.to_json(), adapter=_text(adapter), sites=sorted(nodes))
    sent = {nodes[site]: site for site in begun["letters"]}
    messages = [
        Message(with_letter(base64.b64decode(begun["letters"][site])), node, "train")
        for node, site in sent.items()
    ]
    replies = _arriving(grid, messages, plan.timeout)
    opened = open_answers(call, plan.run, adapter, sent, replies)
    absent = [{"site": site, "code": "site-absent"} for site in plan.sites if site not in nodes]
    entry = {
        "round": task.round,
        "measured": bool(task.heldout),
        "trained": bool(task.steps),
        "seconds": round(monotonic() - started, 2),
        "receipt": begun["receipt"],
        "accepted": sorted(opened.accepted, key=lambda item: str(item["site"])),
        "refused": [*opened.refused, *absent],
        "withheld": begun["withheld"],
    }
    return entry, opened.messages


def _arriving(grid: Grid, messages: Sequence[Message], timeout: float) -> Iterator[Message]:
    """Replies as they come, until all are there or time is up: a letter is fresh for minutes."""
    end = monotonic() + timeout
    waiting = set(grid.push_messages(messages)) if messages else set()
    while waiting and monotonic() < end:
        for reply in grid.pull_messages(sorted(waiting)):
            waiting.discard(reply.metadata.reply_to_message_id)
            yield reply
        sleep(0.1)


def _nodes(grid: Grid, plan: Plan, known: Sequence[str]) -> dict[str, int]:
    """The Flower node of each site asked. Waits a while for those that are about to connect, and
    longer for connected ones, which start a process to answer.
    """
    wanted = set(plan.sites or known)
    found: dict[str, int] = {}
    answered: set[int] = set()
    started = monotonic()
    while True:
        asked = [node for node in grid.get_node_ids() if node not in answered]
        questions = [Message(RecordDict(), node, "query") for node in asked]
        for reply in _arriving(grid, questions, min(_ASKING, plan.timeout)):
            answered.add(reply.metadata.src_node_id)
            if (site := site_in(reply)) in wanted:
                found[site] = reply.metadata.src_node_id
        if wanted <= found.keys() or monotonic() - started > _CONNECTING:
            return found
        sleep(0.5)


def _shaped(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of a task from JSON, with what is not named left to its default."""
    blank = Task(run="x", round=1, model="", model_id="").to_json()
    task = Task.from_json({**blank, **fields})
    return {name: getattr(task, name) for name in fields}


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _invalid(why: str) -> InputError:
    return InputError("plan-invalid", f"The plan of a run {why}.", "See `finetune start --help`.")
