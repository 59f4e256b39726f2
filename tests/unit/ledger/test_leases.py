"""A lease that somebody edits, takes out or puts back in the ledger's file is seen."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.core.lease import LeaseState, lease_digests
from tests.contract.test_ledger import lease
from tests.unit.ledger.disk import Disk, receipt


@pytest.fixture
def leased(tmp_path: Path) -> Disk:
    """Two leases, one of which ended."""
    (tmp_path / "site").mkdir()
    disk = Disk(tmp_path / "site")
    ledger = disk.create()
    for item in (lease("a"), lease("b"), lease("b", LeaseState.ENDED)):
        written = replace(receipt(act="export"), facts={"leases": lease_digests([item])})
        ledger.commit(written, None, [item])
    ledger.close()
    return disk


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE lease SET body=replace(body,'2026-01-02','2027-01-02') WHERE id='a'",
        "UPDATE lease SET body=replace(body,'\"ended\"','\"held\"') WHERE id='b'",
        "UPDATE lease SET destination='vir-1' WHERE id='a'",
        "UPDATE lease SET signature=zeroblob(64) WHERE id='a'",
        "UPDATE lease SET body=x'00ff' WHERE id='a'",
    ],
)
def test_an_edited_lease_is_not_read(leased: Disk, statement: str) -> None:
    leased.edit(lambda database: database.execute(statement))
    assert leased.audit()
    ledger = leased.open()
    with pytest.raises(IntegrityViolated, match=r"lease|type"):
        ledger.leases()
    ledger.close()


def test_a_lease_that_was_taken_out_is_missed(leased: Disk) -> None:
    leased.edit(lambda database: database.execute("DELETE FROM lease WHERE id='a'"))
    assert any("lease is gone" in damage.what for damage in leased.audit())


def test_a_lease_put_back_to_an_older_state_is_seen(leased: Disk, tmp_path: Path) -> None:
    older = Disk(tmp_path / "older")
    older.folder.mkdir()
    ledger = older.create()
    item = lease("b")
    written = replace(receipt(act="export"), facts={"leases": lease_digests([item])})
    ledger.commit(written, None, [item])
    ledger.close()
    with sqlite3.connect(older.file) as database:
        (row,) = database.execute("SELECT body, signature FROM lease")
    leased.edit(
        lambda database: database.execute("UPDATE lease SET body=?, signature=? WHERE id='b'", row)
    )
    assert any("newest receipt" in damage.what for damage in leased.audit())


def test_a_ledger_of_an_older_version_takes_leases(leased: Disk, tmp_path: Path) -> None:
    disk = Disk(tmp_path / "old")
    disk.folder.mkdir()
    disk.create().close()
    disk.edit(lambda database: database.execute("DROP TABLE lease"))
    ledger = disk.open()
    assert ledger.leases() == []
    assert ledger.verify() == []
    ledger.close()
