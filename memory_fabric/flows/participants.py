"""Whom an adapter was trained on: told at an erasure, since what was learned cannot be unlearned.

The receipt of an update names its subjects by the beginnings of their commitments. Erasing a
subject first looks for it there; once its key is gone nobody can do so again.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from memory_fabric.core.memory import Memory
from memory_fabric.core.receipt_search import Wanted
from memory_fabric.flows.node import Node

PARTICIPANTS = "subjects"
"""The fact of a receipt that names them."""

_ACT = "send_update"
_DIGITS = 16  # of a commitment: 64 bits, so that no two subjects of a site share them
_PAGE = 200


def participants(node: Node, memories: Iterable[Memory]) -> list[str]:
    """The subjects of memories that were trained on, as a receipt names them, sorted."""
    subjects = {(item.label.tenant, name) for item in memories for name in item.label.subjects}
    return sorted(_mark(node, tenant, name) for tenant, name in subjects)


def runs_of(node: Node, tenant: str, subjects: Iterable[str], since: datetime) -> list[str]:
    """The fine-tuning runs that memories about any of these subjects went into, sorted.

    Args:
        since: when the oldest of the memories was stored; training before it is not looked at.
    """
    marks = {_mark(node, tenant, name) for name in subjects if node.keyring.knows(tenant, name)}
    runs: set[str] = set()
    before: int | None = None
    while marks and (page := node.ledger.receipts(before, _PAGE, Wanted(act=_ACT))):
        for receipt in page:
            if datetime.fromisoformat(receipt["at"]) < since:
                return sorted(runs)
            if not marks.isdisjoint(receipt["facts"].get(PARTICIPANTS, ())):
                runs.add(receipt["facts"]["run"])
        before = page[-1]["index"]
    return sorted(runs)


def _mark(node: Node, tenant: str, subject: str) -> str:
    return node.keyring.commitment(tenant, subject)[:_DIGITS]
