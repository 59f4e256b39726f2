"""Relabel: consent, hold, class. Decided like everything else; loosening takes compliance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from memory_fabric.core.access import Act, Requester
from memory_fabric.core.errors import InputError, NotFound
from memory_fabric.core.labels import Consent, Label, LabelChange, loosens
from memory_fabric.core.memory import subject_name
from memory_fabric.core.receipt import Outcome
from memory_fabric.core.records import IndexRow
from memory_fabric.flows.leases import NOTHING_ENDED, Settled, sweep
from memory_fabric.flows.node import Node, recorded
from memory_fabric.flows.opening import fetched, pen
from memory_fabric.flows.storing import Storing, store
from memory_fabric.gate.gate import Ask, denied

_FROM_OUTSIDE = [
    LabelChange(consent=consent, legal_hold=hold)
    for consent in (None, Consent.WITHDRAWN)
    for hold in (None, True, False)
]


@dataclass(frozen=True)
class Relabelled:
    """How many memories carry the new label, the receipt, and the leases that ended with it."""

    memories: int
    receipt: str
    leases: Settled = NOTHING_ENDED


def relabel_memory(
    node: Node, requester: Requester, memory_id: str, change: LabelChange
) -> Relabelled:
    """Change the label of one memory, or ``NotFound``."""
    with pen(node):
        row = node.copy.find(requester.tenant, memory_id)
        if row is None or not node.concerns(requester, row.label):
            raise NotFound("memory-unknown", "There is no such memory.", "Check id and tenant.")
        done = _relabel(node, requester, [row], None, change)
    return replace(done, leases=sweep(node))


def relabel_subject(
    node: Node, requester: Requester, subject: str, change: LabelChange
) -> Relabelled:
    """Change the label of every memory about a subject."""
    subject = subject_name(subject)
    with pen(node):
        rows = node.copy.of_subject(requester.tenant, subject)
        if not rows:
            raise NotFound(
                "subject-unknown", "Nothing is remembered about that subject.", "Check it."
            )
        done = _relabel(node, requester, rows, subject, change)
    return replace(done, leases=sweep(node))


def _relabel(
    node: Node,
    requester: Requester,
    rows: Sequence[IndexRow],
    subject: str | None,
    change: LabelChange,
) -> Relabelled:
    node.check_tenant(requester)
    if change == LabelChange():
        raise InputError("nothing-to-do", "No field of the label is named.", "Name one to change.")
    now = node.clock.now()
    new_labels = {row.rid: _checked(node, row.label, change) for row in rows}
    loosening = any(loosens(row.label, new_labels[row.rid]) for row in rows)
    ask = Ask(Act.RELABEL, requester, "", node.me, node.me, loosens=loosening)
    states = [row.label.state(now) for row in rows]
    decisions = node.gate.decide(ask, states)
    request = {
        "loosens": loosening,
        "to": sorted({label.label_class.key for label in new_labels.values()}),
        **(node.subject_scope(requester.tenant, subject) if subject else {"memories": len(rows)}),
    }
    if not all(decision.allowed for decision in decisions.values()):
        committed = node.commit(
            "relabel",
            requester,
            Outcome.DENIED,
            request=request,
            decisions=recorded(node, ask, decisions),
        )
        raise denied("Policy refuses this change of label.", decisions, committed.receipt.id)
    permit = node.gate.permit(ask, decisions, subject)
    by_id = {row.memory_id: row.rid for row in rows}
    old = {record.rid: record for record in fetched(node, [row.rid for row in rows])}
    opened = node.vault.open(permit, list(old.values()), now=now)
    changes = [
        (old[rid], replace(item.memory, label=new_labels[rid]))
        for item in opened.items
        for rid in [by_id[item.memory.id]]
    ]
    resealed = zip(node.vault.reseal(changes), (memory for _, memory in changes), strict=True)
    (committed,) = store(
        node,
        Storing(
            "relabel",
            requester,
            list(resealed),
            request=request,
            decisions=recorded(node, ask, decisions),
        ),
    )
    return Relabelled(len(changes), committed.receipt.id)


def _checked(node: Node, label: Label, change: LabelChange) -> Label:
    """The changed label, if this site may hold it."""
    new = change.apply(label)
    # A withdrawn consent and a hold come from outside: no setting stands in their way.
    if change in _FROM_OUTSIDE:
        return new
    if not new.purposes <= set(node.purposes) or not new.special <= set(node.specials):
        raise InputError(
            "label-invalid",
            "The policy bundle knows no such purpose or special category.",
            f"Purposes: {', '.join(node.purposes)}. Special: {', '.join(node.specials)}.",
        )
    node.settings.tenant(new.tenant).check_floor(new)
    node.settings.check_declared(new.label_class)
    return new
