"""Verify: read every sealed record and the whole ledger, and say what is not as it was written."""

from __future__ import annotations

from dataclasses import dataclass

from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.core.records import CatalogEntry, Damage, SealedRecord
from memory_fabric.flows.node import Node
from memory_fabric.flows.opening import check_unacknowledged
from memory_fabric.flows.reconcile import Progress
from memory_fabric.flows.snapshot import check


@dataclass(frozen=True)
class Verified:
    """What was read, and every damage found; no damage means that all is as acknowledged.

    Attributes:
        records: acknowledged records read.
        receipts: receipts in the log.
        damages: what is not as it was written.
        unacknowledged: records of this site that a crash left and the next opening ends. They are
            sealed by its keys, answer nothing, and are no damage.
    """

    records: int
    receipts: int
    damages: tuple[Damage, ...]
    unacknowledged: int = 0


def verify(node: Node, progress: Progress | None = None) -> Verified:
    """Read everything. Reports, never raises, what integrity checks find."""
    with node.writing:
        damages = list(node.ledger.verify())
        damages += check(node.snapshots, node.keyring, node.me.site_id)
        checkpoint = node.ledger.checkpoint()
        read = unacknowledged = 0
        try:
            expected = {item.rid: item for item in node.ledger.catalog()}
            total = len(expected)
            for batch in node.stack.scan():
                for record in batch:
                    known = expected.pop(record.rid, None)
                    if _is_unacknowledged(node, record, known):
                        unacknowledged += 1
                    else:
                        damages += _check(node, record, known)
                read += len(batch)
                if progress:
                    progress(read, total)
            damages += [
                Damage(f"stack/{rid.hex()}", "a record that the ledger names is missing")
                for rid in sorted(expected)
            ]
        except IntegrityViolated as error:
            named = error.details.get("damaged", ["stack"])
            damages += [Damage(name, error.what) for name in named]
    read -= unacknowledged
    return Verified(read, checkpoint.size, tuple(dict.fromkeys(damages)), unacknowledged)


def _is_unacknowledged(node: Node, record: SealedRecord, known: CatalogEntry | None) -> bool:
    """Whether this site sealed the record and never acknowledged it: a new one, the next version
    of one, or one whose erasure is not at its end.
    """
    if known is not None and record.version != known.version + 1:
        return False
    try:
        check_unacknowledged(node, [record])
        closed = node.vault.index_rows([record]).closed
    except IntegrityViolated:
        return False
    return known is None or not closed


def _check(node: Node, record: SealedRecord, known: CatalogEntry | None) -> list[Damage]:
    name = f"stack/{record.rid.hex()}"
    if known is None:
        try:
            check_unacknowledged(node, [record])
        except IntegrityViolated as error:
            return [Damage(damaged, error.what) for damaged in error.details["damaged"]]
        return [Damage(name, "a record that the ledger does not name")]
    if known.digest != record.digest:
        return [Damage(name, "not the record that the ledger names")]
    try:
        closed = node.vault.index_rows([record]).closed
    except IntegrityViolated as error:
        return [Damage(name, error.what)]
    return [Damage("keys/keyring.db", f"the key of {name} is gone")] if closed else []
