"""The catalog: every version of every sealed record, each accounted for by a receipt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import (
    CompoundSelect,
    Connection,
    Row,
    Select,
    bindparam,
    func,
    select,
    union_all,
    update,
)

from memory_fabric.adapters.ledger.database import Database
from memory_fabric.adapters.ledger.tables import CATALOG
from memory_fabric.core.records import (
    CatalogChange,
    CatalogChanges,
    CatalogEntry,
    records_root,
)

_ALL = -(2**63)  # before every leaf, those included that no ledger writes
_WRITTEN = (CATALOG.c.rid, CATALOG.c.version, CATALOG.c.digest, CATALOG.c.written_at)
_CHUNK = 500  # parameters of one query; SQLite takes 32,766, older builds 999


def apply(database: Database, connection: Connection, change: CatalogChange, leaf: int) -> None:
    """Enter what the receipt at ``leaf`` did.

    Raises:
        IntegrityViolated: ``ledger-damaged``: what the act saw is not what the catalog holds.
    """
    changed = [entry for entry in change.written if entry.version > 1]
    newest = _newest(connection, [entry.rid for entry in (*changed, *change.removed)])
    for entry in changed:
        last = newest.get(entry.rid)
        if last is None or last.version != entry.version - 1:
            raise database.damaged("a record is not the next version of the one it holds.")
    for entry in change.removed:
        if newest.get(entry.rid) != entry:
            raise database.damaged("a record to be removed is not the one that it holds.")
    written = [(entry.rid, entry.version, entry.digest, leaf) for entry in change.written]
    database.insert(connection, _WRITTEN, written)
    if change.removed:
        connection.execute(
            update(CATALOG)
            .where(CATALOG.c.rid == bindparam("of_rid"))
            .where(CATALOG.c.version == bindparam("of_version"))
            .values(removed_at=leaf),
            [{"of_rid": entry.rid, "of_version": entry.version} for entry in change.removed],
        )


def live() -> Select[bytes, int, bytes]:
    """Each record's highest version, unless that was removed."""
    newer = CATALOG.alias()
    superseded = (
        select(newer.c.rid)
        .where(newer.c.rid == CATALOG.c.rid, newer.c.version > CATALOG.c.version)
        .exists()
    )
    return (
        select(CATALOG.c.rid, CATALOG.c.version, CATALOG.c.digest)
        .where(CATALOG.c.removed_at.is_(None), ~superseded)
        .order_by(CATALOG.c.rid)
    )


def since(database: Database, connection: Connection, first: int) -> CatalogChanges:
    """What the receipts from ``first`` on left behind. Versions only grow with the log, so that
    the newest one of a record that they wrote is the newest of all.
    """
    columns = (CATALOG.c.rid, CATALOG.c.version, CATALOG.c.digest)
    written = select(*columns).where(CATALOG.c.written_at >= first).order_by(CATALOG.c.version)
    newest = {row.rid: _entry(row) for row in database.rows(connection, written)}
    removed = select(*columns).where(CATALOG.c.removed_at >= first)
    gone = {_entry(row) for row in database.rows(connection, removed)}
    standing = [entry for entry in newest.values() if entry not in gone]
    return CatalogChanges(standing, removed=bool(gone))


def faults(
    database: Database, connection: Connection, claims: dict[int, str], first: int = _ALL
) -> Iterator[str]:
    """Where catalog and receipts disagree.

    Each row belongs to the receipt that wrote it and to the one that removed it; a receipt's root
    is over all rows that belong to it. So no row can be added, left out, altered, moved between
    receipts or brought back without a root that no longer fits.

    Args:
        database, connection: where to read.
        claims: index and ``records_root`` of each receipt that wrote or removed any record.
        first: the receipt from which on they are compared; all of them when left out.
    """
    left = dict(claims)
    row = (CATALOG.c.rid, CATALOG.c.version, CATALOG.c.digest)
    of_receipts: CompoundSelect[int, bytes, int, bytes] = union_all(
        select(CATALOG.c.written_at.label("leaf"), *row).where(CATALOG.c.written_at >= first),
        select(CATALOG.c.removed_at.label("leaf"), *row).where(CATALOG.c.removed_at >= first),
    ).order_by("leaf")
    found = database.rows(connection, of_receipts)
    for leaf, rows in groupby(found, key=lambda row: row.leaf):
        if left.pop(leaf, "") != _root(rows):
            yield f"the catalog's records of receipt {leaf} are not those that it recorded"
    yield from (f"the catalog lacks the records of receipt {leaf}" for leaf in sorted(left))
    too_early = CATALOG.c.removed_at <= CATALOG.c.written_at
    if connection.scalar(select(func.count()).select_from(CATALOG).where(too_early)):
        yield "the catalog removes a record before it was written"


def _root(rows: Iterator[Row[Any]]) -> str | None:
    try:
        return records_root((row.rid, row.version, row.digest) for row in rows)
    except OverflowError:
        return None  # a version below zero, which no ledger writes


def _newest(connection: Connection, rids: Sequence[bytes]) -> dict[bytes, CatalogEntry]:
    """The live version of each of these records."""
    found: dict[bytes, CatalogEntry] = {}
    for start in range(0, len(rids), _CHUNK):
        some = live().where(CATALOG.c.rid.in_(rids[start : start + _CHUNK]))
        found |= {row.rid: CatalogEntry(*row) for row in connection.execute(some)}
    return found


def _entry(row: Row[Any]) -> CatalogEntry:
    return CatalogEntry(row.rid, row.version, row.digest)
