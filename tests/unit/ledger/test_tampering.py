"""Guarantees 2 and 4: whoever edits the ledger's file is seen, whatever they recompute."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from memory_fabric.adapters.ledger import SqlLedger
from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import HomeError, IntegrityViolated
from memory_fabric.core.merkle import leaf_hash, root_of
from memory_fabric.core.receipt_search import Wanted
from tests.unit.ledger.disk import KEY, PUBLIC, Disk, commit, receipt

Edit = Callable[[sqlite3.Connection], object]
RECORDS = {"a": b"\x01" * 16, "b": b"\x02" * 16, "c": b"\x03" * 16}
"""As the fixture made them: a as written, b changed, c erased."""


def sql(*statements: str) -> Edit:
    def edit(database: sqlite3.Connection) -> None:
        for statement in statements:
            assert database.execute(statement, RECORDS).rowcount != 0, statement

    return edit


def rewrite(database: sqlite3.Connection, leaf: int, **changes: object) -> None:
    """Edit a receipt's body and recompute its leaf, as an insider without the key can."""
    (body,) = database.execute("SELECT body FROM receipt WHERE leaf=?", [leaf]).fetchone()
    new = canonical({**json.loads(body), **changes})
    database.execute(
        "UPDATE receipt SET body=?, leaf_hash=? WHERE leaf=?", [new.decode(), leaf_hash(new), leaf]
    )


def recompute(database: sqlite3.Connection) -> None:
    """Make the checkpoint's root and size fit the receipts again; the signature cannot follow."""
    leaves = [row[0] for row in database.execute("SELECT leaf_hash FROM receipt ORDER BY leaf")]
    database.execute("UPDATE checkpoint SET size=?, root=?", [len(leaves), root_of(leaves)])


def swapped(database: sqlite3.Connection) -> None:
    database.execute("UPDATE receipt SET leaf=99 WHERE leaf=1")
    database.execute("UPDATE receipt SET leaf=1 WHERE leaf=4")
    database.execute("UPDATE receipt SET leaf=4 WHERE leaf=99")


def then_recompute(*edits: Edit) -> Edit:
    def edit(database: sqlite3.Connection) -> None:
        for each in edits:
            each(database)
        recompute(database)

    return edit


def forged(database: sqlite3.Connection) -> None:
    one = receipt(act="erase")
    database.execute(
        "INSERT INTO receipt VALUES (5, ?, ?, ?, ?, ?, ?)",
        [one.id, one.canonical().decode(), one.leaf, one.act, str(one.outcome), one.at.isoformat()],
    )


LOG_EDITS: dict[str, Edit] = {
    "first deleted": sql("DELETE FROM receipt WHERE leaf=0"),
    "middle deleted": sql("DELETE FROM receipt WHERE leaf=1"),
    "middle deleted, renumbered": then_recompute(
        sql(
            "DELETE FROM receipt WHERE leaf=1",
            "UPDATE receipt SET leaf=leaf-10",
            "UPDATE receipt SET leaf=leaf+9 WHERE leaf>-10",
            "UPDATE receipt SET leaf=leaf+10 WHERE leaf<0",
        )
    ),
    "last deleted": sql("DELETE FROM receipt WHERE leaf=4"),
    "last deleted, recomputed": then_recompute(sql("DELETE FROM receipt WHERE leaf=4")),
    "all deleted, recomputed": then_recompute(sql("DELETE FROM receipt")),
    "leaf hash edited": sql("UPDATE receipt SET leaf_hash=zeroblob(32) WHERE leaf=2"),
    "body edited, leaf recomputed": lambda database: rewrite(database, 1, act="erase"),
    "body edited, all recomputed": then_recompute(
        lambda database: rewrite(database, 1, request={"note": "another"})
    ),
    "two swapped": swapped,
    "two swapped, recomputed": then_recompute(swapped),
    "one added": forged,
    "one added, recomputed": then_recompute(forged),
    "signature edited": sql("UPDATE checkpoint SET signature=zeroblob(64)"),
    "root edited": sql("UPDATE checkpoint SET root=zeroblob(32)"),
    "size edited": sql("UPDATE checkpoint SET size=4"),
    "checkpoint deleted": sql("DELETE FROM checkpoint"),
    "signature of another type": sql("UPDATE checkpoint SET signature='text'"),
    "leaf hash of another type": sql("UPDATE receipt SET leaf_hash='text' WHERE leaf=2"),
    "table dropped": sql("DROP TABLE receipt"),
    "owner deleted": sql("DELETE FROM meta"),
}
"""Seen at open already."""

