"""What recorded erasures have left on the disk, until a scrub completes them. The log knows it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from memory_fabric.core.ledger_ports import Ledger
from memory_fabric.core.receipt import Committed, Outcome
from memory_fabric.core.receipt_search import Wanted

SCRUB = "scrub"
"""The act that completes erasures, as receipts name it."""

_REMOVING = ("erase", "lease-end", "lease-expired")
_COUNTS = ("memories", "keys", "rows")  # facts of theirs: nothing remains where none is above zero
_PAGE = 500


@dataclass(frozen=True)
class Remains:
    """An erasure whose bytes may still be on the disk.

    Attributes:
        index: of its receipt in the log.
        at: when it was recorded.
    """

    index: int
    at: datetime


def remains_of(committed: Committed) -> dict[str, Remains]:
    """What a recorded erasure leaves to the next scrub, by its receipt's id."""
    receipt = committed.receipt
    left = any(receipt.facts.get(name) for name in _COUNTS)
    return {receipt.id: Remains(committed.index, receipt.at)} if left else {}


def remains_in(ledger: Ledger) -> dict[str, Remains]:
    """The erasures in the log that no scrub has completed, by their receipts' ids."""
    newest = ledger.receipts(None, 1, Wanted(act=SCRUB))
    through = newest[0]["facts"]["through"] if newest else -1
    found: dict[str, Remains] = {}
    for act in _REMOVING:
        before: int | None = None
        while page := ledger.receipts(before, _PAGE, Wanted(act=act, outcome=Outcome.DONE)):
            new = [receipt for receipt in page if receipt["index"] > through]
            for receipt in new:
                if any(receipt["facts"].get(name) for name in _COUNTS):
                    at = datetime.fromisoformat(receipt["at"])
                    found[receipt["id"]] = Remains(receipt["index"], at)
            if len(new) < len(page):
                break
            before = page[-1]["index"]
    return found
