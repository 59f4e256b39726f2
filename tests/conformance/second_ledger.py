"""A second reader of a site's ledger, written from ``docs/internals/format.md`` alone.

It imports nothing of the program, as ``second_reader`` does not. ``read_ledger`` checks everything
that a ledger says against hashes and signatures; ``standing`` says which records count.
"""

from __future__ import annotations

import base64
import hashlib
import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from tests.conformance.second_reader import Record, Rejected, u64

DAMAGED, ROLLED_BACK, ANCHOR = "ledger-damaged", "ledger-rolled-back", "ledger-anchor-damaged"
COLUMNS: Mapping[str, Mapping[str, type | tuple[type, ...]]] = {
    "meta": {"site_id": str, "schema_version": int},
    "receipt": {
        "leaf": int, "id": str, "body": str, "leaf_hash": bytes, "act": str, "outcome": str,
        "at": str,
    },
    "checkpoint": {"size": int, "root": bytes, "signature": bytes, "stack_version": int},
    "catalog": {
        "rid": bytes, "version": int, "digest": bytes, "written_at": int,
        "removed_at": (int, type(None)),
    },
    "app": {"name": str, "key_id": str, "body": str, "signature": bytes},
    "lease": {
        "number": int, "id": str, "origin": str, "destination": str, "body": str,
        "signature": bytes,
    },
}  # fmt: skip
Row = dict[str, Any]


@dataclass(frozen=True)
class Ledger:
    """A ledger that is as its site wrote it.

    Attributes:
        receipts: in the order of the log.
        live: version and digest of each record that stands.
        apps, leases: by name and id.
    """

    receipts: Sequence[Row]
    live: Mapping[bytes, tuple[int, bytes]]
    apps: Mapping[str, Row]
    leases: Mapping[str, Row]
    stack_version: int


def read_ledger(file: Path, anchor: Path, site_id: str, signing_seed: bytes) -> Ledger:
    """Read everything, anchor included; ``Rejected`` where anything is not as it was written."""
    public = Ed25519PrivateKey.from_private_bytes(signing_seed).public_key()
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
        try:
            tables = {name: list(_rows(database, name)) for name in COLUMNS}
        except sqlite3.DatabaseError:
            raise Rejected(DAMAGED) from None
    _check_owner(tables["meta"], site_id)
    leaves, receipts = _log(tables["receipt"])
    if len(tables["checkpoint"]) != 1:
        raise Rejected(DAMAGED)
    checkpoint = tables["checkpoint"][0]
    if (len(leaves), root_of(leaves)) != (checkpoint["size"], checkpoint["root"]):
        raise Rejected(DAMAGED)
    if not _signed(public, _note(site_id, checkpoint), checkpoint["signature"]):
        raise Rejected(DAMAGED)
    _check_anchor(anchor, site_id, public, leaves)
    live = _catalog(tables["catalog"], receipts)
    apps = {row["name"]: _signed_body(row, "app", site_id, public) for row in tables["app"]}
    removed = {
        receipt["request"]["app"]["key_id"]
        for receipt in receipts
        if receipt["act"] == "app-removed"
    }
    if removed & {app["key_id"] for app in apps.values()}:
        raise Rejected(DAMAGED)
    leases = {row["id"]: _signed_body(row, "lease", site_id, public) for row in tables["lease"]}
    named: dict[str, str] = {}
    for receipt in receipts:
        named |= receipt["facts"].get("leases", {})
    if named != {row["id"]: _sha(row["body"].encode()).hex() for row in tables["lease"]}:
        raise Rejected(DAMAGED)
    return Ledger(receipts, live, apps, leases, checkpoint["stack_version"])


def standing(ledger: Ledger, stack: Sequence[Record]) -> list[Record]:
    """Those rows of the stack that the catalog names; ``Rejected`` where one is missing."""
    held = {(row.rid, row.version): row for row in stack}
    found = []
    for rid, (version, digest) in ledger.live.items():
        record = held.get((rid, version))
        if record is None or _sha(_bytes(record)) != digest:
            raise Rejected("record-damaged")
        found.append(record)
    return found


def root_of(leaves: Sequence[bytes]) -> bytes:
    """Root of a tree (RFC 9162, 2.1.1) over leaf hashes."""
    if not leaves:
        return _sha(b"")
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return _sha(b"\x01" + root_of(leaves[:split]) + root_of(leaves[split:]))


