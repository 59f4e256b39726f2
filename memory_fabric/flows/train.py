"""Training at a site, asked for by another: policy decides what is learned from and what leaves.

    the task is checked       model, shape, bounds; from an aggregator that the operator joined
    may the adapter come in   take_in, for every class that earlier rounds put into it
    may these be trained on   train, for each class of the tenant that serves the purpose
    may that leave            send_update, for the same classes; asked before any training, for
                              what may not leave is not trained on, and again after it
    training                  in a worker process; plaintext goes there through a pipe
    clip, check, receipt      then the update is sealed to the aggregator, and nobody else

Whatever is refused is a receipt here and a letter that names the rules.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from memory_fabric.config import MAX_CLASSES
from memory_fabric.core.access import Act, Requester, Role, Rule, Update
from memory_fabric.core.canonical import digest
from memory_fabric.core.errors import InputError, NotGranted, Unavailable
from memory_fabric.core.labels import ClassState
from memory_fabric.core.memory import Memory
from memory_fabric.core.receipt import Outcome
from memory_fabric.core.records import Scope
from memory_fabric.core.training import MAX_MEMORIES, Task, UpdateFacts
from memory_fabric.flows import arrays, strangers
from memory_fabric.flows.messages import MISREAD, answer_body, malformed
from memory_fabric.flows.node import Node, recorded
from memory_fabric.flows.opening import fetched
from memory_fabric.flows.participants import PARTICIPANTS, participants
from memory_fabric.gate.decisions import Decisions
from memory_fabric.gate.gate import Ask
from memory_fabric.gate.permits import Opened, OpenedMemory, release_update, trained
from memory_fabric.vault.letters import Letter


@dataclass(frozen=True)
class Asked:
    """A task as it came in, checked.

    Attributes:
        task: what to do.
        requester: the aggregator, as a site asking for one tenant.
        adapter: safetensors bytes to start from.
        states: class states that went into it.
    """

    task: Task
    requester: Requester
    adapter: bytes
    states: tuple[ClassState, ...]


def train_for(node: Node, letter: Letter) -> bytes:
    """Answer a training task: a sealed update, or a sealed refusal.

    Raises:
        InputError: ``task-invalid``, ``model-mismatch``, ``purpose-unknown``, ``update-...``.
        NotGranted: ``aggregator-not-joined``.
        Unavailable: ``training-not-installed``, ``trainer-lost``, ``training-late``,
            ``nothing-to-train-on``, ``memories-changed``.
    """
    asked = _asked(node, letter)
    task, requester = asked.task, asked.requester
    decided: list[dict[str, Any]] = []

    def decide(act: Act, states: Sequence[ClassState], cohort: int = 0) -> tuple[Ask, Decisions]:
        origin, destination = {
            Act.TAKE_IN: (letter.sender, node.me),
            Act.TRAIN: (node.me, node.me),
            Act.SEND_UPDATE: (node.me, letter.sender),
        }[act]
        update = Update(False, cohort, "0.0") if act is Act.SEND_UPDATE else None
        ask = Ask(act, requester, task.purpose, origin, destination, update=update)
        return ask, node.gate.decide(ask, states)

    def commit(outcome: Outcome, facts: Mapping[str, Any]) -> Any:
        return node.commit(
            "send_update",
            requester,
            outcome,
            request={
                "purpose": task.purpose,
                "origin": node.me.site_id,
                "destination": letter.sender.site_id,
                "task": digest(task.to_json()),
            },
            decisions=decided,
            facts={"letter": letter.id, **facts},
        )

    def refuse(rules: tuple[Rule, ...]) -> bytes:
        committed = commit(Outcome.DENIED, {"run": task.run, "round": task.round})
        body = answer_body([], rules, committed.receipt.id)
        return node.letters.seal_refusal(body, to=letter.sender, reply_to=letter).sealed

    incoming, entering = decide(Act.TAKE_IN, asked.states)
    decided += recorded(node, incoming, entering)
    if refused := entering.refusing:
        return refuse(refused)
    node.vault.take_in_update(
        node.gate.permit(incoming, entering, None),
        frozenset(asked.states), asked.adapter, node.clock.now(),
    )  # fmt: skip

    candidates = [
        state
        for state in node.candidates(requester.tenant, task.purpose)
        if state.label_class.data_class in task.data_classes
    ]
    training, learning = decide(Act.TRAIN, candidates)
    decided += recorded(node, training, learning)
    data = _opened(node, training, learning)
    able = [state for state in candidates if learning[state].allowed]
    sending, leaving = decide(Act.SEND_UPDATE, able, _cohort(data.items))
    used = [item for item in data.items if _leaves(node, leaving, item)]
    if not used and (
        refused := _told(node, Decisions({**learning, **leaving}, learning.since), learning)
    ):
        decided += recorded(node, sending, leaving)
        return refuse(refused)

    update, facts = _lesson(node, asked, used)
    _check_unchanged(node, requester.tenant, used)
    now = node.clock.now()
    made = trained(data, used, update, facts.to_json(), now)
    sending, leaving = decide(Act.SEND_UPDATE, sorted(made.states, key=_key), facts.cohort)
    decided += recorded(node, sending, leaving)
    if refused := leaving.refusing:
        return refuse(refused)
    part = node.vault.clear_update(node.gate.permit(sending, leaving, None), made, now)
    partly = bool(learning.refusing) or len(used) < len(data.items)
    committed = commit(
        Outcome.PARTLY_WITHHELD if partly else Outcome.DONE,
        {**facts.recorded(), PARTICIPANTS: participants(node, [item.memory for item in used])},
    )
    header = {
        "kind": "update",
        "receipt": committed.receipt.id,
        "classes": classes_json(made.states),
    }
    released = release_update(part, committed)
    return node.letters.seal_update(released, header, to=letter.sender, reply_to=letter).sealed


def task_body(task: Task, tenant: str, states: frozenset[ClassState]) -> dict[str, Any]:
    """What stands in a task's letter beside the adapter."""
    return {
        "kind": "train",
        "tenant": tenant,
        "task": task.to_json(),
        "classes": classes_json(states),
    }


