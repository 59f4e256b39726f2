"""Opening a site: fill the searchable copy, check the stack against the catalog, end what a crash
left.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.core.receipt import Outcome
from memory_fabric.core.receipt_search import Wanted
from memory_fabric.core.records import CatalogChange, SealedRecord
from memory_fabric.flows.many import without_cycle_search
from memory_fabric.flows.node import Node
from memory_fabric.flows.reconcile import Progress, catch_up, rebuild, searchable
from memory_fabric.flows.remains import remains_in
from memory_fabric.flows.rotate import finish_rotation
from memory_fabric.flows.snapshot import drop_snapshot, thaw
from memory_fabric.flows.storing import altered, entry, index, know
from memory_fabric.flows.terms import ITSELF


@dataclass(frozen=True)
class Loaded:
    """What opening found.

    Attributes:
        memories: rows in the searchable copy.
        discarded: records of writes that were never acknowledged, removed.
        adopted: changes that had reached the stack whole and not the ledger, now recorded.
        finished: erasures that a crash had interrupted, now complete.
        thawed: rows that came from the snapshot.
    """

    memories: int
    discarded: int = 0
    adopted: int = 0
    finished: int = 0
    thawed: int = 0


@contextmanager
def pen(node: Node) -> Iterator[None]:
    """Held by the one act that writes. What an earlier one left half done, when a disk was full
    say, is ended first, as it would be by opening the site again.
    """
    with node.writing:
        if node.unsettled:
            load(node)
        yield


@without_cycle_search()
def load(node: Node, progress: Progress | None = None) -> Loaded:
    """Fill the searchable copy: from its snapshot and what came after, or from all records.

    Every record must be the one that the catalog names. What is newer than the ledger stems from
    a crash before the acknowledgement: new records go, whole changes of known records stay.

    Raises:
        IntegrityViolated: ``record-altered``, ``record-missing``; no wrong data is ever served.
        Unavailable: ``search-memory-full``.
    """
    with node.writing:
        finish_rotation(node)
        finished = finish_erasures(node)
        node.unscrubbed = remains_in(node.ledger)
        if len(node.copy) or len(node.leased):  # an act failed midway, and may have been an erasure
            drop_snapshot(node)
        changes = thaw(node)
        thawed = len(node.copy) + len(node.leased) if changes else 0
        left = rebuild(node, progress) if changes is None else catch_up(node, changes)
        adopted, residue = left.adopted, left.residue
        check_unacknowledged(node, [*adopted, *residue])
        if adopted:
            rows = searchable(node, adopted)
            change = CatalogChange(node.stack.version, written=[entry(item) for item in adopted])
            node.commit(
                "recover", ITSELF, Outcome.DONE, request={"adopted": len(adopted)},
                change=change,
            )  # fmt: skip
            know(node, adopted)
            index(node, rows)
        if residue:
            node.stack.remove([record.rid for record in residue])
        node.stack.collect()
        node.unsettled = False
    return Loaded(
        memories=len(node.copy) + len(node.leased),
        discarded=len(residue),
        adopted=len(adopted),
        finished=finished,
        thawed=thawed,
    )


def fetched(node: Node, rids: Sequence[bytes]) -> list[SealedRecord]:
    """Records in the versions that are in force; unknown ones are left out.

    An older version would open as well as the newest, with the label that it had then.

    Raises:
        IntegrityViolated: ``record-altered``: somebody put another version in its place.
        Unavailable: a change of label is half done, and the disk does not let it be ended.
    """
    records = node.stack.fetch(rids)
    if not _in_force(node, records):
        with pen(node):  # a change of label may be on its way, or half done
            records = node.stack.fetch(rids)
            for record in records:
                if not _in_force(node, [record]):
                    raise altered(record.rid)
    return records


def _in_force(node: Node, records: Sequence[SealedRecord]) -> bool:
    return all(record.version == node.versions.get(record.rid, 1) for record in records)


def check_unacknowledged(node: Node, records: Sequence[SealedRecord]) -> None:
    """What a crash left was sealed before the log's end; what was sealed beyond it shows that the
    log lost receipts, and is no residue to be removed.

    Raises:
        IntegrityViolated: ``ledger-rolled-back``, ``record-damaged``.
    """
    size = node.ledger.checkpoint().size
    beyond = sum(node.vault.sealed_at(record) > size for record in records)
    if beyond:
        raise IntegrityViolated(
            "ledger-rolled-back",
            f"{beyond} sealed records are newer than the end of the log.",
            "Restore the newest ledger; nothing was removed.",
            {"damaged": ["ledger.db"]},
        )


def finish_erasures(node: Node) -> int:
    """Destroy keys that a recorded erasure names and a crash left; the number of them."""
    before: int | None = None
    left: list[bytes] = []
    while page := node.ledger.receipts(before, 500, Wanted(act="erase", outcome=Outcome.DONE)):
        for receipt in page:
            keys = [bytes.fromhex(key) for key in receipt["facts"].get("keys", ())]
            left += [key for key in keys if node.keyring.holds(key)]
        before = page[-1]["index"]
    if left:
        node.keyring.destroy_keys(left)
    return len(left)
