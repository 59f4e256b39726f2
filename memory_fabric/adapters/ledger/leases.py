"""Leases: each signed by the site, and each of its states accounted for by a receipt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from memory_fabric.adapters.ledger.database import Database
from memory_fabric.adapters.ledger.tables import LEASE
from memory_fabric.adapters.signatures import is_signed
from memory_fabric.core.canonical import canonical
from memory_fabric.core.lease import Lease

_COLUMNS = (LEASE.c.id, LEASE.c.origin, LEASE.c.destination, LEASE.c.body, LEASE.c.signature)


def put(
    connection: Connection, leases: Sequence[Lease], site_id: str, sign: Callable[[bytes], bytes]
) -> None:
    """Store leases, each in the place of the one with its id."""
    for lease in leases:
        body = canonical(lease.to_json())
        values = {
            "origin": lease.origin,
            "destination": lease.destination,
            "body": body.decode(),
            "signature": sign(_signed_bytes(site_id, body)),
        }
        changed = connection.execute(update(LEASE).where(LEASE.c.id == lease.id).values(values))
        if not changed.rowcount:
            connection.execute(insert(LEASE).values(id=lease.id, **values))


def read(
    database: Database,
    connection: Connection,
    site_id: str,
    public_key: bytes,
    origin: str | None = None,
    destination: str | None = None,
) -> Iterator[Lease]:
    """Leases in the order of their making.

    Raises:
        IntegrityViolated: ``ledger-damaged``: one is not as the site wrote it.
    """
    query = select(*_COLUMNS).order_by(LEASE.c.number)
    if origin is not None:
        query = query.where(LEASE.c.origin == origin)
    if destination is not None:
        query = query.where(LEASE.c.destination == destination)
    for row in database.rows(connection, query):
        lease = _from_row(row, site_id, public_key)
        if lease is None:
            raise database.damaged("a lease was edited.")
        yield lease


def faults(
    database: Database,
    connection: Connection,
    site_id: str,
    public_key: bytes,
    claims: dict[str, str],
) -> Iterator[str]:
    """Leases that are not as the site wrote them last, and those that are gone.

    Args:
        claims: the newest digest of each lease that a receipt names.
    """
    left = dict(claims)
    for row in database.rows(connection, select(*_COLUMNS)):
        lease = _from_row(row, site_id, public_key)
        if lease is None:
            yield "a lease was edited"
            left.pop(row.id, None)
        elif left.pop(lease.id, "") != lease.digest:
            yield "a lease is not in the state that its newest receipt records"
    yield from ("a lease is gone" for _ in left)


def _from_row(row: Row[Any], site_id: str, public_key: bytes) -> Lease | None:
    """The lease, or ``None`` where the row is not what the site signed."""
    body = row.body.encode()
    if not is_signed(public_key, _signed_bytes(site_id, body), row.signature):
        return None
    lease = Lease.from_json(json.loads(body))
    known = (lease.id, lease.origin, lease.destination)
    return lease if known == (row.id, row.origin, row.destination) else None


def _signed_bytes(site_id: str, body: bytes) -> bytes:
    return f"memory-fabric-lease/{site_id}\n".encode() + body