CATALOG_EDITS: dict[str, Edit] = {
    "body edited": sql("UPDATE receipt SET body=replace(body,'recall','erase') WHERE leaf=1"),
    "body of another type": sql("UPDATE receipt SET body=x'00ff' WHERE leaf=1"),
    "claim cut out of a body": lambda database: database.execute(
        "UPDATE receipt SET body=json_set(body,'$.records_root',NULL) WHERE leaf=0"
    ),
    "act edited": sql("UPDATE receipt SET act='erase' WHERE leaf=1"),
    "outcome edited": sql("UPDATE receipt SET outcome='denied' WHERE leaf=1"),
    "time edited": sql("UPDATE receipt SET at='2020-01-01' WHERE leaf=1"),
    "id edited": sql("UPDATE receipt SET id='other' WHERE leaf=1"),
    "digest edited": sql("UPDATE catalog SET digest=zeroblob(32) WHERE rid=:a"),
    "digest of another type": sql("UPDATE catalog SET digest='text' WHERE rid=:a"),
    "version edited": sql("UPDATE catalog SET version=7 WHERE rid=:a"),
    "version below zero": sql("UPDATE catalog SET version=-7 WHERE rid=:a"),
    "record id edited": sql("UPDATE catalog SET rid=zeroblob(16) WHERE rid=:a"),
    "record deleted": sql("DELETE FROM catalog WHERE rid=:a"),
    "newest version deleted": sql("DELETE FROM catalog WHERE rid=:b AND version=2"),
    "all deleted": sql("DELETE FROM catalog"),
    "added to a receipt": sql("INSERT INTO catalog VALUES (:a, 2, zeroblob(32), 2, NULL)"),
    "added to a receipt that wrote none": sql(
        "INSERT INTO catalog VALUES (:a, 2, zeroblob(32), 1, NULL)"
    ),
    "added to no receipt": sql("INSERT INTO catalog VALUES (:a, 2, zeroblob(32), 99, NULL)"),
    "marked removed by a recall": sql("UPDATE catalog SET removed_at=4 WHERE rid=:a"),
    "marked removed by an erasure": sql("UPDATE catalog SET removed_at=3 WHERE rid=:a"),
    "marked removed by its own receipt": sql("UPDATE catalog SET removed_at=0 WHERE rid=:a"),
    "marked removed by no receipt": sql("UPDATE catalog SET removed_at=99 WHERE rid=:a"),
    "erased one brought back": sql("UPDATE catalog SET removed_at=NULL WHERE rid=:c"),
    "removal moved": sql("UPDATE catalog SET removed_at=4 WHERE rid=:c"),
    "writing and removal exchanged": sql(
        "UPDATE catalog SET written_at=3, removed_at=0 WHERE rid=:c"
    ),
    "removal turned into writing": sql(
        "UPDATE catalog SET written_at=3, removed_at=NULL WHERE rid=:c"
    ),
    "version moved between receipts": sql(
        "UPDATE catalog SET written_at=0 WHERE rid=:b AND version=2"
    ),
}
"""Seen where the catalog or the receipt is read."""


@pytest.mark.parametrize("name", LOG_EDITS)
def test_an_edited_log_does_not_open(disk: Disk, name: str) -> None:
    disk.edit(LOG_EDITS[name])
    assert disk.audit()
    with pytest.raises(IntegrityViolated) as caught:
        disk.open()
    assert caught.value.code in ("ledger-damaged", "ledger-rolled-back")
    assert caught.value.details["damaged"] == ["ledger.db"]


@pytest.mark.parametrize("name", CATALOG_EDITS)
def test_an_edited_catalog_is_never_served(disk: Disk, name: str) -> None:
    disk.edit(CATALOG_EDITS[name])
    assert {damage.file for damage in disk.audit()} == {"ledger.db"}
    ledger = disk.open()
    assert ledger.verify() == disk.audit()
    with pytest.raises(IntegrityViolated, match=r"ledger\.db"):
        ledger.catalog()


@pytest.mark.parametrize("size", [0, 2, 3, 5])
@pytest.mark.parametrize("name", CATALOG_EDITS)
def test_an_edited_catalog_changes_no_account_of_what_is_new(
    disk: Disk, name: str, size: int
) -> None:
    """What is older than ``size`` is not read; what is newer is as it was, or refused.

    A removal that poses as a writing is told by whoever knows the record: it is in that version
    already (``tests/fault/test_snapshot.py``).
    """
    before = disk.open()
    bodies = [item for item in reversed(before.receipts(None, 9)) if item.pop("index") < size]
    root = root_of(leaf_hash(canonical(body)) for body in bodies)
    untouched = before.changes(size, root)
    assert untouched is not None
    disk.edit(CATALOG_EDITS[name])
    with suppress(IntegrityViolated):
        changes = disk.open().changes(size, root)
        assert changes == untouched or name == "removal turned into writing"


