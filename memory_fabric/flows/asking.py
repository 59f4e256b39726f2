"""Asking other sites: the query leaves in the form policy allows, results come in by permit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from memory_fabric.core.access import Act, Requester, Rule
from memory_fabric.core.errors import MemoryFabricError
from memory_fabric.core.labels import ClassState, DataClass, Label
from memory_fabric.core.memory import Memory, MemoryType, Vector
from memory_fabric.core.places import Site
from memory_fabric.core.receipt import Outcome
from memory_fabric.flows.mentioned import mentioned
from memory_fabric.flows.messages import Reply, answer_from, question_body
from memory_fabric.flows.node import Node, plans_json, recorded
from memory_fabric.flows.reading import Filters
from memory_fabric.gate.gate import Ask
from memory_fabric.gate.permits import Discharged, release
from memory_fabric.vault.letters import Letter


class Reach(StrEnum):
    """How far a recall goes: this site, the sites of its region, all sites of the tenant."""

    SITE = "site"
    REGION = "region"
    GRID = "grid"


@dataclass(frozen=True)
class Query:
    """What is asked.

    Attributes:
        text: the question.
        purpose: what for.
        subject, all_subjects: about whom; exactly one of them.
        reach: how far.
        top_k: results at most.
        special: special categories that the query text itself may reveal; policy sees them.
        filters: further narrowing.
    """

    text: str
    purpose: str | None
    subject: str | None = None
    all_subjects: bool = False
    reach: Reach = Reach.SITE
    top_k: int = 10
    special: frozenset[str] = frozenset()
    filters: Filters = Filters()


@dataclass(frozen=True)
class Withheld:
    """What a site keeps back, by the rules that say so; never by what is stored there."""

    site: Site
    rules: tuple[Rule, ...]


@dataclass(frozen=True)
class Outgoing:
    """A checked query on its way out."""

    requester: Requester
    purpose: str
    subject: str | None
    text: str
    vector: Vector
    query: Query

    def memory(self, node: Node) -> Memory:
        """The query as a memory: it has a label, is opened by permit, redacted and embedded
        like any other. A question about people is personal data of its home region. Asked
        across subjects it is about those that it names.
        """
        tenant = self.requester.tenant
        named = mentioned(self.text, node.keyring.subjects(tenant)) if not self.subject else ()
        label = Label(
            home=node.me.region,
            tenant=tenant,
            data_class=DataClass.CONFIDENTIAL,
            personal=True,
            purposes=frozenset({self.purpose}),
            special=self.query.special,
            subjects=(self.subject,) if self.subject else named,
        )
        return Memory(
            id="query",
            text=self.text,
            vector=self.vector,
            embedder=node.embedder.id,
            label=label,
            memory_type=MemoryType.WORKING,
            created_at=node.clock.now(),
        )


@dataclass
class Gathered:
    """What a recall brought together so far.

    Attributes:
        parts: discharged data, one part a site.
        withheld: refusals by site.
        unreachable: error codes of sites that did not answer.
        decisions: what the receipt records.
        receipts: the other sites' own receipts.
        allowed: whether policy permitted anything anywhere.
    """

    parts: list[Discharged] = field(default_factory=list)
    withheld: list[Withheld] = field(default_factory=list)
    unreachable: dict[str, str] = field(default_factory=dict)
    decisions: list[dict[str, Any]] = field(default_factory=list)
    receipts: dict[str, str] = field(default_factory=dict)
    allowed: bool = False


@dataclass(frozen=True)
class Replies:
    """What came back from other sites: answers, sites that policy keeps the message from, and
    error codes of sites that did not answer.
    """

    letters: list[Letter]
    withheld: list[Withheld]
    unreachable: dict[str, str]


def ask_others(node: Node, outgoing: Outgoing, sites: Sequence[Site], gathered: Gathered) -> None:
    """Send the query to each site that policy lets it go to, and take the answers in."""

    def header() -> dict[str, Any]:
        return question_body(
            outgoing.requester,
            outgoing.purpose,
            outgoing.subject,
            outgoing.query.top_k,
            outgoing.query.filters,
        )

    replies = consult(node, outgoing, sites, header)
    gathered.withheld += replies.withheld
    gathered.unreachable |= replies.unreachable
    for letter in replies.letters:
        try:
            reply = answer_from(letter.body, outgoing.query.top_k)
            take_in(node, outgoing, letter.sender, reply, gathered)
        except MemoryFabricError as error:
            gathered.unreachable[letter.sender.site_id] = error.code


def consult(
    node: Node, outgoing: Outgoing, sites: Sequence[Site], header: Callable[[], Mapping[str, Any]]
) -> Replies:
    """Decide for each site whether and in which form a message may leave to it, record that, and
    only then send it; the replies are verified and opened, and not yet looked into.
    Each site gets a header of its own, so that no two can tell that they were asked the same.
    """
    memory = outgoing.memory(node)
    state = memory.label.state(node.clock.now())
    replies = Replies([], [], {})
    leaving: list[tuple[Site, Discharged]] = []
    decided: list[dict[str, Any]] = []
    for site in sites:
        ask = Ask(Act.QUERY, outgoing.requester, outgoing.purpose, node.me, site)
        decisions = node.gate.decide(ask, [state])
        decided += recorded(node, ask, decisions)
        if not decisions[state].allowed:
            replies.withheld.append(Withheld(site, decisions.refusing))
            continue
        permit = node.gate.permit(ask, decisions, outgoing.subject)
        data = node.duties.discharge(node.vault.vouch(permit, memory, node.clock.now()))
        if data.items:
            leaving.append((site, data))
        else:
            replies.unreachable[site.site_id] = "redaction-impossible"
    committed = node.commit(
        "query",
        outgoing.requester,
        _outcome(len(leaving), len(sites)),
        request={
            "purpose": outgoing.purpose,
            "origin": node.me.site_id,
            "destinations": [site.site_id for site in sites],
            "plans": plans_json(node),
            **node.subject_scope(outgoing.requester.tenant, outgoing.subject),
        },
        decisions=decided,
        facts={"kind": str(header()["kind"])},
    )
    for site, data in leaving:
        try:
            letter = node.letters.seal(release([data], committed), header(), to=site)
            answered = node.transport.exchange(site, letter.sealed)
            replies.letters.append(node.letters.open(answered, reply_to=letter))
        except MemoryFabricError as error:
            replies.unreachable[site.site_id] = error.code
    return replies


def take_in(node: Node, outgoing: Outgoing, site: Site, reply: Reply, gathered: Gathered) -> None:
    """Ask policy about each class that the other site let out, and keep what may come in."""
    gathered.receipts[site.site_id] = reply.receipt
    ask = Ask(Act.TAKE_IN, outgoing.requester, outgoing.purpose, site, node.me)
    offered = [ClassState(item) for item in reply.offered]
    decisions = node.gate.decide(
        ask, [*offered, *(ClassState(item.label_class) for item in reply.items)]
    )
    gathered.decisions += recorded(node, ask, decisions)
    permit = node.gate.permit(ask, decisions, outgoing.subject)
    gathered.parts.append(node.vault.take_in(permit, reply.items, node.clock.now()))
    refused = decisions.only(frozenset(offered)).refusing
    if reply.withheld or refused:
        rules = {rule.id: rule for rule in (*reply.withheld, *refused)}
        gathered.withheld.append(Withheld(site, tuple(rules[key] for key in sorted(rules))))
    gathered.allowed = gathered.allowed or any(decisions[state].allowed for state in offered)


def _outcome(sent: int, asked: int) -> Outcome:
    if sent == asked:
        return Outcome.DONE
    return Outcome.PARTLY_WITHHELD if sent else Outcome.DENIED
