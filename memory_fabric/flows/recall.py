"""Recall: the asking side. Home first, then every site that the query may travel to.

A recall that crosses asks policy at each step: may this query leave, in which form (here); may
these results leave, in which form (at the other site, ``answer``); may they be taken in (here).
Two receipts are written: one before any query leaves, one before anything is answered.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from memory_fabric.core.access import Act, Requester, named
from memory_fabric.core.errors import Denied, InputError
from memory_fabric.core.memory import check_text
from memory_fabric.core.places import Site
from memory_fabric.core.receipt import Outcome
from memory_fabric.flows import reading
from memory_fabric.flows.asking import Gathered, Outgoing, Query, Reach, Withheld, ask_others
from memory_fabric.flows.leased import recall_leased
from memory_fabric.flows.node import Node, count_forms, plans_json, recorded
from memory_fabric.gate.gate import Ask
from memory_fabric.gate.permits import Release, Shown, release

MAX_RESULTS = 1000
"""``top_k`` at most."""


@dataclass(frozen=True)
class Answer:
    """A recall's answer.

    Attributes:
        released: what may be shown, all sites together.
        withheld: refusals by site.
        unreachable: sites that did not answer, each with the error's code.
        top_k: how many results were asked for.
    """

    released: Release
    withheld: tuple[Withheld, ...]
    unreachable: Mapping[str, str]
    top_k: int

    def results(self) -> list[tuple[str, Shown]]:
        """The best ``top_k`` of all sites as (site_id, shown), best first."""
        items = [(part.permit.origin, item) for part in self.released.parts for item in part.items]
        items.sort(key=lambda pair: (-(pair[1].score or 0.0), pair[0], pair[1].id))
        return items[: self.top_k]


def recall(node: Node, requester: Requester, query: Query) -> Answer:
    """Answer a query from this site and from those within reach.

    Raises:
        InputError: ``text-empty``, ``purpose-unknown``, ``scope-missing`` ...
        NotGranted: the key is not bound to what it asks.
        Denied: policy permits nothing anywhere within reach.
    """
    purpose = node.check_purpose(query.purpose, requester)
    subject = node.check_scope(query.subject, query.all_subjects, requester)
    text = check_text(query.text, "query")
    if not 1 <= query.top_k <= MAX_RESULTS:
        raise InputError(
            "top-k-invalid", "`top_k` is out of range.", f"Ask for 1 to {MAX_RESULTS} results."
        )
    if not query.special <= set(node.specials):
        raise InputError(
            "special-unknown",
            "The policy bundle knows no such special category.",
            f"Use {', '.join(node.specials)}.",
        )
    vector = node.embedder.embed([text])[0]
    home = Ask(Act.RECALL, requester, purpose, node.me, node.me)
    own = reading.search(node, home, subject, text, vector, query.filters, query.top_k)
    gathered = Gathered(allowed=own.allowed)
    gathered.parts.append(own.data)
    gathered.decisions += recorded(node, home, *own.noted)
    if own.withheld:
        gathered.withheld.append(Withheld(node.me, own.withheld))
    question = Outgoing(requester, purpose, subject, text, vector, query)
    others = sites_within(node, query.reach, requester.tenant)
    if others:
        ask_others(node, question, others, gathered)
    if query.reach is not Reach.SITE:
        recall_leased(node, question, gathered)
    denied = not gathered.allowed and bool(gathered.withheld)
    outcome = Outcome.PARTLY_WITHHELD if gathered.withheld else Outcome.DONE
    committed = node.commit(
        "recall",
        requester,
        Outcome.DENIED if denied else outcome,
        request={
            "purpose": purpose,
            "reach": str(query.reach),
            "destination": node.me.site_id,
            "plans": plans_json(node),
            **node.subject_scope(requester.tenant, subject),
        },
        decisions=gathered.decisions,
        facts={
            "forms": count_forms(item.form for part in gathered.parts for item in part.items),
            "receipts": gathered.receipts,
            "unreachable": gathered.unreachable,
        },
    )
    if denied:
        rules = tuple(rule for held in gathered.withheld for rule in held.rules)
        raise Denied.by_rules(
            "Policy permits no part of this recall.", named(rules), committed.receipt.id
        )
    released = release(gathered.parts, committed)
    return Answer(released, tuple(gathered.withheld), gathered.unreachable, query.top_k)


def sites_within(node: Node, reach: Reach, tenant: str) -> list[Site]:
    """Other sites of the tenant that a recall of this reach asks."""
    if reach is Reach.SITE:
        return []
    return [
        site
        for site in node.roster
        if site.site_id != node.me.site_id
        and tenant in site.tenants
        and (reach is Reach.GRID or site.region == node.me.region)
    ]
