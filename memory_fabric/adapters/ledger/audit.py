"""Reading a whole ledger against its hashes and signatures, whether or not it can be opened."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection

from memory_fabric.adapters.ledger import apps, catalog, leases
from memory_fabric.adapters.ledger.anchor import Anchor
from memory_fabric.adapters.ledger.database import Database
from memory_fabric.adapters.ledger.log import check_owner, read_checkpoint, read_log
from memory_fabric.adapters.signatures import is_signed
from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.core.records import Damage


def audit(database: Database, anchor: Anchor, site_id: str, public_key: bytes) -> list[Damage]:
    """Everything that is not as it was written; empty where all is well.

    Raises:
        HomeError: ``home-foreign``, ``ledger-too-new``.
        Unavailable: ``ledger-unreadable``.
    """
    damages: list[Damage] = []
    try:
        with database.reading() as connection:
            for what in _faults(database, connection, anchor, site_id, public_key):
                damages.append(Damage(database.name, what))
    except IntegrityViolated as error:
        damages += [Damage(name, error.what) for name in error.details["damaged"]]
    return damages


def _faults(
    database: Database, connection: Connection, anchor: Anchor, site_id: str, public_key: bytes
) -> Iterator[str]:
    yield from database.structure_faults(connection)
    check_owner(database, connection, site_id)
    log = read_log(database, connection)
    yield from apps.faults(database, connection, site_id, public_key, log.removed_apps)
    yield from log.faults
    yield from catalog.faults(database, connection, log.claims)
    yield from leases.faults(database, connection, site_id, public_key, log.leases)
    checkpoint = read_checkpoint(database, connection, site_id)
    if checkpoint.size != log.tree.size:
        yield f"it holds {log.tree.size} receipts, its checkpoint covers {checkpoint.size}"
    if checkpoint.root != log.tree.root():
        yield "its receipts are not those that its checkpoint covers"
    if not is_signed(public_key, checkpoint.body, checkpoint.signature):
        yield "its checkpoint is not signed by this site"
    if contradiction := anchor.contradiction(log.tree, site_id, public_key):
        yield contradiction
