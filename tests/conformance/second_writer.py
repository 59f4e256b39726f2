"""A second writer of the formats at rest, from ``docs/internals/format.md`` alone.

Each thing that can be wrong is a field, so that a vector differs from a right one in one of them.
What would be random is a hash of what it is for: the same bytes come out each time.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tests.conformance.second_reader import (
    DESTROYED,
    PIECE,
    SUBJECT,
    TENANT,
    Key,
    Record,
    Row,
    bind,
    hkdf,
    u64,
)

SITE, TABLE, AT = "fra-1", "memories", "2026-11-25T12:00:00+00:00"

Json = dict[str, Any]


def canonical(value: object) -> bytes:
    """Canonical JSON."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def drawn(size: int, *of: str | bytes) -> bytes:
    """What would be random, made from what it is for: the same at each run."""
    return hashlib.shake_256(bind("vectors", *of)).digest(size)


def sealed(key: bytes, plain: bytes, aad: bytes) -> bytes:
    """``nonce | AES-GCM``."""
    nonce = drawn(12, key, plain, aad)
    return nonce + AESGCM(key).encrypt(nonce, plain, aad)


def flipped(content: bytes, at: int) -> bytes:
    """One bit is another."""
    changed = bytearray(content)
    changed[at] ^= 1 << at % 8
    return bytes(changed)


def error(code: str) -> Json:
    """What a reader must answer."""
    return {"error": code}


# --- keyrings -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Ring:
    """All that goes into a keyring, and each thing that can be wrong about it."""

    site: str = SITE
    root_key: bytes = bytes(32)
    epoch: int = 3
    epoch_id: bytes = b"E" * 16
    epoch_key: bytes = bytes(32)
    secrets: Any = None
    packs: tuple[tuple[Key, ...], ...] = ()
    format: object = 2

    def context(self, row_id: bytes, kind: str) -> bytes:
        """What a row is bound to."""
        return bind("memory-fabric/keyring/2", self.site, kind, row_id, u64(self.epoch))

    def head(self) -> Row:
        """The epoch key's row."""
        told = {"format": self.format, "made_at": AT, "provider": "file", "root": "00" * 8}
        header = canonical({**told, "root_made_at": AT})
        wrapped = sealed(
            self.root_key, self.epoch_key, self.context(self.epoch_id, "epoch") + header
        )
        content = len(header).to_bytes(2, "big") + header + wrapped
        return self.summed(content)

    def summed(self, content: bytes) -> Row:
        """The epoch key's row with its checksum."""
        checksum = hashlib.sha256(bind(self.epoch_id, u64(self.epoch), content)).digest()
        return self.epoch_id, "epoch", self.epoch, content + checksum

    def row(self, kind: str, plain: bytes, salt: str = "") -> Row:
        """Any other row."""
        row_id = drawn(16, salt, kind, plain)
        content = len(plain).to_bytes(4, "big") + plain
        content += bytes(-len(content) % 256)
        wrapped = sealed(self.epoch_key, content, self.context(row_id, kind))
        return row_id, kind, self.epoch, wrapped

    def rows(self) -> list[Row]:
        """The keyring at rest."""
        secrets = self.row("secrets", canonical({"escrow": None, "secrets": self.secrets}))
        return [self.head(), secrets, *(self.row("keys", pack(keys)) for keys in self.packs)]


def pack(keys: tuple[Key, ...]) -> bytes:
    """Keys of tenants and subjects, many in a row."""
    gone = [key.kind == DESTROYED for key in keys]
    names = [
        b"" if dead else bind(key.tenant, key.subject) for key, dead in zip(keys, gone, strict=True)
    ]
    ends = [sum(map(len, names[: at + 1])) for at in range(len(names))]
    tags = [
        bytes(8) if dead else hashlib.sha256(bytes([key.kind]) + name).digest()[:8]
        for key, name, dead in zip(keys, names, gone, strict=True)
    ]
    return b"".join(
        [
            len(keys).to_bytes(4, "big"),
            bytes(key.kind for key in keys),
            *(key.id for key in keys),
            *(bytes(32) if dead else key.key for key, dead in zip(keys, gone, strict=True)),
            *tags,
            *map(u64, ends),
            *names,
        ]
    )


def a_key(kind: int, tenant: str = "", subject: str = "") -> Key:
    """A key for a tenant or a subject."""
    of = bytes([kind]), tenant, subject
    return Key(kind, drawn(16, "id", *of), drawn(32, "key", *of), tenant, subject)


