"""Decide ahead of time what apps and neighbours will ask, so that nobody waits for the rules."""

from __future__ import annotations

from memory_fabric.core.access import Act, Requester, Role
from memory_fabric.flows import reading
from memory_fabric.flows.node import Node
from memory_fabric.gate.gate import Ask


def warm(node: Node) -> int:
    """Fill the gate's cache for every tenant, purpose and site of the roster.

    Returns:
        How many decisions stand ready.
    """
    ready = 0
    for tenant in sorted(node.settings.tenants):
        app = Requester("", tenant, Role.APP)
        for site in node.roster:
            if tenant in site.tenants:
                for purpose in node.purposes:
                    ask = Ask(Act.RECALL, app, purpose, node.me, site)
                    ready += len(reading.decide(node, ask)[0])
    return ready
