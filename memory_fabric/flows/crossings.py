"""What policy lets out of this site: for each other site, how many classes in which form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from memory_fabric.core.access import Act, Form, Requester, Role
from memory_fabric.core.places import Site
from memory_fabric.flows import reading
from memory_fabric.flows.node import Node
from memory_fabric.gate.decisions import Decisions
from memory_fabric.gate.gate import Ask


def others(node: Node, tenant: str) -> list[Site]:
    """The other sites that share a tenant, by name."""
    me = node.me.site_id
    return [site for site in node.roster if site.site_id != me and tenant in site.tenants]


def decide(node: Node, tenant: str, purpose: str, site: Site, act: Act = Act.RECALL) -> Decisions:
    """On every declared class of a purpose, as an app at that site would be answered now."""
    ask = Ask(act, Requester("", tenant, Role.APP), purpose, node.me, site)
    return reading.decide(node, ask)[1]


@dataclass(frozen=True)
class Crossing:
    """From here to one other site.

    Attributes:
        allowed: declared classes by the most permissive form in which they may go, each counted
            once for a purpose; ``None`` counts those that stay.
        rules: ids of the rules that refuse some of them, sorted.
    """

    site: Site
    allowed: Counter[Form | None]
    rules: tuple[str, ...]


def crossings(node: Node, tenant: str, purposes: Iterable[str]) -> list[Crossing]:
    """To each site that shares the tenant, as an app there would be answered now."""
    wanted = sorted(purposes)
    found = []
    for site in others(node, tenant):
        allowed: Counter[Form | None] = Counter()
        rules: set[str] = set()
        for purpose in wanted:
            declared = decide(node, tenant, purpose, site)
            for decision, _, classes in declared.alike:
                allowed[decision.form] += len(classes)
            rules |= {rule.id for rule in declared.refusing}
        found.append(Crossing(site, allowed, tuple(sorted(rules))))
    return found
