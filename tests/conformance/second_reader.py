"""A second reader of the formats at rest, written from ``docs/internals/format.md`` alone.

It imports nothing of the program: where both read the same bytes alike, the document says enough.
Names of errors are those of ``docs/reference/errors.md``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PIECE = 1 << 20
Row = tuple[bytes, str, int, bytes]
"""A row of the keyring: id, kind, epoch, wrapped."""


class Rejected(Exception):
    """The bytes are not what a site writes."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def bind(*parts: str | bytes) -> bytes:
    """Parts, each after its length."""
    raw = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in raw)


def u64(number: int) -> bytes:
    """Eight bytes."""
    return number.to_bytes(8, "big")


def hkdf(secret: bytes, info: bytes) -> bytes:
    """A derived key."""
    return HKDF(SHA256(), 32, None, info).derive(secret)


def opened(key: bytes, sealed: bytes, aad: bytes, code: str) -> bytes:
    """``nonce | AES-GCM`` in the clear."""
    try:
        return AESGCM(key).decrypt(sealed[:12], sealed[12:], aad)
    except (InvalidTag, ValueError):
        raise Rejected(code) from None


# --- keyring ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Key:
    """A tenant's or a subject's key; of a destroyed one the id alone."""

    kind: int
    id: bytes
    key: bytes
    tenant: str
    subject: str


@dataclass(frozen=True)
class Keys:
    """An opened keyring."""

    epoch: int
    secrets: dict[str, bytes]
    keys: dict[bytes, Key]


TENANT, SUBJECT, DESTROYED = 1, 2, 3


