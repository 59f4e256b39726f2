"""A backup as it stands in its folder: objects named by their hashes, and signed manifests.

A manifest names everything that one backup holds; what did not change since the one before is
named again and written only once. Records are sealed as in the stack and gathered in packs; the
ledger is a copy in pieces; keys are never in a backup. ``docs/internals/format.md``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self

from memory_fabric.core.canonical import canonical
from memory_fabric.core.receipt import Checkpoint
from memory_fabric.core.records import RID_BYTES, CatalogEntry, SealedRecord

FORMAT = "memory-fabric/backup/1"
"""Of manifests, packs and indices."""
PACK_ROWS = 2048
"""Records of a pack at most: what is written anew where one of them is gone."""
ENTRY_BYTES = RID_BYTES + 8
"""One record in a pack's index: its id and its version."""


@dataclass(frozen=True)
class Pack:
    """Sealed records in one object.

    Attributes:
        records: the object that holds them.
        index: the object that names them, ``ENTRY_BYTES`` each, in the same order.
        count: how many they are.
    """

    records: str
    index: str
    count: int


@dataclass(frozen=True)
class Manifest:
    """What one backup holds.

    Attributes:
        site: whose it is.
        number: 1 at first in a folder, one more each time.
        at: when the copy of the ledger was made (UTC): the moment that the backup stands for.
        checkpoint: the log's signed root at that moment.
        live: records that the ledger names at that moment.
        ledger: objects that make up the ledger's copy, in order.
        files: small files of the home by their path in it, each one object.
        packs: all sealed records.
    """

    site: str
    number: int
    at: datetime
    checkpoint: Checkpoint
    live: int
    ledger: Sequence[str]
    files: Mapping[str, str]
    packs: Sequence[Pack]

    @property
    def objects(self) -> frozenset[str]:
        """Every object that it needs."""
        packed = [name for pack in self.packs for name in (pack.records, pack.index)]
        return frozenset([*self.ledger, *self.files.values(), *packed])

    @property
    def body(self) -> bytes:
        """The bytes that the site signs."""
        return canonical(
            {
                "format": FORMAT,
                "site": self.site,
                "number": self.number,
                "at": self.at.isoformat(),
                "checkpoint": self.checkpoint.to_json(),
                "live": self.live,
                "ledger": list(self.ledger),
                "files": dict(self.files),
                "packs": [[pack.records, pack.index, pack.count] for pack in self.packs],
            }
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """From what ``body`` says.

        Raises:
            ValueError, KeyError, TypeError: it is no manifest of this format.
        """
        if value["format"] != FORMAT:
            raise ValueError("a manifest of another format")
        return cls(
            site=value["site"],
            number=value["number"],
            at=datetime.fromisoformat(value["at"]),
            checkpoint=Checkpoint.from_json(value["checkpoint"]),
            live=value["live"],
            ledger=tuple(value["ledger"]),
            files=dict(value["files"]),
            packs=tuple(Pack(*pack) for pack in value["packs"]),
        )


class BackupStore(Protocol):
    """Where backups are kept: objects by their SHA-256, manifests by their number."""

    def locked(self) -> AbstractContextManager[None]:
        """Hold it alone; ``backup-busy`` where somebody else does."""
        ...

    def manifests(self) -> list[int]:
        """The numbers of the manifests that are there, ascending."""
        ...

    def read_manifest(self, number: int) -> tuple[bytes, bytes]:
        """A manifest's body and its signature, unchecked.

        Raises:
            NotFound: ``backup-unknown``.
            IntegrityViolated: ``backup-damaged``.
        """
        ...

    def write_manifest(self, number: int, body: bytes, signature: bytes) -> None:
        """Keep a manifest, durably: with it the backup counts."""
        ...

    def put(self, content: bytes) -> str:
        """Keep an object, durably; its name."""
        ...

    def get(self, name: str) -> bytes:
        """An object.

        Raises:
            IntegrityViolated: ``backup-damaged``: it is gone, or not what its name says.
        """
        ...

    def put_records(self, records: Sequence[SealedRecord]) -> str:
        """Keep sealed records as one object."""
        ...

    def get_records(self, name: str) -> list[SealedRecord]:
        """The inverse.

        Raises:
            IntegrityViolated: ``backup-damaged``.
        """
        ...

    def put_file(self, path: Path) -> list[str]:
        """Keep a file in pieces of one size, so that pieces that did not change are kept once."""
        ...

    def scratch(self) -> AbstractContextManager[Path]:
        """A folder of its own for copies in the making, gone afterwards."""
        ...

    def forget(self, numbers: Sequence[int], needed: frozenset[str]) -> int:
        """Drop manifests, and every object that is not among the needed ones; how many went."""
        ...


def index_of(entries: Sequence[CatalogEntry | SealedRecord]) -> bytes:
    """A pack's index."""
    return b"".join(entry.rid + entry.version.to_bytes(8, "big") for entry in entries)


def indexed(index: bytes) -> Iterator[tuple[bytes, int]]:
    """Ids and versions of a pack's records, in its order."""
    for at in range(0, len(index), ENTRY_BYTES):
        entry = index[at : at + ENTRY_BYTES]
        yield entry[:RID_BYTES], int.from_bytes(entry[RID_BYTES:], "big")
