"""Guarantees 4 and 5: what was acknowledged is there, what was not is whole or absent."""

from __future__ import annotations

import json
import resource
import secrets
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from memory_fabric.adapters.ledger import SqlLedger
from memory_fabric.core.errors import HomeError, Unavailable
from memory_fabric.core.records import CatalogChange
from tests.unit.ledger.disk import PUBLIC, Disk, commit, entry, receipt


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file of this process can grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_reopened_ledger_goes_on(disk: Disk) -> None:
    ledger = disk.open()
    newest = ledger.checkpoint()
    assert newest.size == 5
    committed = ledger.commit(receipt())
    assert committed.index == 5
    ledger.close()
    again = disk.open()
    assert again.checkpoint() == committed.checkpoint
    assert again.receipt(committed.receipt.id)["index"] == 5
    assert [app.name for app in again.apps()] == ["clinic"]


def test_the_anchor_holds_the_newest_checkpoint(disk: Disk) -> None:
    ledger = disk.open()
    for _ in range(3):
        checkpoint = ledger.commit(receipt()).checkpoint
        assert json.loads(disk.anchor.read_text()) == checkpoint.to_json()


def test_nothing_is_committed_on_a_full_disk(disk: Disk) -> None:
    ledger = disk.open()
    before, live = ledger.checkpoint(), list(ledger.catalog())
    change = CatalogChange(9, written=[entry() for _ in range(3000)])
    with full_disk(100_000), pytest.raises(Unavailable) as caught:
        ledger.commit(receipt(change), change)
    assert caught.value.code == "ledger-unwritable"
    assert ledger.checkpoint() == before
    assert list(ledger.catalog()) == live
    assert ledger.verify() == []
    ledger.commit(receipt(change), change)
    ledger.close()
    again = disk.open()
    assert again.checkpoint().size == before.size + 1
    assert len(list(again.catalog())) == len(live) + 3000


def test_nothing_is_committed_while_another_process_writes(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memory_fabric.adapters.ledger.database.BUSY_MILLISECONDS", 50)
    ledger = disk.open()
    with closing(sqlite3.connect(disk.file)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable) as caught:
            commit(ledger)
        assert caught.value.code == "ledger-unwritable"
    commit(ledger)
    assert ledger.verify() == []


def test_an_anchor_that_cannot_be_written_fails_no_commit(disk: Disk) -> None:
    ledger = disk.open()
    disk.anchor.with_name("ledger.anchor.new").mkdir()
    assert ledger.commit(receipt()).index == 5
    ledger.close()
    assert disk.open().checkpoint().size == 6


def test_the_folder_holds_nothing_that_was_not_meant_to(disk: Disk) -> None:
    assert sorted(path.name for path in disk.folder.iterdir()) == ["ledger.anchor", "ledger.db"]
    for path in disk.folder.iterdir():
        assert path.stat().st_mode & 0o077 == 0


def test_a_ledger_is_created_once(disk: Disk) -> None:
    with pytest.raises(HomeError) as caught:
        disk.create()
    assert caught.value.code == "ledger-exists"
    assert disk.audit() == []


def test_a_url_names_a_database_too(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    public, anchor = key.public_key().public_bytes_raw(), tmp_path / "anchor"
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    made = SqlLedger.create(url, "fra-1", key.sign, public, anchor)
    made.commit(receipt())
    made.close()
    assert SqlLedger.open(url, "fra-1", key.sign, public, anchor).checkpoint().size == 1
    assert SqlLedger.audit(tmp_path / "ledger.db", "fra-1", public, anchor) == []
    assert public != PUBLIC


_WRITER = """
import sys
from pathlib import Path
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from memory_fabric.adapters.ledger import SqlLedger
from memory_fabric.core.records import CatalogChange
from tests.unit.ledger.disk import entry, receipt
key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(sys.argv[1]))
folder = Path(sys.argv[2])
ledger = SqlLedger.create(folder / "ledger.db", "fra-1", key.sign,
                          key.public_key().public_bytes_raw(), folder / "anchor")
while True:
    change = CatalogChange(1, written=[entry()])
    print(ledger.commit(receipt(change), change).receipt.id, flush=True)
"""


def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    seed = secrets.token_bytes(32)
    key = Ed25519PrivateKey.from_private_bytes(seed)
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, seed.hex(), str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        assert writer.stdout
        told = [writer.stdout.readline().strip() for _ in range(25)]
        writer.send_signal(signal.SIGKILL)
        told += [line.strip() for line in writer.stdout]
    public = key.public_key().public_bytes_raw()
    ledger = SqlLedger.open(tmp_path / "ledger.db", "fra-1", key.sign, public, tmp_path / "anchor")
    assert ledger.checkpoint().size - len(told) in (0, 1)
    assert [ledger.receipt(each)["index"] for each in told] == list(range(len(told)))
    assert len(list(ledger.catalog())) == ledger.checkpoint().size
    assert ledger.verify() == []