def digest(value: object) -> str:
    """Of a JSON value."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return _sha(text.encode()).hex()


def _sha(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _bytes(record: Record) -> bytes:
    return record.rid + u64(record.version) + u64(record.epoch) + record.blob


def _rows(database: sqlite3.Connection, table: str) -> Iterator[Row]:
    columns = COLUMNS[table]
    for row in database.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1, 2"):  # noqa: S608
        if not all(
            isinstance(value, kind) for value, kind in zip(row, columns.values(), strict=True)
        ):
            raise Rejected(DAMAGED)
        yield dict(zip(columns, row, strict=True))


def _check_owner(meta: Sequence[Row], site_id: str) -> None:
    if len(meta) != 1:
        raise Rejected(DAMAGED)
    if meta[0]["site_id"] != site_id:
        raise Rejected("home-foreign")
    if meta[0]["schema_version"] != 2:
        raise Rejected("ledger-too-new" if meta[0]["schema_version"] > 2 else "home-too-old")


def _log(rows: Sequence[Row]) -> tuple[list[bytes], list[Row]]:
    leaves, receipts = [], []
    for place, row in enumerate(rows):
        leaf = _sha(b"\0" + row["body"].encode())
        try:
            receipt = json.loads(row["body"])
            repeated = all(receipt[name] == row[name] for name in ("id", "act", "outcome", "at"))
        except (ValueError, KeyError, TypeError):
            raise Rejected(DAMAGED) from None
        if (row["leaf"], row["leaf_hash"]) != (place, leaf) or not repeated:
            raise Rejected(DAMAGED)
        leaves.append(leaf)
        receipts.append(receipt)
    return leaves, receipts


def _note(site_id: str, checkpoint: Mapping[str, Any]) -> bytes:
    root = base64.b64encode(checkpoint["root"]).decode()
    return f"memory-fabric/{site_id}\n{checkpoint['size']}\n{root}\n".encode()


def _check_anchor(
    file: Path, site_id: str, public: Ed25519PublicKey, leaves: Sequence[bytes]
) -> None:
    try:
        content = file.read_bytes().strip(b"\0")
        if not content:
            return
        told = json.loads(content)
        size, root = told["size"], bytes.fromhex(told["root"])
        signature, origin = bytes.fromhex(told["signature"]), told["origin"]
    except (OSError, ValueError, KeyError, TypeError):
        raise Rejected(ANCHOR) from None
    note = _note(site_id, {"size": size, "root": root})
    if origin != f"memory-fabric/{site_id}" or not _signed(public, note, signature):
        raise Rejected(ANCHOR)
    if size > len(leaves) or root_of(leaves[:size]) != root:
        raise Rejected(ROLLED_BACK)


def _catalog(rows: Sequence[Row], receipts: Sequence[Row]) -> dict[bytes, tuple[int, bytes]]:
    of_receipt: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
    newest: dict[bytes, Row] = {}
    for row in rows:  # by rid and version
        if row["version"] < 1 or len(row["rid"]) != 16:
            raise Rejected(DAMAGED)
        place = row["rid"] + u64(row["version"])
        leaf = _sha(b"\0" + place + row["digest"])
        of_receipt[row["written_at"]].append((place, leaf))
        if row["removed_at"] is not None:
            of_receipt[row["removed_at"]].append((place, leaf))
            if row["removed_at"] <= row["written_at"]:
                raise Rejected(DAMAGED)
        newest[row["rid"]] = row
    nothing = _sha(b"").hex()
    claimed = {
        index: receipt["records_root"]
        for index, receipt in enumerate(receipts)
        if receipt["records_root"] not in (None, nothing)
    }
    found = {
        index: root_of([leaf for _, leaf in sorted(leaves)]).hex()
        for index, leaves in of_receipt.items()
    }
    if claimed != found:
        raise Rejected(DAMAGED)
    return {
        rid: (row["version"], row["digest"])
        for rid, row in newest.items()
        if row["removed_at"] is None
    }


def _signed_body(row: Row, what: str, site_id: str, public: Ed25519PublicKey) -> Row:
    message = f"memory-fabric-{what}/{site_id}\n{row['body']}".encode()
    if not _signed(public, message, row["signature"]):
        raise Rejected(DAMAGED)
    body: Row = json.loads(row["body"])
    repeated = ("name", "key_id") if what == "app" else ("id", "origin", "destination")
    if any(body[name] != row[name] for name in repeated):
        raise Rejected(DAMAGED)
    return body


def _signed(public: Ed25519PublicKey, message: bytes, signature: bytes) -> bool:
    try:
        public.verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True
