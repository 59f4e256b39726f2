"""Reading one's own stack for a receiver: decide, search what is permitted, open, discharge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from memory_fabric.core.access import Rule
from memory_fabric.core.labels import ClassState
from memory_fabric.core.memory import MemoryType, Vector
from memory_fabric.core.records import Hit, Scope
from memory_fabric.flows.node import Node
from memory_fabric.flows.opening import fetched
from memory_fabric.gate.decisions import Decisions
from memory_fabric.gate.gate import Ask
from memory_fabric.gate.permits import Discharged, Opened


@dataclass(frozen=True)
class Filters:
    """What the asker narrows the search to, besides purpose and subject.

    Attributes:
        memory_types: empty means any.
        created_after, created_before: inclusive and exclusive bounds.
        threshold: scores below it are left out, in [0, 1].
    """

    memory_types: frozenset[MemoryType] = frozenset()
    created_after: datetime | None = None
    created_before: datetime | None = None
    threshold: float = 0.0


@dataclass(frozen=True)
class Reading:
    """What a receiver may have of this site, and why not more.

    Attributes:
        decisions: for every class state the question could be about.
        declared: the decisions on declared classes alone: what may be told about refusals.
        data: discharged memories, best first; empty where nothing is permitted.
        withheld: the rules behind refusals of declared classes.
    """

    decisions: Decisions
    declared: Decisions
    data: Discharged
    withheld: tuple[Rule, ...] = field(default=())

    @property
    def noted(self) -> tuple[Decisions, Decisions]:
        """What the receipt records: the decisions on declared classes, and those by which anything
        else went out. Whoever asks may read it, and other classes tell what is stored.
        """
        out = {item.label_class for item in self.data.items}
        others = {
            state: decision
            for state in (ClassState(item, over) for item in out for over in (False, True))
            if state not in self.declared and (decision := self.decisions.granted.get(state))
        }
        return self.declared, Decisions(others, self.decisions.since)

    @property
    def allowed(self) -> bool:
        """Whether any declared class is permitted in any form."""
        return bool(self.declared.granted)


def decide(node: Node, ask: Ask) -> tuple[Decisions, Decisions]:
    """Decisions on all candidate states, and on the declared classes alone.

    Refusals are told from the latter only: they must not depend on what is stored.
    """
    tenant = ask.requester.tenant
    decisions = node.gate.decide(ask, node.candidates(tenant, ask.purpose))
    return decisions, decisions.only(node.settings.states(tenant, ask.purpose))


def search(
    node: Node,
    ask: Ask,
    subject: str | None,
    text: str | None,
    vector: Vector,
    filters: Filters,
    limit: int,
) -> Reading:
    """Search within what policy permits, and discharge what was found."""
    decisions, declared = decide(node, ask)
    scope = scope_of(node, ask, decisions, subject, filters)
    hits = node.copy.search(text, vector, scope, limit) if scope.states else []
    return _read(node, ask, subject, decisions, declared, hits, vector, filters.threshold)


def listing(
    node: Node, ask: Ask, subject: str | None, filters: Filters, after: bytes | None, limit: int
) -> tuple[Reading, bytes | None]:
    """One page of what policy permits, in the order of writing, and where the next one starts."""
    decisions, declared = decide(node, ask)
    scope = scope_of(node, ask, decisions, subject, filters)
    rids = node.copy.page(scope, after, limit) if scope.states else []
    reading = _read(node, ask, subject, decisions, declared, [Hit(rid, 0.0) for rid in rids])
    return reading, rids[-1] if len(rids) == limit else None


def one(node: Node, ask: Ask, memory_id: str) -> Reading:
    """One memory by its id, if policy permits its class; empty where it does not exist."""
    decisions, declared = decide(node, ask)
    row = node.copy.find(ask.requester.tenant, memory_id)
    hits = [Hit(row.rid, 0.0)] if row else []
    return _read(node, ask, None, decisions, declared, hits)


def scope_of(
    node: Node, ask: Ask, decisions: Decisions, subject: str | None, filters: Filters
) -> Scope:
    """The permitted part of the stack, as the search copy filters it."""
    return Scope(
        tenant=ask.requester.tenant,
        states=decisions.permitted,
        subject=subject,
        now=node.clock.now(),
        memory_types=filters.memory_types,
        created_after=filters.created_after,
        created_before=filters.created_before,
    )


def _read(
    node: Node,
    ask: Ask,
    subject: str | None,
    decisions: Decisions,
    declared: Decisions,
    hits: Sequence[Hit],
    asked: Vector | None = None,
    threshold: float = 0.0,
) -> Reading:
    permit = node.gate.permit(ask, decisions, subject)
    records = fetched(node, [hit.rid for hit in hits])
    scores = {hit.rid: hit.score for hit in hits}
    opened = node.vault.open(permit, records, scores, now=node.clock.now())
    data = node.duties.discharge(opened, asked, threshold)
    return Reading(decisions, declared, data, declared.refusing)


def shown_ids(opened: Opened, data: Discharged) -> tuple[str, ...]:
    """This site's own ids of the memories behind discharged items, in their order.

    For data that was discharged as opened, not ranked by a query.
    """
    withheld = set(data.withheld)
    names = [item.memory.id for item in opened.items]
    return tuple(name for name in names if name not in withheld)
