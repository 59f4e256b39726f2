"""A site's ledger on disk, and a hand to reach into its file."""

from __future__ import annotations

import secrets
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from memory_fabric.adapters.ledger import SqlLedger
from memory_fabric.core.access import Requester, Role
from memory_fabric.core.ledger_ports import App
from memory_fabric.core.receipt import Outcome, Receipt
from memory_fabric.core.records import CatalogChange, CatalogEntry, Damage

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()


@dataclass
class Disk:
    """A ledger's files, and ways to use them as the site and as an intruder."""

    folder: Path

    @property
    def file(self) -> Path:
        return self.folder / "ledger.db"

    @property
    def anchor(self) -> Path:
        return self.folder / "ledger.anchor"

    def create(self) -> SqlLedger:
        return SqlLedger.create(self.file, "fra-1", KEY.sign, PUBLIC, self.anchor)

    def open(self, site_id: str = "fra-1") -> SqlLedger:
        return SqlLedger.open(self.file, site_id, KEY.sign, PUBLIC, self.anchor)

    def audit(self) -> list[Damage]:
        return SqlLedger.audit(self.file, "fra-1", PUBLIC, self.anchor)

    def edit(self, change: Callable[[sqlite3.Connection], object]) -> None:
        """Change the file behind the site's back."""
        with closing(sqlite3.connect(self.file)) as database, database:
            change(database)

    def copy(self, name: str) -> Disk:
        target = self.folder.parent / name
        shutil.copytree(self.folder, target)
        return Disk(target)


def entry(version: int = 1, rid: bytes | None = None) -> CatalogEntry:
    return CatalogEntry(rid or secrets.token_bytes(16), version, secrets.token_bytes(32))


def receipt(change: CatalogChange | None = None, act: str = "recall", note: str = "") -> Receipt:
    return Receipt(
        id=secrets.token_hex(8),
        at=datetime(2026, 1, 1, tzinfo=UTC),
        site="fra-1",
        act=act,
        outcome=Outcome.DONE,
        request={"note": note},
        decisions=(),
        bundle="b" * 64,
        roster="r" * 64,
        records_root=change.root if change else None,
    )


def commit(ledger: SqlLedger, change: CatalogChange | None = None, act: str = "recall") -> None:
    ledger.commit(receipt(change, act), change)


APP = App(
    "clinic",
    "k1",
    "h" * 64,
    Requester("clinic", "acme", Role.APP, frozenset({"care"})),
    datetime(2026, 1, 1, tzinfo=UTC),
)
