"""Sealed records and the searchable rows made from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

from memory_fabric.core.labels import ClassState, Label
from memory_fabric.core.memory import Leased, MemoryType, Vector
from memory_fabric.core.merkle import leaf_hash, root_of

RID_BYTES = 16
"""Length of a record id: random, the only name of a memory that stands readable on disk."""


@dataclass(frozen=True)
class SealedRecord:
    """One memory at rest: everything but these four fields is ciphertext.

    Attributes:
        rid: random record id, 16 bytes.
        version: 1 when written, one more at each change of the memory.
        epoch: of the table key that sealed the header.
        blob: sealed header followed by the sealed memory (``docs/internals/format.md``).
    """

    rid: bytes
    version: int
    epoch: int
    blob: bytes

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 over all four fields: what the catalog remembers of the record."""
        head = self.rid + self.version.to_bytes(8, "big") + self.epoch.to_bytes(8, "big")
        return hashlib.sha256(head + self.blob).digest()


class CatalogEntry(NamedTuple):
    """What the ledger knows of one sealed record."""

    rid: bytes
    version: int
    digest: bytes


def records_root(records: Iterable[tuple[bytes, int, bytes]]) -> str:
    """What a receipt says about sealed records: a Merkle root over (rid, version, digest).

    Args:
        records: record id (16 bytes), version, SHA-256 of the sealed record (32 bytes); in any
            order.
    """
    numbered = sorted(records)
    leaves = [leaf_hash(rid + version.to_bytes(8, "big") + seal) for rid, version, seal in numbered]
    return root_of(leaves).hex()


@dataclass(frozen=True)
class CatalogChange:
    """What one act did to the stack; committed in one transaction with its receipt.

    Attributes:
        written: records added or replaced.
        removed: records erased (as they were last written).
        stack_version: the stack's version that holds what was written; ``None`` where nothing
            was, since a removal need not be on stable storage: the catalog says what is removed.
    """

    stack_version: int | None
    written: Sequence[CatalogEntry] = ()
    removed: Sequence[CatalogEntry] = ()

    @cached_property
    def root(self) -> str | None:
        """What a receipt says of the records touched; ``None`` where there are none."""
        touched = (*self.written, *self.removed)
        if not touched:
            return None
        return records_root(touched)


@dataclass(frozen=True)
class CatalogChanges:
    """What the catalog holds beyond an earlier state of the log.

    Attributes:
        written: records written since that stand now, each in its last version. One that stood
            in that version before was removed, and somebody hid it: a receipt's root covers what
            its act wrote and what it removed alike.
        removed: whether any record was removed since.
    """

    written: Sequence[CatalogEntry]
    removed: bool


@dataclass(frozen=True)
class IndexRow:
    """What the searchable copy holds of a memory, in process memory only."""

    rid: bytes
    memory_id: str
    text: str
    vector: Vector
    label: Label
    memory_type: MemoryType
    created_at: datetime
    leased: Leased | None = None


@dataclass(frozen=True)
class Scope:
    """What a search may look at. Applied before ranking, never after.

    Attributes:
        tenant: exactly one.
        states: permitted label classes, each live or past its retention.
        subject: exactly one, or ``None`` for a granted search across subjects.
        now: decides which rows are past their retention.
        memory_types: empty means any.
        created_after, created_before: inclusive and exclusive bounds, or ``None``.
    """

    tenant: str
    states: frozenset[ClassState]
    subject: str | None
    now: datetime
    memory_types: frozenset[MemoryType] = frozenset()
    created_after: datetime | None = None
    created_before: datetime | None = None


@dataclass(frozen=True)
class Hit:
    """One search result: score in [0, 1], higher is better, comparable between sites."""

    rid: bytes
    score: float


@dataclass(frozen=True)
class Damage:
    """One thing that is not as it was written: the file, and what is wrong with it."""

    file: str
    what: str
