"""Ports: what flows, gate and vault ask of the outside world. Adapters implement them.

Ports with several adapters have one contract suite in ``tests/contract`` that runs on all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol

from memory_fabric.core.access import Near, Question, Verdict
from memory_fabric.core.labels import ClassState
from memory_fabric.core.lease import PackedRow
from memory_fabric.core.memory import Vector
from memory_fabric.core.places import Site
from memory_fabric.core.receipt import Checkpoint
from memory_fabric.core.records import (
    Hit,
    IndexRow,
    Scope,
    SealedRecord,
)


class Clock(Protocol):
    """The time, always with UTC as its zone."""

    def now(self) -> datetime:
        """The current moment."""
        ...


class PolicyEngine(Protocol):
    """One validated policy bundle, ready to answer. Never raises on a question: errors deny."""

    @property
    def digest(self) -> str:
        """SHA-256 over the whole bundle, hexadecimal: its name in receipts."""
        ...

    @property
    def purposes(self) -> tuple[str, ...]:
        """The closed vocabulary of purposes, in the schema's order."""
        ...

    @property
    def specials(self) -> tuple[str, ...]:
        """The closed vocabulary of special categories, in the schema's order."""
        ...

    def decide(self, questions: Sequence[Question], now: datetime) -> list[Verdict]:
        """A verdict for each question, in order. Questions may mix acts, classes and forms."""
        ...

    def closest(self, questions: Sequence[Question], now: datetime) -> list[Near]:
        """Of one question in several forms: the rules that came closest to permitting it, where
        several came equally close all of them; for people, never for a decision.
        """
        ...

    def changes_at(self, now: datetime) -> datetime | None:
        """The next moment at which time alone could change any verdict; ``None`` for never."""
        ...


class Redactor(Protocol):
    """Masks what identifies people in a text."""

    def redact(self, text: str, names: Sequence[str]) -> str:
        """The text with every recognised identifier and every one of ``names`` masked.

        Raises:
            Unavailable: ``redaction-impossible``, where this text cannot be masked reliably.
        """
        ...


class SearchCopy(Protocol):
    """The searchable copy: in process memory only, never on a disk."""

    def __len__(self) -> int:
        """Rows held."""
        ...

    def add(self, rows: Sequence[IndexRow]) -> None:
        """Add rows, or replace those with the same ``rid``. Visible to the next search."""
        ...

    def remove(self, rids: Sequence[bytes]) -> None:
        """Forget rows at once; unknown ids are ignored."""
        ...

    def search(
        self, text: str | None, vector: Vector | None, scope: Scope, limit: int
    ) -> list[Hit]:
        """The best rows within the scope, best first. At least one of text and vector is given."""
        ...

    def states(self, tenant: str, now: datetime) -> frozenset[ClassState]:
        """The class states that occur among a tenant's rows."""
        ...

    def find(self, tenant: str, memory_id: str) -> IndexRow | None:
        """The row of a memory, without its text and vector (both empty)."""
        ...

    def named(self, tenant: str, memory_ids: Sequence[str]) -> set[str]:
        """Those of these ids that memories of the tenant have."""
        ...

    def row(self, rid: bytes) -> IndexRow | None:
        """The row of a record, without its text and vector (both empty)."""
        ...

    def of_subject(self, tenant: str, subject: str) -> list[IndexRow]:
        """The rows of all memories about a subject, without texts and vectors (both empty)."""
        ...

    def page(self, scope: Scope, after: bytes | None, limit: int) -> list[bytes]:
        """Record ids within the scope in the order of writing, after the given one."""
        ...

    def rids(self) -> bytes:
        """The ids of all rows, end to end, in no particular order."""
        ...

    def reserve(self, rows: int, characters: int, again: bool = False) -> None:
        """Look whether so many more rows with so much text fit into memory.

        Args:
            again: they were held before, and are let in on a tenth more than the ceiling, so that
                what was taken in is never shut out.

        Raises:
            Unavailable: ``search-memory-full``.
        """
        ...

    def memory(self) -> Mapping[str, int]:
        """Bytes of memory taken, by part."""
        ...

    def freeze(self) -> Iterator[tuple[str, memoryview]]:
        """All that the copy holds at the moment of the call, as named contiguous parts.

        The copy goes on being read and written while the parts are taken. A name stands once.
        """
        ...

    def thaw(self, parts: Iterable[tuple[str, bytes | bytearray | memoryview]]) -> None:
        """Fill an empty copy with what another one froze, in the same order.

        Raises:
            ValueError: the parts do not fit together; the copy stays empty.
            Unavailable: ``search-memory-full``.
        """
        ...