def classes_json(states: frozenset[ClassState]) -> list[dict[str, Any]]:
    """Class states as letters carry them."""
    return [
        {"class": state.label_class.to_json(), "retention_over": state.retention_over}
        for state in sorted(states, key=_key)
    ]


def classes_from(value: Any) -> tuple[ClassState, ...]:
    """The inverse of ``classes_json``, or ``letter-malformed``."""
    try:
        if len(value) > MAX_CLASSES or any(
            type(item["retention_over"]) is not bool for item in value
        ):
            raise ValueError("not a list of class states")
        return tuple(
            ClassState(strangers.label_class(item["class"]), item["retention_over"])
            for item in value
        )
    except MISREAD:
        raise malformed() from None


def update_from(body: Mapping[str, Any]) -> tuple[Mapping[str, Any], bytes]:
    """Facts and arrays of the update in a letter, or ``letter-malformed``."""
    try:
        update = body["update"]
        facts, data = update["facts"], base64.b64decode(update["arrays"], validate=True)
    except (KeyError, TypeError, binascii.Error):
        raise malformed() from None
    if not isinstance(facts, Mapping):
        raise malformed()
    return facts, data


def _asked(node: Node, letter: Letter) -> Asked:
    body, sender = letter.body, letter.sender.site_id
    if not isinstance(body.get("task"), Mapping) or not isinstance(body.get("tenant"), str):
        raise malformed()
    task = Task.from_json(body["task"])
    requester = Requester(f"site:{sender}", body["tenant"], Role.APP)
    if sender != node.me.site_id and sender not in node.settings.aggregators:
        raise NotGranted(
            "aggregator-not-joined",
            f"This site takes no training tasks from {sender!r}.",
            f"Its operator may run `memory-fabric federation join {sender}`.",
        )
    node.check_purpose(task.purpose, requester)
    if task.model_id != node.trainer.model_id:
        raise InputError(
            "model-mismatch",
            "A training task is for another base model than this site's.",
            "Let all sites of a run use the same model.",
        )
    _, adapter = update_from(body)
    arrays.check(adapter, arrays.unpacked(adapter))
    return Asked(task, requester, adapter, classes_from(body.get("classes")))


