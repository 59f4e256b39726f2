"""Apps: who holds which API key, each record signed by the site."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Set
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, or_, select

from memory_fabric.adapters.ledger.database import Database
from memory_fabric.adapters.ledger.tables import APP
from memory_fabric.adapters.signatures import is_signed
from memory_fabric.core.access import Requester, Role
from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import InputError
from memory_fabric.core.ledger_ports import App

_COLUMNS = (APP.c.name, APP.c.key_id, APP.c.body, APP.c.signature)


def add(connection: Connection, app: App, site_id: str, sign: Callable[[bytes], bytes]) -> None:
    """Store an app.

    Raises:
        InputError: ``app-exists``.
    """
    same = or_(APP.c.name == app.name, APP.c.key_id == app.key_id)
    if connection.execute(select(APP.c.name).where(same)).first():
        raise InputError(
            "app-exists",
            f"There is an app {app.name!r} or its key id already.",
            "Choose another name.",
        )
    body = canonical(_to_json(app))
    connection.execute(
        insert(APP).values(
            name=app.name,
            key_id=app.key_id,
            body=body.decode(),
            signature=sign(_signed_bytes(site_id, body)),
        )
    )


def remove(connection: Connection, name: str) -> None:
    """Forget an app."""
    connection.execute(delete(APP).where(APP.c.name == name))


def read(
    database: Database,
    connection: Connection,
    site_id: str,
    public_key: bytes,
    key_id: str | None = None,
) -> Iterator[App]:
    """Apps by name; with ``key_id`` only that one.

    Raises:
        IntegrityViolated: ``ledger-damaged``: one is not as the site wrote it.
    """
    query = select(*_COLUMNS).order_by(APP.c.name)
    if key_id is not None:
        query = query.where(APP.c.key_id == key_id)
    for row in database.rows(connection, query):
        app = _from_row(row, site_id, public_key)
        if app is None:
            raise database.damaged("an app's grant was edited.")
        yield app


def faults(
    database: Database, connection: Connection, site_id: str, public_key: bytes, removed: Set[str]
) -> Iterator[str]:
    """Apps that are not as the site wrote them, and those that are back.

    Args:
        removed: key ids of apps that a receipt says were removed.
    """
    for row in database.rows(connection, select(*_COLUMNS)):
        if _from_row(row, site_id, public_key) is None:
            yield "an app's grant was edited"
        elif row.key_id in removed:
            yield "an app that was removed is back"


def _from_row(row: Row[Any], site_id: str, public_key: bytes) -> App | None:
    """The app, or ``None`` where the row is not what the site signed."""
    body = row.body.encode()
    if not is_signed(public_key, _signed_bytes(site_id, body), row.signature):
        return None
    app = _from_json(json.loads(body))
    return app if (app.name, app.key_id) == (row.name, row.key_id) else None


def _signed_bytes(site_id: str, body: bytes) -> bytes:
    # Cannot be mistaken for a checkpoint, which begins with the log's origin.
    return f"memory-fabric-app/{site_id}\n".encode() + body


def _to_json(app: App) -> dict[str, Any]:
    requester = app.requester
    return {
        "name": app.name,
        "key_id": app.key_id,
        "key_hash": app.key_hash,
        "requester": {
            "name": requester.name,
            "tenant": requester.tenant,
            "role": str(requester.role),
            "purposes": sorted(requester.purposes),
            "all_subjects": requester.all_subjects,
        },
        "created_at": app.created_at.isoformat(),
    }


def _from_json(value: dict[str, Any]) -> App:
    requester = value["requester"]
    return App(
        name=value["name"],
        key_id=value["key_id"],
        key_hash=value["key_hash"],
        requester=Requester(
            name=requester["name"],
            tenant=requester["tenant"],
            role=Role(requester["role"]),
            purposes=frozenset(requester["purposes"]),
            all_subjects=requester["all_subjects"],
        ),
        created_at=datetime.fromisoformat(value["created_at"]),
    )