class Stack(Protocol):
    """Sealed records on stable storage. Sees no plaintext and has no key."""

    @property
    def version(self) -> int:
        """The current version; grows with every change."""
        ...

    def write(self, records: Sequence[SealedRecord]) -> int:
        """Add records, or replace those with the same ``rid``; all or none. The new version."""
        ...

    def remove(self, rids: Sequence[bytes]) -> int:
        """Remove records from the current version. The new version."""
        ...

    def fetch(self, rids: Sequence[bytes]) -> list[SealedRecord]:
        """The records with these ids, in this order; missing ones are left out."""
        ...

    def versions(self) -> tuple[bytes, bytes]:
        """The ids of all records, end to end, and in the same order their versions (8 bytes each,
        little-endian), without reading the records.
        """
        ...

    def epochs(self) -> dict[int, int]:
        """How many records were sealed in which epoch."""
        ...

    def scan(self) -> Iterator[list[SealedRecord]]:
        """All records, in batches.

        Raises:
            IntegrityViolated: ``stack-damaged``, a file cannot be read; names it.
        """
        ...

    @property
    def clutter(self) -> float:
        """How much has piled up that ``tidy`` clears away: from 1 on it is due."""
        ...

    def tidy(self, halt: Callable[[], bool] = ...) -> bool:
        """Merge small pieces and drop old versions, while others read and write.

        Args:
            halt: asked between two steps whether to give up.

        Returns:
            Whether it came to its end.
        """
        ...

    def compact(self, halt: Callable[[], bool] = ...) -> bool:
        """Rewrite what is left so that the bytes of removed records are gone from the disk, while
        others read and write.

        Returns:
            Whether they are: not where it was halted, nor while somebody still scans an old
            version.
        """
        ...

    def collect(self) -> None:
        """Drop what no version names: what a crash has left of writes that came to nothing."""
        ...


class SnapshotStore(Protocol):
    """The sealed snapshot of the searchable copy at rest. What it holds is ciphertext."""

    def manifest(self) -> bytes | None:
        """The sealed manifest; ``None`` where there is no snapshot."""
        ...

    def reading(self, name: str) -> AbstractContextManager[Callable[[int], bytes]]:
        """A function that gives the next so many bytes of a file of chunks; none at its end."""
        ...

    def write(self, name: str, chunks: Iterable[bytes | bytearray]) -> None:
        """Write a file of chunks, durably; it counts for nothing yet."""
        ...

    def publish(self, manifest: bytes) -> None:
        """Put the manifest in place, durably: now the chunks that it names count."""
        ...

    def drop(self, keep: str | None = None) -> None:
        """Remove everything; with ``keep`` all but the manifest and that file of chunks."""
        ...


class Packing(Protocol):
    """Rows of a package to bytes and back."""

    def pack(self, rows: Sequence[PackedRow]) -> bytes:
        """The rows as one block of bytes."""
        ...

    def unpack(self, block: bytes) -> list[PackedRow]:
        """The inverse of ``pack``.

        Raises:
            ValueError: the bytes are none that ``pack`` makes.
        """
        ...


class Witnessed(Protocol):
    """Checkpoints that other sites showed: what they cannot take back."""

    asked: datetime | None
    """When this process last compared its own log with its neighbours; ``None`` before it did."""

    def load(self) -> dict[str, Checkpoint]:
        """The newest checkpoint of each site, or ``witness-damaged``."""
        ...

    def keep(self, site_id: str, checkpoint: Checkpoint) -> None:
        """Put a newer checkpoint in a site's place, durably."""
        ...


class Transport(Protocol):
    """Carries sealed letters between sites and reads none of them."""

    def exchange(self, site: Site, letter: bytes) -> bytes:
        """Deliver a letter and return the answer.

        Raises:
            Unavailable: ``site-unreachable``.
        """
        ...

    def witness(
        self,
        site: Site,
        of: str,
        newest: Checkpoint | None = None,
        path: Sequence[bytes] = (),
    ) -> Checkpoint | None:
        """The checkpoint of a site's log that another site holds; a newer one takes its place.

        Args:
            site: the witness.
            of: whose log it is.
            newest: what the witness shall keep from now on.
            path: shows that it goes on from what the witness holds.

        Raises:
            Unavailable: ``site-unreachable``.
            IntegrityViolated: ``checkpoint-forged``, ``checkpoint-inconsistent``.
        """
        ...
