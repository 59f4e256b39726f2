"""Storing: sealed records and the receipt that accounts for them, acknowledged together.

The stack is written first. What a crash or a full disk leaves there without a receipt was never
acknowledged; ``opening`` ends it, whole or absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from memory_fabric.core.access import Requester
from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.core.lease import Lease
from memory_fabric.core.memory import Memory
from memory_fabric.core.receipt import Committed, Outcome
from memory_fabric.core.records import CatalogChange, CatalogEntry, IndexRow, SealedRecord
from memory_fabric.flows.node import Node

MANY = 512
"""Records from which on a thread of its own is worth while."""


class Storing(NamedTuple):
    """An act that writes records: what its receipt says, and the records with their memories."""

    act: str
    requester: Requester
    memories: Sequence[tuple[SealedRecord, Memory]]
    request: Mapping[str, Any]
    decisions: Sequence[Mapping[str, Any]] = ()
    facts: Mapping[str, Any] | None = None
    leases: Sequence[Lease] = ()


def store(node: Node, *acts: Storing) -> list[Committed]:
    """Write the records of these acts, commit their receipts, and make them searchable: all acts
    or none. Called with the pen held.

    Raises:
        Unavailable: a disk is in the way; nothing is acknowledged.
    """
    records = [record for act in acts for record, _ in act.memories]
    node.unsettled = True
    with ThreadPoolExecutor(1) as beside:
        # Of many records the stack writes bytes and waits for the disk; that leaves time for ours.
        writing = beside.submit(node.stack.write, records) if len(records) >= MANY else None
        written = [[entry(record) for record, _ in act.memories] for act in acts]
        rows = [index_row(record.rid, memory) for act in acts for record, memory in act.memories]
        version = writing.result() if writing else node.stack.write(records)
    committed = node.ledger.commit_all(
        [
            node.to_commit(
                act.act,
                act.requester,
                Outcome.DONE,
                request=act.request,
                decisions=act.decisions,
                facts=act.facts,
                change=CatalogChange(version, written=entries),
                leases=act.leases,
            )
            for act, entries in zip(acts, written, strict=True)
        ]
    )
    know(node, records)
    index(node, rows)
    node.unsettled = False
    return committed


def know(node: Node, records: Sequence[SealedRecord]) -> None:
    """Remember which versions are in force."""
    node.versions.update((record.rid, record.version) for record in records if record.version > 1)


def altered(rid: bytes) -> IntegrityViolated:
    """A sealed record that is not the one that was acknowledged."""
    return IntegrityViolated(
        "record-altered",
        f"Sealed record {rid.hex()} in the stack is not the one that the ledger names.",
        "Restore the stack from a backup; `site verify` lists every damaged part.",
        {"damaged": [f"stack/{rid.hex()}"]},
    )


def entry(record: SealedRecord) -> CatalogEntry:
    """What the catalog keeps of a record."""
    return CatalogEntry(record.rid, record.version, record.digest)


def make_room(node: Node, memories: Sequence[Memory]) -> None:
    """Look whether further memories fit into the search copy, before they are stored.

    What is known already needs no room: a label can always be changed.

    Raises:
        Unavailable: ``search-memory-full``.
    """
    node.copy.reserve(len(memories), sum(len(memory.text) for memory in memories))


def index(node: Node, rows: Sequence[IndexRow]) -> None:
    """Make rows searchable: the site's own, and apart from them what it has on a lease."""
    node.standing.written += len(rows)
    node.copy.add([row for row in rows if row.leased is None])
    node.leased.add([row for row in rows if row.leased is not None])


def index_row(rid: bytes, memory: Memory) -> IndexRow:
    """The searchable row of a memory."""
    return IndexRow(
        rid,
        memory.id,
        memory.text,
        memory.vector,
        memory.label,
        memory.memory_type,
        memory.created_at,
        memory.leased,
    )