@pytest.mark.parametrize("name", {**LOG_EDITS, **CATALOG_EDITS})
def test_an_edit_while_the_ledger_is_open_is_found(disk: Disk, name: str) -> None:
    ledger = disk.open()
    disk.edit({**LOG_EDITS, **CATALOG_EDITS}[name])
    assert ledger.verify()


def test_an_untouched_ledger_has_no_damage(disk: Disk) -> None:
    assert disk.audit() == []
    ledger = disk.open()
    assert ledger.verify() == []
    assert [item.rid[0] for item in ledger.catalog()] == [1, 2]
    assert ledger.stack_version == 3


def test_damage_is_named(disk: Disk) -> None:
    disk.edit(sql("DELETE FROM receipt WHERE leaf=1"))
    assert "receipt 1 is missing" in [damage.what for damage in disk.audit()]


def test_an_edited_receipt_is_not_shown(disk: Disk) -> None:
    ledger = disk.open()
    (shown,) = ledger.receipts(2, 1)
    disk.edit(sql("UPDATE receipt SET body=replace(body,'recall','erase') WHERE leaf=1"))
    for ask in (
        lambda: ledger.receipt(shown["id"]),
        lambda: ledger.receipts(None, 9),
        lambda: ledger.proof(shown["id"]),
    ):
        with pytest.raises(IntegrityViolated):
            ask()


def test_a_receipt_is_not_shown_under_another_s_id(disk: Disk) -> None:
    ledger = disk.open()
    first, second = (item["id"] for item in ledger.receipts(2, 2))
    disk.edit(sql("UPDATE receipt SET id='x' WHERE leaf=0"))
    rename = "UPDATE receipt SET id=? WHERE id=?"
    disk.edit(lambda database: database.execute(rename, [second, first]))
    disk.edit(lambda database: database.execute(rename, [first, "x"]))
    with pytest.raises(IntegrityViolated):
        ledger.receipt(first)


@pytest.mark.parametrize(
    "edit",
    [
        """UPDATE app SET body=replace(body, '"app"', '"operator"')""",
        """UPDATE app SET body=replace(body, 'hhhh', 'iiii')""",
        "UPDATE app SET key_id='k2'",
        "UPDATE app SET name='other'",
        "UPDATE app SET signature=zeroblob(64)",
        "UPDATE app SET body=x'00'",
    ],
)
def test_a_grant_cannot_be_widened_in_the_file(disk: Disk, edit: str) -> None:
    disk.edit(sql(edit))
    assert disk.audit()
    ledger = disk.open()
    with pytest.raises(IntegrityViolated):
        ledger.apps()
    if "key_id" not in edit:
        with pytest.raises(IntegrityViolated):
            ledger.app("k1")


def test_a_ledger_rolled_back_alone_is_seen_at_open(disk: Disk) -> None:
    before = disk.copy("before")
    ledger = disk.open()
    commit(ledger)
    ledger.close()
    disk.file.write_bytes(before.file.read_bytes())
    with pytest.raises(IntegrityViolated) as caught:
        disk.open()
    assert caught.value.code == "ledger-rolled-back"
    assert caught.value.details["damaged"] == ["ledger.db"]
    assert disk.audit()


def test_a_signed_fork_of_the_same_length_is_seen_at_open(disk: Disk) -> None:
    other = disk.copy("other")
    for each in (disk, other):
        ledger = each.open()
        commit(ledger)
        ledger.close()
    disk.file.write_bytes(other.file.read_bytes())
    with pytest.raises(IntegrityViolated) as caught:
        disk.open()
    assert caught.value.code == "ledger-rolled-back"


def test_a_ledger_that_is_gone_is_seen_by_its_anchor(disk: Disk) -> None:
    disk.file.unlink()
    with pytest.raises(IntegrityViolated) as caught:
        disk.open()
    assert caught.value.code == "ledger-rolled-back"
    disk.anchor.unlink()
    with pytest.raises(HomeError) as missing:
        disk.open()
    assert missing.value.code == "ledger-missing"


def test_a_rollback_while_open_stops_the_next_commit(disk: Disk) -> None:
    before = disk.copy("before")
    ledger = disk.open()
    commit(ledger)

    def roll_back(database: sqlite3.Connection) -> None:
        database.execute("ATTACH ? AS old", [str(before.file)])
        for table in ("receipt", "checkpoint"):
            database.execute(f"DELETE FROM {table}")  # noqa: S608
            database.execute(f"INSERT INTO {table} SELECT * FROM old.{table}")  # noqa: S608

    disk.edit(roll_back)
    with pytest.raises(IntegrityViolated) as caught:
        commit(ledger)
    assert caught.value.code == "ledger-rolled-back"


def test_a_file_exchanged_while_open_stops_the_next_commit(disk: Disk) -> None:
    before = disk.copy("before")
    ledger = disk.open()
    before.file.replace(disk.file)
    with pytest.raises(IntegrityViolated) as caught:
        commit(ledger)
    assert caught.value.code == "ledger-rolled-back"