def _opened(node: Node, ask: Ask, decisions: Decisions) -> Opened:
    """The memories that may be trained on, in the order of writing."""
    now = node.clock.now()
    states = frozenset(state for state, decision in decisions.items() if decision.allowed)
    scope = Scope(ask.requester.tenant, states, None, now)
    rids = node.copy.page(scope, None, MAX_MEMORIES) if states else []
    permit = node.gate.permit(ask, decisions, None)
    return node.vault.open(permit, fetched(node, rids), now=now)


def _lesson(node: Node, asked: Asked, used: Sequence[OpenedMemory]) -> tuple[bytes, UpdateFacts]:
    """Train, and cut what came out to what may go; its facts."""
    task = asked.task
    memories = [item.memory for item in used]
    heldout = [memory for memory in memories if is_heldout(memory)][: task.heldout]
    lessons = [memory for memory in memories if not is_heldout(memory)] if task.steps else []
    if (task.steps and not lessons) or not (lessons or heldout):
        raise Unavailable(
            "nothing-to-train-on",
            "Policy permits training here, and there is nothing to train on.",
            "Remember something for this purpose first.",
        )
    seeded = replace(task, seed=_seed(task, node.me.site_id))
    lesson = node.trainer.train(
        seeded, asked.adapter, [item.text for item in lessons], [item.text for item in heldout]
    )
    update, norm = b"", 0.0
    if task.steps:
        update, norm = arrays.clipped_change(asked.adapter, lesson.arrays, task.norm)
    return update, UpdateFacts(
        run=task.run,
        round=task.round,
        examples=len(lessons),
        cohort=_cohort(used),
        norm=norm,
        losses=lesson.losses,
        heldout=lesson.heldout,
        loss=lesson.loss,
        digest=arrays.digest(update),
    )


def is_heldout(memory: Memory) -> bool:
    """Whether a memory measures rather than trains: as its metadata says (``split``), else one in
    ten, chosen by its id for good.
    """
    split = memory.metadata.get("split")
    if split is not None:
        return bool(split == "heldout")
    return hashlib.sha256(memory.id.encode()).digest()[0] % 10 == 0


def _seed(task: Task, site_id: str) -> int:
    """A seed of its own for each site and round."""
    named = f"{task.seed}/{task.round}/{site_id}".encode()
    return int.from_bytes(hashlib.sha256(named).digest()[:4], "big") >> 1


def _cohort(items: Sequence[OpenedMemory]) -> int:
    return len({name for item in items for name in item.memory.label.subjects})


def _leaves(node: Node, decisions: Decisions, item: OpenedMemory) -> bool:
    decision = decisions.get(item.memory.label.state(node.clock.now()))
    return decision is not None and decision.allowed


def _told(node: Node, decisions: Decisions, candidates: Decisions) -> tuple[Rule, ...]:
    """The rules that refuse, from declared classes alone: not from what is stored."""
    declared = node.settings.declared
    told = frozenset(
        state for state in candidates if state.label_class in declared and not state.retention_over
    )
    return decisions.only(told).refusing


def _check_unchanged(node: Node, tenant: str, used: Sequence[OpenedMemory]) -> None:
    """What was erased or relabelled while it was trained on must not leave in an update."""
    for item in used:
        row = node.copy.find(tenant, item.memory.id)
        if row is None or row.label != item.memory.label:
            raise Unavailable(
                "memories-changed",
                "Memories were erased or relabelled while they were trained on.",
                "The next round trains on what is there then.",
            )


def _key(state: ClassState) -> tuple[str, bool]:
    return state.label_class.key, state.retention_over
