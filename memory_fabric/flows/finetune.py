"""Fine-tuning over many sites: the side that hands out tasks and takes updates in.

What aggregation made carries the label classes of everything that went into the run, so it asks
policy like any update before it goes to a site. Which classes those are is read from this site's
own log, where each update that was taken in stands with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from memory_fabric.core.access import Act, Requester, Update
from memory_fabric.core.errors import InputError
from memory_fabric.core.labels import ClassState, LabelClass
from memory_fabric.core.places import Site
from memory_fabric.core.receipt import Outcome
from memory_fabric.core.receipt_search import Wanted
from memory_fabric.core.training import Task, UpdateFacts, update_refused
from memory_fabric.flows import arrays, strangers
from memory_fabric.flows.asking import Withheld
from memory_fabric.flows.awaiting import Awaited
from memory_fabric.flows.messages import MISREAD, answer_from, malformed
from memory_fabric.flows.node import Node, recorded
from memory_fabric.flows.train import classes_from, task_body, update_from
from memory_fabric.gate.gate import Ask
from memory_fabric.gate.permits import ClearedUpdate, combined, release_update

TAKEN = "take_update"
"""The act under which the log keeps an update that came in."""


@dataclass(frozen=True)
class Round:
    """Tasks ready to go.

    Attributes:
        letters: sealed, by ``site_id``.
        withheld: sites that policy keeps the adapter from.
        receipt: the receipt that records both.
    """

    letters: dict[str, bytes]
    withheld: list[Withheld]
    receipt: str


@dataclass(frozen=True)
class Taken:
    """An answer to a task.

    Attributes:
        site: whose.
        facts: what it says of its update; ``None`` where it was refused.
        arrays: the update, checked; empty where only a loss was measured.
        rules: the rules of a refusal.
        theirs, ours: receipts in both logs.
    """

    site: Site
    facts: UpdateFacts | None
    arrays: bytes = field(repr=False)
    rules: list[dict[str, str]]
    theirs: str
    ours: str


def begin_round(
    node: Node, requester: Requester, task: Task, adapter: bytes, sites: Sequence[Site]
) -> Round:
    """Decide for each site whether the adapter may go there, record it, and seal the tasks.

    Raises:
        InputError: ``task-invalid``, ``update-...``, ``purpose-unknown``, ``model-mismatch``.
    """
    task.check()
    node.check_purpose(task.purpose, requester)
    shape = arrays.check(adapter, arrays.unpacked(adapter))
    states = classes_of(node, task.run)
    facts: dict[str, Any] = {"run": task.run, "round": task.round}
    made = combined(node.me.site_id, requester.tenant, states, adapter, facts)
    ready: list[tuple[Site, ClearedUpdate]] = []
    withheld: list[Withheld] = []
    decided: list[dict[str, Any]] = []
    for site in sites:
        ask = Ask(
            Act.SEND_UPDATE, requester, task.purpose, node.me, site, update=Update(False, 0, "0.0")
        )
        decisions = node.gate.decide(ask, states)
        decided += recorded(node, ask, decisions)
        if refused := decisions.refusing:
            withheld.append(Withheld(site, refused))
            continue
        permit = node.gate.permit(ask, decisions, None)
        ready.append((site, node.vault.clear_update(permit, made, node.clock.now())))
    outcome = Outcome.DONE if ready else Outcome.DENIED
    committed = node.commit(
        "send_update",
        requester,
        Outcome.PARTLY_WITHHELD if ready and withheld else outcome,
        request={
            "purpose": task.purpose,
            "origin": node.me.site_id,
            "destinations": [site.site_id for site in sites],
        },
        decisions=decided,
        facts={**facts, "update": arrays.digest(adapter), "task": task.to_json()},
    )
    body = task_body(task, requester.tenant, states)
    letters: dict[str, bytes] = {}
    for site, part in ready:
        letter = node.letters.seal_update(release_update(part, committed), body, to=site)
        node.awaited[task.run, site.site_id] = Awaited(letter, task, shape)
        letters[site.site_id] = letter.sealed
    return Round(letters, withheld, committed.receipt.id)


def take_update(node: Node, requester: Requester, run: str, site_id: str, sealed: bytes) -> Taken:
    """Open the answer to a task, check it, ask policy whether it may come in, and record it.

    Raises:
        InputError: ``update-unasked``, ``update-misshaped``, ``update-not-finite``,
            ``update-too-long``, ``update-oversized``, ``update-malformed``, ``letter-...``.
        IntegrityViolated: ``letter-forged``, ``letter-replayed``.
    """
    awaited = node.awaited.get((run, site_id))
    if awaited is None:
        raise update_refused("update-unasked", "answers no task that is out")
    letter = node.letters.open(sealed, reply_to=awaited.letter)
    # One answer to each task, good or bad.
    del node.awaited[run, site_id]
    task = awaited.task
    request = {"purpose": task.purpose, "origin": site_id, "destination": node.me.site_id}
    about = {"run": run, "round": task.round, "letter": letter.id}
    if letter.body.get("kind") != "update":
        reply = answer_from(letter.body, limit=0)
        rules = [rule.to_json() for rule in reply.withheld]
        committed = node.commit(
            TAKEN, requester, Outcome.DENIED, request=request,
            facts={**about, "receipt": reply.receipt, "rules": [rule["id"] for rule in rules]},
        )  # fmt: skip
        return Taken(letter.sender, None, b"", rules, reply.receipt, committed.receipt.id)
    told, data = update_from(letter.body)
    facts = UpdateFacts.from_json(told)
    if (facts.run, facts.round) != (run, task.round) or facts.digest != arrays.digest(data):
        raise update_refused("update-malformed", "is not the one that its facts describe")
    if task.steps:
        arrays.check(data, awaited.shape, task.norm)
    elif data:
        raise update_refused("update-unasked", "came where only a loss was asked for")
    if len(facts.losses) != task.steps or facts.heldout > task.heldout:
        raise update_refused("update-malformed", "tells of more or fewer steps than were asked for")
    states = classes_from(letter.body.get("classes"))
    theirs = _receipt(letter.body)
    if not states:
        raise update_refused("update-malformed", "does not say what it was trained on")
    ask = Ask(Act.TAKE_IN, requester, task.purpose, letter.sender, node.me)
    decisions = node.gate.decide(ask, states)
    refused = decisions.refusing
    committed = node.commit(
        TAKEN,
        requester,
        Outcome.DENIED if refused else Outcome.DONE,
        request=request,
        decisions=recorded(node, ask, decisions),
        facts={**facts.recorded(), **about, "receipt": theirs},
    )
    ours = committed.receipt.id
    if refused:
        rules = [rule.to_json() for rule in refused]
        return Taken(letter.sender, None, b"", rules, theirs, ours)
    permit = node.gate.permit(ask, decisions, None)
    taken = node.vault.take_in_update(permit, frozenset(states), data, node.clock.now())
    return Taken(letter.sender, facts, taken.arrays, [], theirs, ours)


def classes_of(node: Node, run: str) -> frozenset[ClassState]:
    """The class states of everything that went into a run so far, from this site's log."""
    by_key = {item.key: item for item in node.settings.classes}
    states: set[ClassState] = set()
    before: int | None = None
    while page := node.ledger.receipts(before, 500, Wanted(act=TAKEN, outcome=Outcome.DONE)):
        for receipt in page:
            if receipt["facts"].get("run") != run:
                continue
            for group in receipt["decisions"]:
                classes = [LabelClass.from_json(item) for item in group["undeclared"]]
                classes += [by_key[key] for key in group["classes"] if key in by_key]
                if missing := [key for key in group["classes"] if key not in by_key]:
                    raise InputError(
                        "run-undeclared",
                        f"A run was trained on {len(missing)} classes that are not declared now.",
                        "Declare them again, or start another run.",
                    )
                states |= {ClassState(item, group["retention_over"]) for item in classes}
        before = page[-1]["index"]
    return frozenset(states)


def _receipt(body: Mapping[str, Any]) -> str:
    try:
        return strangers.receipt_id(body.get("receipt"))
    except MISREAD:
        raise malformed() from None