def test_an_anchor_older_than_the_ledger_is_a_power_loss(disk: Disk) -> None:
    older = disk.anchor.read_bytes()
    ledger = disk.open()
    commit(ledger)
    ledger.close()
    for left in (older, b"", b"\0" * 300):
        disk.anchor.write_bytes(left)
        ledger = disk.open()
        assert ledger.verify() == []
        ledger.close()


@pytest.mark.parametrize("content", [None, b"{}", b"[]", b"null", b"\xff", b'{"size": 0}'])
def test_an_anchor_that_is_none_is_named(disk: Disk, content: bytes | None) -> None:
    disk.anchor.unlink() if content is None else disk.anchor.write_bytes(content)
    assert [damage.file for damage in disk.audit()] == ["ledger.anchor"]
    with pytest.raises(IntegrityViolated) as caught:
        disk.open()
    assert caught.value.code == "ledger-anchor-damaged"


@pytest.mark.parametrize("changes", [{"size": 3}, {"origin": "memory-fabric/lon-1"}])
def test_an_anchor_cannot_be_edited(disk: Disk, changes: dict[str, object]) -> None:
    disk.anchor.write_text(json.dumps({**json.loads(disk.anchor.read_text()), **changes}))
    with pytest.raises(IntegrityViolated) as caught:
        disk.open()
    assert caught.value.code == "ledger-anchor-damaged"


@pytest.mark.parametrize(("version", "code"), [(1, "home-too-old"), (99, "ledger-too-new")])
def test_a_home_of_another_format_is_refused(disk: Disk, version: int, code: str) -> None:
    disk.edit(lambda file: file.execute("UPDATE meta SET schema_version=?", (version,)))
    for look in (disk.open, disk.audit):
        with pytest.raises(HomeError) as caught:
            look()
        assert caught.value.code == code


def test_another_site_s_ledger_is_foreign(disk: Disk) -> None:
    with pytest.raises(HomeError) as caught:
        disk.open("lon-1")
    assert caught.value.code == "home-foreign"


def test_any_page_of_the_file_overwritten_is_seen(disk: Disk) -> None:
    whole = disk.file.read_bytes()
    page = int.from_bytes(whole[16:18], "big")
    for start in range(0, len(whole), page):
        broken = bytearray(whole)
        broken[start : start + 512] = secrets.token_bytes(512)
        disk.file.write_bytes(broken)
        assert disk.audit()


def test_an_empty_file_is_damage(disk: Disk) -> None:
    disk.file.write_bytes(b"")
    with pytest.raises(IntegrityViolated):
        disk.open()
    assert disk.audit()


def test_an_intruder_s_own_ledger_is_not_taken(disk: Disk, tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    other = SqlLedger.create(
        tmp_path / "own.db",
        "fra-1",
        key.sign,
        key.public_key().public_bytes_raw(),
        tmp_path / "own.anchor",
    )
    other.commit(receipt())
    other.close()
    with pytest.raises(IntegrityViolated):
        SqlLedger.open(tmp_path / "own.db", "fra-1", KEY.sign, PUBLIC, disk.anchor)


@pytest.mark.parametrize(
    "edit",
    [
        sql("UPDATE receipt_entry SET kind = (SELECT kind FROM receipt_entry WHERE leaf=0)"
            " WHERE leaf=3"),
        sql("UPDATE receipt_entry SET at = at + 1 WHERE leaf=3"),
        sql("UPDATE receipt_kind SET marks='[[\"act\",\"recall\"]]' WHERE kind=2"),
        sql("UPDATE receipt_kind SET marks='no json' WHERE kind=2"),
        sql("DELETE FROM receipt_kind WHERE kind=0"),
        sql("INSERT INTO receipt_entry VALUES (99, 0, 0)"),
    ],
)  # fmt: skip
def test_an_edited_index_is_seen(disk: Disk, edit: Edit) -> None:
    disk.edit(edit)
    assert [item.file for item in disk.audit()] == ["ledger.db"]
    with pytest.raises(IntegrityViolated):
        list(disk.open().catalog())


@pytest.mark.parametrize(
    "edit",
    [
        sql("DROP TABLE receipt_entry", "DROP TABLE receipt_kind"),
        sql("DELETE FROM receipt_entry WHERE leaf IN (1, 3)"),
    ],
)
def test_what_an_older_version_did_not_index_is_indexed_at_opening(disk: Disk, edit: Edit) -> None:
    disk.edit(edit)
    assert disk.audit() == []
    ledger = disk.open()
    assert [item["index"] for item in ledger.receipts(None, 9, Wanted(act="erase"))] == [3]
    assert sum(item.receipts for item in ledger.tally()) == 5
    assert ledger.verify() == []
