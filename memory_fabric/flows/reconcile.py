"""Bringing search copy, stack and catalog to say the same, and telling what a crash has left."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.core.records import CatalogChanges, CatalogEntry, IndexRow, SealedRecord
from memory_fabric.flows.inventory import Inventory
from memory_fabric.flows.node import Node
from memory_fabric.flows.storing import altered, index, know

Progress = Callable[[int, int], None]
"""Called with records done and records in all."""

_BATCH = 2048


@dataclass(frozen=True)
class Left:
    """What stands in the stack and not in the ledger, since nobody was told of it.

    Attributes:
        adopted: next versions of known records, whole.
        residue: new records.
    """

    adopted: list[SealedRecord] = field(default_factory=list)
    residue: list[SealedRecord] = field(default_factory=list)


def rebuild(node: Node, progress: Progress | None = None) -> Left:
    """Fill the searchable copy from all sealed records.

    Raises:
        IntegrityViolated: ``record-altered``, ``record-missing``, ``record-damaged`` ...
        Unavailable: ``search-memory-full``.
    """
    expected = {item.rid: item for item in node.ledger.catalog()}
    total, done, left = len(expected), 0, Left()
    seen: set[bytes] = set()
    first = not len(node.copy) + len(node.leased)  # else the rows are in memory already
    for batch in node.stack.scan():
        if first:
            node.copy.reserve(len(batch), 0, again=True)
        done += _take_in(node, batch, expected, left)
        seen.update(record.rid for record in batch)
        if progress:
            progress(done, total)
    if missing := expected.keys() - seen:
        raise _missing(len(missing))
    return left


def catch_up(node: Node, changes: CatalogChanges) -> Left:
    """Bring a copy that holds an earlier moment up to what the catalog holds beyond it.

    Only what was written since is read; of all other records, that they are there, in the version
    that is in force. Each is checked when it is opened for somebody.

    Raises:
        IntegrityViolated: ``record-altered``, ``record-missing``, ``ledger-damaged`` ...
    """
    written = {item.rid: item for item in changes.written}
    for item in changes.written:
        known = node.copy.row(item.rid) or node.leased.row(item.rid)
        if known and item.version <= node.versions.get(item.rid, 1):
            raise IntegrityViolated(
                "ledger-damaged",
                "The ledger ledger.db is not as it was written: it hides that a record is gone.",
                "Keep it for the inquiry, run `site verify`, and restore the home from a backup.",
                {"damaged": ["ledger.db"]},
            )
    in_force = node.versions | {rid: item.version for rid, item in written.items()}
    held = b"".join((node.copy.rids(), node.leased.rids(), *written))
    catalog = Inventory.of_changed(held, in_force)
    stack = Inventory.of_columns(*node.stack.versions())
    if missing := stack.lacks(catalog):
        raise _missing(len(missing))
    newer = {}
    for rid, known_version, version in catalog.differing(stack):
        if version != known_version + 1:
            raise altered(rid)
        newer[rid] = written.get(rid) or CatalogEntry(rid, known_version, b"")
    left = Left()
    wanted = list({**written, **newer, **dict.fromkeys(catalog.lacks(stack))})
    for start in range(0, len(wanted), _BATCH):
        batch = node.stack.fetch(wanted[start : start + _BATCH])
        _take_in(node, batch, {**newer, **written}, left)
    return left


def searchable(node: Node, records: Sequence[SealedRecord]) -> list[IndexRow]:
    """Searchable rows of live records; each of them must open.

    Raises:
        IntegrityViolated: ``key-missing``, ``record-damaged``.
    """
    indexed = node.vault.index_rows(records)
    if indexed.closed:
        raise IntegrityViolated(
            "key-missing",
            f"{len(indexed.closed)} live records have lost their key without an erasure.",
            "Restore the keyring from its escrow.",
            {"damaged": ["keys/keyring.db"]},
        )
    return indexed.rows


def _take_in(
    node: Node, records: Iterable[SealedRecord], expected: Mapping[bytes, CatalogEntry], left: Left
) -> int:
    """Index the records that the catalog names, and set apart what it does not; how many it names.

    Raises:
        IntegrityViolated: ``record-altered`` ...
    """
    good: list[SealedRecord] = []
    for record in records:
        known = expected.get(record.rid)
        if known is None:
            left.residue.append(record)
        elif record.version == known.version + 1:
            left.adopted.append(record)
        elif record.version != known.version or record.digest != known.digest:
            raise altered(record.rid)
        else:
            good.append(record)
    index(node, searchable(node, good))
    know(node, good)
    return len(good)


def _missing(count: int) -> IntegrityViolated:
    return IntegrityViolated(
        "record-missing",
        f"{count} sealed records that the ledger names are not in the stack.",
        "Restore the stack from a backup; `site verify` lists them.",
        {"damaged": ["stack"]},
    )