ADA, BELA, CLEO = (a_key(SUBJECT, "acme", name) for name in ("Ada", "Bela", "Cleo Ångström"))
ACME, OTHER = a_key(TENANT, "acme"), a_key(TENANT, "other")
GONE = a_key(DESTROYED)
MANY = tuple(a_key(SUBJECT, "acme", f"S{number}") for number in range(20))
SNAPSHOT, SNAPSHOT_KEY = drawn(16, "snapshot"), drawn(32, "snapshot key")
TABLE_KEY = drawn(32, "table key")
RING = Ring(
    root_key=drawn(32, "root key"),
    epoch_key=drawn(32, "epoch key"),
    secrets={
        "table": [TABLE_KEY.hex(), AT],
        "signing": [drawn(32, "signing").hex(), AT],
        f"snapshot/{SNAPSHOT.hex()}": [SNAPSHOT_KEY.hex(), AT],
    },
    packs=((ADA, BELA, ACME, GONE), (CLEO, OTHER, *MANY)),
)


# --- records ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sealing:
    """All that goes into a record, and each thing that can be wrong about it."""

    site: str = SITE
    table: str = TABLE
    rid: bytes = b"r" * 16
    version: int = 1
    epoch: int = 3
    format: int = 2
    slots: int = 4
    keys: tuple[Key, ...] = (ADA,)
    count: int | None = None
    ids: bytes | None = None
    marked: str | None = None
    """Tenant of the marker, where it is another than the key's."""
    body_keys: tuple[Key, ...] | None = None
    vector: bytes = b""
    vector_size: int | None = None
    text: bytes = b""
    log_size: int = 7

    def place(self) -> bytes:
        """What both seals are bound to."""
        place = bind("memory-fabric/record", bytes([self.format]), self.site, self.table)
        return place + self.rid + u64(self.version) + u64(self.epoch)

    def header(self) -> bytes:
        """All bytes before the body's nonce."""
        clear, place = bytes([self.format, self.slots]), self.place()
        keys = sorted(self.keys, key=lambda key: key.id)
        marker_key = hkdf(TABLE_KEY, bind("memory-fabric/tenant-marker/1"))
        tenant = self.marked or self.keys[0].tenant
        plain = bytes([len(keys) if self.count is None else self.count])
        plain += hmac.digest(marker_key, tenant.encode(), "sha256")[:16] + u64(self.log_size)
        plain += b"".join(key.id for key in keys) if self.ids is None else self.ids
        plain += bytes(25 + 16 * self.slots - len(plain))
        return clear + sealed(TABLE_KEY, plain, place + clear)

    def record(self, header: bytes | None = None) -> Record:
        """The record."""
        head = header or self.header()
        keys = self.body_keys or tuple(sorted(self.keys, key=lambda key: key.id))
        info = bind("memory-fabric/body", bytes([self.format]), self.site, self.table)
        key = hkdf(b"".join(key.key for key in keys), info)
        size = len(self.vector) if self.vector_size is None else self.vector_size
        body = size.to_bytes(4, "big") + self.vector + self.text
        aad = self.place() + head + self.keys[0].tenant.encode()
        return Record(self.rid, self.version, self.epoch, head + sealed(key, body, aad))


# --- snapshots ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frozen:
    """All that goes into a snapshot, and each thing that can be wrong about it."""

    site: str = SITE
    id: bytes = SNAPSHOT
    key: bytes = SNAPSHOT_KEY
    parts: tuple[tuple[str, bytes], ...] = ()
    lengths: tuple[tuple[str, int], ...] | None = None
    magic: bytes = b"MFS1"

    def pieces(self) -> list[bytes]:
        """Sealed chunks, in order."""
        sealed: list[bytes] = []
        for name, content in self.parts:
            starts = range(0, len(content), PIECE)
            for index, start in enumerate(starts):
                last = bytes([index == len(starts) - 1])
                sealed.append(
                    self.chunk(len(sealed), name, index, last, content[start : start + PIECE])
                )
        return sealed

    def chunk(self, number: int, part: str, index: int, last: bytes, piece: bytes) -> bytes:
        """One sealed chunk."""
        aad = bind("memory-fabric/snapshot/1", self.site, self.id, part, u64(index), last)
        return AESGCM(self.key).encrypt(number.to_bytes(12, "big"), piece, aad)

    def told(self) -> Json:
        """What the manifest says."""
        lengths = self.lengths or tuple((name, len(content)) for name, content in self.parts)
        return {
            "embedder": "test/4", "dim": 4, "epoch": 3, "size": 12, "root": "ab" * 32,
            "stack_version": 5, "rows": 2, "parts": [list(part) for part in lengths],
        }  # fmt: skip

    def manifest(self) -> bytes:
        """The sealed manifest."""
        aad = bind("memory-fabric/snapshot-manifest/1", self.site, self.id)
        body = AESGCM(self.key).encrypt(b"\xff" * 12, canonical(self.told()), aad)
        return self.magic + self.id + body
