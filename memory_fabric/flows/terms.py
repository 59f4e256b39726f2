"""The terms under which a site decides, written into its log: rules, roster, label classes.

A receipt names them by digest or key. The newest ``terms`` receipt before it spells them out, so
that every recorded question can be put to policy again.
"""

from __future__ import annotations

from memory_fabric.core.access import BUILDABLE, Requester, Role
from memory_fabric.core.receipt import Outcome
from memory_fabric.core.receipt_search import Wanted
from memory_fabric.flows.node import Node, plans_json

TERMS = "terms"
"""The act that spells them out, as receipts name it."""
ITSELF = Requester("site", "", Role.OPERATOR)
"""Who asks when the site acts for itself."""


def record_terms(node: Node) -> None:
    """Write the terms in force into the log, where they are not what the log says already."""
    expires = node.gate.rulebook.expires
    terms = {
        "bundle": node.gate.rulebook.digest,
        "crossing": node.gate.rulebook.crossing is not None,
        "rules_end": expires.isoformat() if expires else None,
        "roster": node.roster.to_json(),
        "plans": plans_json(node),
        "forms": sorted(BUILDABLE),
        "classes": [item.to_json() for item in node.settings.classes],
    }
    newest = node.ledger.receipts(None, 1, Wanted(act=TERMS))
    if not newest or any(newest[0]["request"].get(name) != value for name, value in terms.items()):
        node.commit(TERMS, ITSELF, Outcome.DONE, request=terms)