def keyring_file(path: Path) -> list[Row]:
    """The rows of ``keys/keyring.db``."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
        return list(database.execute("SELECT id, kind, epoch, wrapped FROM keys"))


def read_keyring(rows: Sequence[Row], site_id: str, root_key: bytes) -> Keys:
    """Open a keyring with a root key of kind ``file``."""
    damaged = "keyring-damaged"
    heads = [row for row in rows if row[1] == "epoch"]
    if not rows:
        raise Rejected("keyring-missing")
    if len(heads) != 1:
        raise Rejected(damaged)
    row_id, _, number, wrapped = heads[0]
    content, checksum = wrapped[:-32], wrapped[-32:]
    if hashlib.sha256(bind(row_id, u64(number), content)).digest() != checksum:
        raise Rejected(damaged)
    end = 2 + int.from_bytes(content[:2], "big")
    header = content[2:end]
    if _format(header) != 2:
        raise Rejected("keyring-format")
    epoch_key = opened(
        root_key, content[end:], _context(site_id, heads[0]) + header, "root-key-wrong"
    )
    secrets: list[dict[str, bytes]] = []
    keys: dict[bytes, Key] = {}
    names: set[tuple[int, str, str]] = set()
    for row in rows:
        if row[1] == "epoch":
            continue
        padded = opened(epoch_key, row[3], _context(site_id, row), damaged)
        plain = padded[4 : 4 + int.from_bytes(padded[:4], "big")]
        if row[1] == "secrets":
            told = json.loads(plain)["secrets"]
            secrets.append({name: bytes.fromhex(value) for name, (value, _) in told.items()})
        elif row[1] == "keys":
            for key in _pack(plain, damaged):
                name = (key.kind, key.tenant, key.subject)
                if key.id in keys or (key.kind != DESTROYED and name in names):
                    raise Rejected(damaged)
                keys[key.id] = key
                names.add(name)
        elif row[1] != "root":
            raise Rejected(damaged)
    if len(secrets) != 1 or "table" not in secrets[0]:
        raise Rejected(damaged)
    return Keys(number, secrets[0], keys)


def _format(header: bytes) -> object:
    try:
        return json.loads(header)["format"]
    except (ValueError, KeyError, TypeError):
        return None


def _context(site_id: str, row: Row) -> bytes:
    return bind("memory-fabric/keyring/2", site_id, row[1], row[0], u64(row[2]))


def _pack(pack: bytes, damaged: str) -> list[Key]:
    count = int.from_bytes(pack[:4], "big")
    if len(pack) < 4 + 65 * count or any(kind not in (1, 2, 3) for kind in pack[4 : 4 + count]):
        raise Rejected(damaged)
    kinds, at = pack[4 : 4 + count], 4 + count
    ids, at = [pack[at + 16 * n : at + 16 * n + 16] for n in range(count)], at + 16 * count
    keys, at = [pack[at + 32 * n : at + 32 * n + 32] for n in range(count)], at + 32 * count
    at += 8 * count  # tags
    ends = [int.from_bytes(pack[at + 8 * n : at + 8 * n + 8], "big") for n in range(count)]
    at += 8 * count
    found, start = [], 0
    for kind, key_id, key, end in zip(kinds, ids, keys, ends, strict=True):
        tenant, subject = _name(pack[at + start : at + end])
        found.append(Key(kind, key_id, key, tenant, subject))
        start = end
    return found


def _name(name: bytes) -> tuple[str, str]:
    if not name:
        return "", ""
    size = int.from_bytes(name[:4], "big")
    return name[4 : 4 + size].decode(), name[8 + size :].decode()


# --- records ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Record:
    """One row of the table ``memories``."""

    rid: bytes
    version: int
    epoch: int
    blob: bytes


def read_record(
    keys: Keys, site_id: str, table: str, record: Record
) -> tuple[Any, bytes, int] | None:
    """The memory as JSON, its vector, the log's size then; ``None``: an erasure closed it."""
    damaged = "record-damaged"
    blob = record.blob
    if len(blob) < 2 or blob[0] != 2 or blob[1] not in (4, 16, 64):
        raise Rejected(damaged)
    slots = blob[1]
    if record.version < 0 or record.epoch < 0 or len(record.rid) != 16:
        raise Rejected(damaged)
    place = bind("memory-fabric/record", bytes([2]), site_id, table)
    place += record.rid + u64(record.version) + u64(record.epoch)
    table_key = keys.secrets["table"]
    end = 2 + 12 + 1 + 16 + 8 + 16 * slots + 16
    header = opened(table_key, blob[2:end], place + blob[:2], damaged)
    count, marker, ids = header[0], header[1:17], header[25:]
    if not 1 <= count <= slots:
        raise Rejected(damaged)
    needed = [ids[16 * n : 16 * n + 16] for n in range(count)]
    if any(key_id not in keys.keys for key_id in needed):
        raise Rejected("keyring-damaged")
    held = [keys.keys[key_id] for key_id in needed]
    if any(key.kind == DESTROYED for key in held):
        return None
    tenant = held[0].tenant
    marker_key = hkdf(table_key, bind("memory-fabric/tenant-marker/1"))
    if hmac.digest(marker_key, tenant.encode(), "sha256")[:16] != marker:
        raise Rejected(damaged)
    info = bind("memory-fabric/body", bytes([2]), site_id, table)
    body_key = hkdf(b"".join(key.key for key in held), info)
    body = opened(body_key, blob[end:], place + blob[:end] + tenant.encode(), damaged)
    size = int.from_bytes(body[:4], "big")
    try:
        memory = json.loads(body[4 + size :])
    except ValueError:
        raise Rejected(damaged) from None
    return memory, body[4 : 4 + size], int.from_bytes(header[17:25], "big")


# --- snapshots ----------------------------------------------------------------------------------


def read_snapshot(
    site_id: str, snapshot: bytes, key: bytes, manifest: bytes, chunks: bytes
) -> tuple[Any, dict[str, bytes]]:
    """The manifest and the parts of a snapshot whose key stands in the keyring under its id."""
    damaged = "snapshot-damaged"
    if manifest[:4] != b"MFS1" or manifest[4:20] != snapshot:
        raise Rejected(damaged)
    aad = bind("memory-fabric/snapshot-manifest/1", site_id, snapshot)
    told = json.loads(opened(key, b"\xff" * 12 + manifest[20:], aad, damaged))
    parts: dict[str, bytes] = {}
    number = at = 0
    for name, length in told["parts"]:
        pieces = -(-length // PIECE)
        plain = b""
        for index in range(pieces):
            last = index == pieces - 1
            size = (length - index * PIECE if last else PIECE) + 16
            aad = bind(
                "memory-fabric/snapshot/1", site_id, snapshot, name, u64(index), bytes([last])
            )
            nonce = number.to_bytes(12, "big")
            plain += opened(key, nonce + chunks[at : at + size], aad, damaged)
            number, at = number + 1, at + size
        parts[name] = plain
    if at != len(chunks):
        raise Rejected(damaged)
    return told, parts
