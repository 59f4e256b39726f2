"""Erase: a subject with its key, or one memory. Unfindable and unopenable when this returns.

The sealed bytes that are left on the disk go with the next ``scrub``, which is due from now on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from memory_fabric.core.access import Act, Requester
from memory_fabric.core.errors import NotFound
from memory_fabric.core.memory import subject_name
from memory_fabric.core.receipt import Outcome
from memory_fabric.core.records import CatalogChange, IndexRow
from memory_fabric.flows.node import Node, recorded
from memory_fabric.flows.opening import fetched, pen
from memory_fabric.flows.participants import runs_of
from memory_fabric.flows.remains import remains_of
from memory_fabric.flows.snapshot import drop_snapshot
from memory_fabric.flows.storing import entry
from memory_fabric.gate.gate import Ask, denied


@dataclass(frozen=True)
class Erased:
    """What an erasure removed here.

    Attributes:
        memories: sealed records removed; a memory about several people goes with any of them.
        keys: data keys destroyed (0 when one memory was forgotten by its id).
        receipt: the receipt that records it.
        at: when it was recorded.
        runs: fine-tuning runs that memories about the same subjects went into.
        remains: what is not gone by this, in words.
    """

    memories: int
    keys: int
    receipt: str
    at: datetime
    runs: tuple[str, ...] = ()
    remains: tuple[str, ...] = ()


_BACKUPS = (
    "Backups keep this one record, sealed, until they are pruned: "
    "forgetting by id destroys no subject's key."
)
_ESCROW = (
    "The escrow of {day} still holds the key: write it anew with `memory-fabric keys escrow`, and "
    "destroy the old one."
)
_LEARNED = (
    "What adapters have learned is not unlearned: start the runs {runs} anew, or stop using them."
)


def forget_subject(node: Node, requester: Requester, subject: str) -> Erased:
    """Erase everything about a subject at this site, and destroy the subject's key.

    Raises:
        Denied: a rule refuses, such as a legal hold; then nothing at all is erased.
    """
    subject = subject_name(subject)
    with pen(node):
        rows = node.copy.of_subject(requester.tenant, subject)
        return _erase(node, requester, rows, subject)


def forget_memory(node: Node, requester: Requester, memory_id: str) -> Erased:
    """Erase one memory by its id; its subjects' keys stay.

    Raises:
        NotFound: ``memory-unknown``.
        Denied: a rule refuses.
    """
    with pen(node):
        row = node.copy.find(requester.tenant, memory_id)
        if row is None or not node.concerns(requester, row.label):
            raise NotFound("memory-unknown", "There is no such memory.", "Check id and tenant.")
        return _erase(node, requester, [row], None)


def _erase(
    node: Node, requester: Requester, rows: Sequence[IndexRow], subject: str | None
) -> Erased:
    """Decide, record, destroy, remove: in this order, so that a crash leaves a record of what is
    still to do, and ``opening.finish_erasures`` does it.
    """
    node.check_tenant(requester)
    now = node.clock.now()
    ask = Ask(Act.ERASE, requester, "", node.me, node.me)
    decisions = node.gate.decide(ask, [row.label.state(now) for row in rows])
    scope = node.subject_scope(requester.tenant, subject) if subject else {"memories": len(rows)}
    request = {"destination": node.me.site_id, **scope}
    if not all(decision.allowed for decision in decisions.values()):
        committed = node.commit(
            "erase",
            requester,
            Outcome.DENIED,
            request=request,
            decisions=recorded(node, ask, decisions),
        )
        raise denied(
            "Policy refuses this erasure; nothing was erased.", decisions, committed.receipt.id
        )
    permit = node.gate.permit(ask, decisions, subject)
    records = fetched(node, [row.rid for row in rows])
    key_ids = node.vault.key_ids(requester.tenant, subject) if subject else []
    runs = _runs(node, requester.tenant, rows, subject)
    committed = node.commit(
        "erase",
        requester,
        Outcome.DONE,
        request=request,
        decisions=recorded(node, ask, decisions),
        facts={
            "keys": [key_id.hex() for key_id in key_ids],
            "memories": len(records),
            "runs": list(runs),
        },
        change=CatalogChange(None, removed=[entry(record) for record in records]),
    )
    node.unsettled = True
    node.copy.remove([row.rid for row in rows])
    drop_snapshot(node)
    node.vault.destroy(permit, key_ids, now)
    node.stack.remove([record.rid for record in records])
    node.unscrubbed |= remains_of(committed)
    node.unsettled = False
    receipt, remains = committed.receipt, _remains(node, subject, bool(key_ids), runs)
    return Erased(len(records), len(key_ids), receipt.id, receipt.at, runs, remains)


def _remains(
    node: Node, subject: str | None, destroyed: bool, runs: Sequence[str]
) -> tuple[str, ...]:
    """What this erasure does not reach, in words."""
    told = [] if subject else [_BACKUPS]
    if destroyed and (escrow := node.keyring.escrow):
        told.append(_ESCROW.format(day=escrow.made_at.date()))
    if runs:
        told.append(_LEARNED.format(runs=", ".join(runs)))
    return tuple(told)


def _runs(
    node: Node, tenant: str, rows: Sequence[IndexRow], subject: str | None
) -> tuple[str, ...]:
    """The runs that may have learned from what is erased."""
    subjects = {subject} if subject else {name for row in rows for name in row.label.subjects}
    since = min((row.created_at for row in rows), default=None)
    return tuple(runs_of(node, tenant, subjects, since)) if since else ()
