"""Scrub: the second act of an erasure, in one pass for all that went before it.

Erasing makes memories unfindable and unopenable at once; their sealed bytes still stand in old
versions of the stack, and their keys' under the old epoch. The pass rewrites what holds any, while
others read and write, wraps the keys anew under a fresh epoch, empties the journal of the ledger,
and leaves a receipt that names each erasure it completes. What a crash cuts short is begun again:
the log tells which erasures no pass has completed.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from memory_fabric.core.receipt import Outcome
from memory_fabric.core.records import CatalogChange
from memory_fabric.flows.node import Node
from memory_fabric.flows.opening import pen
from memory_fabric.flows.remains import SCRUB
from memory_fabric.flows.rotate import renew_after_erasure
from memory_fabric.flows.terms import ITSELF
from memory_fabric.flows.upkeep import Job

WAIT = timedelta(minutes=2)
"""How long a served site gathers erasures before it goes over the disk for all of them."""
WITHIN = timedelta(minutes=10)
"""When the bytes are gone at the latest, while the site is served and its disk works."""

_NAMED = 1000  # erasures in one receipt


def scrub(node: Node) -> str | None:
    """Remove the bytes of everything erased so far from the disk.

    Returns:
        The receipt's id; ``None`` where there was nothing to do, where the site is closing, or
        while somebody still reads an old version of the stack: then it stays due.

    Raises:
        Unavailable: a disk is in the way; it stays due.
    """
    due = sorted(node.unscrubbed.items(), key=lambda item: item[1].index)[:_NAMED]
    if not due or not node.stack.compact(node.closing.is_set):
        return None
    epoch = renew_after_erasure(node)
    node.ledger.scrub()
    names = [receipt for receipt, _ in due]
    with pen(node):
        committed = node.commit(
            SCRUB, ITSELF, Outcome.DONE, request={"erasures": names},
            facts={"epoch": epoch, "through": due[-1][1].index},
            change=CatalogChange(node.stack.version),  # from here on an older stack is no longer it
        )  # fmt: skip
        for name in names:
            node.unscrubbed.pop(name, None)
    return committed.receipt.id


def _due(node: Node, now: datetime) -> bool:
    oldest = min((left.at for left in list(node.unscrubbed.values())), default=None)
    # A clock that was put back makes nobody wait longer.
    return oldest is not None and not oldest <= now < oldest + WAIT


SCRUBBING = Job("scrub after erasure", _due, scrub, lambda node, _: bool(node.unscrubbed))
"""Complete the erasures of the last minutes; a command that ends does it before."""
