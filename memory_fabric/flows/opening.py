"""Opening a site: check the stack against the catalog, end what a crash left, rebuild the copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.core.receipt import Outcome
from memory_fabric.core.records import CatalogChange, IndexRow, SealedRecord
from memory_fabric.flows.many import without_cycle_search
from memory_fabric.flows.node import Node
from memory_fabric.flows.remains import remains_in
from memory_fabric.flows.storing import altered, entry, index, know
from memory_fabric.flows.terms import ITSELF

Progress = Callable[[int, int], None]
"""Called with records done and records in all."""


@dataclass(frozen=True)
class Loaded:
    """What opening found.

    Attributes:
        memories: rows in the searchable copy.
        discarded: records of writes that were never acknowledged, removed.
        adopted: changes that had reached the stack whole and not the ledger, now recorded.
        finished: erasures that a crash had interrupted, now complete.
    """

    memories: int
    discarded: int = 0
    adopted: int = 0
    finished: int = 0


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
    """Rebuild the searchable copy from the sealed records.

    Every record must be the one that the catalog names. What is newer than the ledger stems from
    a crash before the acknowledgement: new records go, whole changes of known records stay.

    Raises:
        IntegrityViolated: ``record-altered``, ``record-missing``; no wrong data is ever served.
    """
    with node.writing:
        finished = finish_erasures(node)
        node.unscrubbed = remains_in(node.ledger)
        expected = {item.rid: item for item in node.ledger.catalog()}
        total, done = len(expected), 0
        residue: list[SealedRecord] = []
        adopted: list[SealedRecord] = []
        seen: set[bytes] = set()
        for batch in node.stack.scan():
            good: list[SealedRecord] = []
            for record in batch:
                known = expected.get(record.rid)
                if known is None:
                    residue.append(record)
                elif record.version == known.version + 1:
                    adopted.append(record)
                elif record.version != known.version or record.digest != known.digest:
                    raise altered(record.rid)
                else:
                    good.append(record)
                seen.add(record.rid)
            index(node, _rows(node, good))
            know(node, good)
            done += len(good)
            if progress:
                progress(done, total)
        if missing := expected.keys() - seen:
            raise IntegrityViolated(
                "record-missing",
                f"{len(missing)} sealed records that the ledger names are not in the stack.",
                "Restore the stack from a backup; `site verify` lists them.",
                {"damaged": ["stack"]},
            )
        check_unacknowledged(node, [*adopted, *residue])
        if adopted:
            rows = _rows(node, adopted)
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
    return Loaded(len(node.copy) + len(node.leased), len(residue), len(adopted), finished)


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


def _rows(node: Node, records: Sequence[SealedRecord]) -> list[IndexRow]:
    """Searchable rows of live records; each of them must open."""
    indexed = node.vault.index_rows(records)
    if indexed.closed:
        raise IntegrityViolated(
            "key-missing",
            f"{len(indexed.closed)} live records have lost their key without an erasure.",
            "Restore the keyring from its escrow.",
            {"damaged": ["keys/keyring.db"]},
        )
    return indexed.rows


def finish_erasures(node: Node) -> int:
    """Destroy keys that a recorded erasure names and a crash left; the number of them."""
    before: int | None = None
    left: list[bytes] = []
    while page := node.ledger.receipts(before, 500, act="erase", outcome=Outcome.DONE):
        for receipt in page:
            keys = [bytes.fromhex(key) for key in receipt["facts"].get("keys", ())]
            left += [key for key in keys if node.keyring.holds(key)]
        before = page[-1]["index"]
    if left:
        node.keyring.destroy_keys(left)
    return len(left)
