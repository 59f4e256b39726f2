"""The log of receipts as it stands in the database, read against its own hashes."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from memory_fabric.adapters.ledger.anchor import Anchor
from memory_fabric.adapters.ledger.database import Database
from memory_fabric.adapters.ledger.index import Entry, entries
from memory_fabric.adapters.ledger.tables import CHECKPOINT, META, RECEIPT, SCHEMA_VERSION
from memory_fabric.adapters.signatures import is_signed
from memory_fabric.core.errors import HomeError
from memory_fabric.core.ledger_ports import APP_REMOVED
from memory_fabric.core.merkle import EMPTY_ROOT, Tree, leaf_hash
from memory_fabric.core.receipt import Checkpoint, log_origin

SIGNED = (CHECKPOINT.c.size, CHECKPOINT.c.root, CHECKPOINT.c.signature)
"""Columns of the newest checkpoint."""


@dataclass
class Log:
    """What reading every receipt gave.

    Attributes:
        tree: over the leaves recomputed from the receipts' bytes.
        claims: index and ``records_root`` of each receipt that wrote or removed records.
        leases: the newest digest of each lease that a receipt names.
        removed_apps: key ids of apps that a receipt says were removed.
        faults: what is wrong with single receipts.
    """

    tree: Tree = field(default_factory=Tree)
    claims: dict[int, str] = field(default_factory=dict)
    leases: dict[str, str] = field(default_factory=dict)
    removed_apps: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)


def read_log(database: Database, connection: Connection, first: int = 0) -> Log:
    """Read every receipt from the ``first`` on, recompute its leaf, and compare what the index
    says of it.
    """
    indexed = entries(database, connection, first)
    log = Log()
    columns = (
        RECEIPT.c.leaf, RECEIPT.c.body, RECEIPT.c.leaf_hash, RECEIPT.c.id,
        RECEIPT.c.act, RECEIPT.c.outcome, RECEIPT.c.at,
    )  # fmt: skip
    expected = first
    query = select(*columns).where(RECEIPT.c.leaf >= first).order_by(RECEIPT.c.leaf)
    for row in database.rows(connection, query):
        if row.leaf != expected:
            log.faults.append(f"receipt {expected} is missing")
        expected = row.leaf + 1
        body = row.body.encode()
        leaf = leaf_hash(body)
        log.tree.append(leaf)
        receipt = parse(body)
        if leaf != row.leaf_hash or receipt is None:
            log.faults.append(f"receipt {row.leaf} was edited")
            continue
        entry = indexed.pop(row.leaf, None)
        if any(
            receipt.get(name) != row._mapping[name] for name in ("id", "act", "outcome", "at")
        ) or (entry and entry != Entry.of(receipt)):
            log.faults.append(f"the entry of receipt {row.leaf} was edited")
        claim = receipt.get("records_root")
        if claim not in (None, EMPTY_ROOT.hex()):
            log.claims[row.leaf] = claim
        log.leases |= receipt.get("facts", {}).get("leases", {})
        if row.act == APP_REMOVED:
            log.removed_apps.add(receipt.get("request", {}).get("app", {}).get("key_id", ""))
    log.faults += [f"its index has an entry of receipt {leaf}" for leaf in sorted(indexed)[:1]]
    return log


def read_checkpoint(database: Database, connection: Connection, site_id: str) -> Checkpoint:
    """The newest checkpoint, signature unchecked.

    Raises:
        IntegrityViolated: ``ledger-damaged``: there is not exactly one.
    """
    stored = database.only(connection, SIGNED)
    if stored is None:
        raise database.damaged("its signed checkpoint is missing.")
    return Checkpoint(log_origin(site_id), *stored)


def load_log(
    database: Database, anchor: Anchor, site_id: str, public_key: bytes
) -> tuple[Tree, Checkpoint]:
    """The tree over the stored leaf hashes, once it is what the site signed last.

    Raises:
        HomeError: ``home-foreign``, ``ledger-too-new``, ``home-too-old``.
        IntegrityViolated: ``ledger-damaged``, ``ledger-rolled-back``, ``ledger-anchor-damaged``.
        Unavailable: ``ledger-unreadable``.
    """
    with database.reading() as connection:
        check_owner(database, connection, site_id)
        checkpoint = read_checkpoint(database, connection, site_id)
        leaves = select(RECEIPT.c.leaf_hash).order_by(RECEIPT.c.leaf)
        tree = Tree(row[0] for row in database.rows(connection, leaves))
    if not is_signed(public_key, checkpoint.body, checkpoint.signature):
        raise database.damaged("its checkpoint is not signed by this site.")
    if (tree.size, tree.root()) != (checkpoint.size, checkpoint.root):
        raise database.damaged("its receipts are not those that its checkpoint covers.")
    if contradiction := anchor.contradiction(tree, site_id, public_key):
        raise database.rolled_back(contradiction)
    return tree, checkpoint


def check_owner(database: Database, connection: Connection, site_id: str) -> None:
    """That this is the site's own ledger, in a format that is known here.

    Raises:
        HomeError: ``home-foreign``, ``ledger-too-new``, ``home-too-old``.
        IntegrityViolated: ``ledger-damaged``: it does not say.
    """
    found = list(database.rows(connection, select(META.c.site_id, META.c.schema_version)))
    if len(found) != 1:
        raise database.damaged("it does not say whose it is.")
    if found[0].site_id != site_id:
        raise HomeError(
            "home-foreign",
            f"The ledger {database.name} belongs to another site.",
            "Bring this site's own ledger back, or open that site's home.",
        )
    if found[0].schema_version > SCHEMA_VERSION:
        raise HomeError(
            "ledger-too-new",
            f"The ledger {database.name} was written by a newer version.",
            "Update Memory Fabric.",
        )
    if found[0].schema_version < SCHEMA_VERSION:
        raise HomeError(
            "home-too-old",
            "The home was made by an older version, whose sealed records this one does not read.",
            "Create a new home, and import what the older version exports.",
        )


def parse(body: bytes) -> dict[str, Any] | None:
    """A receipt's JSON object, or ``None`` where the bytes hold none."""
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
