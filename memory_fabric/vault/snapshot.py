"""A sealed snapshot of the searchable copy: chunks under a key of its own, and a manifest.

    chunks   = each part in pieces of 1 MiB, its last one shorter, each AES-256-GCM
    manifest = magic (4) | snapshot id (16) | AES-256-GCM(JSON)

The key seals one snapshot and nothing else, so nonces are counted and not drawn. The associated
data of a chunk names site, snapshot, part, place in the part and whether it is the part's last
(after STREAM: Hoang, Reyhanitabar, Rogaway, Vizar, CRYPTO 2015), the nonce its place in the
whole; the manifest tells how long each part is. So no chunk can be cut, moved, repeated or taken
from another snapshot. ``docs/internals/format.md`` has every byte.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.vault.binding import KEY_BYTES, NONCE_BYTES, TAG_BYTES, bind, u64

MAGIC = b"MFS1"
"""How a manifest begins: the version of the layout."""
CHUNK_BYTES = 1 << 20
"""Plaintext of a full chunk."""

ID_BYTES = 16
"""Length of a snapshot's id: random."""

_MANIFEST_NONCE = b"\xff" * NONCE_BYTES  # no chunk's: they are counted from zero

Part = tuple[str, bytes | bytearray | memoryview]
"""A part's name and its bytes."""


@dataclass(frozen=True, repr=False)
class SnapshotKey:
    """The key of one snapshot; its repr does not show it.

    Attributes:
        id: random, 16 bytes; the snapshot's.
        key: the secret bytes.
    """

    id: bytes
    key: bytes

    @classmethod
    def new(cls) -> SnapshotKey:
        """A fresh one."""
        return cls(secrets.token_bytes(ID_BYTES), secrets.token_bytes(KEY_BYTES))

    def __repr__(self) -> str:
        return f"SnapshotKey({self.id.hex()})"


@dataclass(frozen=True)
class Manifest:
    """What a snapshot is of.

    Attributes:
        embedder: id of the embedder that the vectors come from.
        dim: length of the vectors.
        epoch: of the keyring when it was taken.
        size: receipts in the site's log that it accounts for.
        root: the log's root at that size.
        stack_version: the stack's version then.
        rows: memories in it.
        parts: name and length in bytes of each part, in order.
    """

    embedder: str
    dim: int
    epoch: int
    size: int
    root: bytes
    stack_version: int
    rows: int
    parts: tuple[tuple[str, int], ...] = ()

    @property
    def sealed_bytes(self) -> int:
        """Length of all sealed chunks."""
        return sum(length + _chunks(length) * TAG_BYTES for _, length in self.parts)


def snapshot_id(manifest: bytes) -> bytes:
    """The id that a sealed manifest bears: it names the key and the chunks.

    Raises:
        IntegrityViolated: ``snapshot-damaged``.
    """
    if len(manifest) < len(MAGIC) + ID_BYTES + TAG_BYTES or not manifest.startswith(MAGIC):
        raise snapshot_damaged("manifest")
    return manifest[len(MAGIC) : len(MAGIC) + ID_BYTES]


class SnapshotSealer:
    """Seals or opens one snapshot of a site.

    Args:
        site_id: what it is bound to.
        key: of this snapshot alone.
    """

    def __init__(self, site_id: str, key: SnapshotKey) -> None:
        self._site_id = site_id
        self._id = key.id
        self._cipher = AESGCM(key.key)
        self._lengths: list[tuple[str, int]] = []

    def seal(self, parts: Iterable[Part]) -> Iterator[bytearray]:
        """Sealed chunks, in order. The next step may overwrite what this one gave. Used once."""
        if self._lengths:
            raise ValueError("a snapshot's key seals one snapshot")
        sealed, number = bytearray(CHUNK_BYTES + TAG_BYTES), 0
        for name, content in parts:
            view = memoryview(content).cast("B")
            self._lengths.append((name, len(view)))
            for index in range(_chunks(len(view))):
                plain = view[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
                if len(sealed) != len(plain) + TAG_BYTES:
                    sealed = bytearray(len(plain) + TAG_BYTES)
                bound = self._place(name, index, index + 1 == _chunks(len(view)))
                self._cipher.encrypt_into(_nonce(number), plain, bound, sealed)
                yield sealed
                number += 1

    @property
    def parts(self) -> tuple[tuple[str, int], ...]:
        """Name and length of what ``seal`` has taken, for the manifest."""
        return tuple(self._lengths)

    def seal_manifest(self, manifest: Manifest) -> bytes:
        """The manifest as it is written last. Used once."""
        plain = canonical(
            {
                "dim": manifest.dim,
                "embedder": manifest.embedder,
                "epoch": manifest.epoch,
                "parts": [list(part) for part in manifest.parts],
                "root": manifest.root.hex(),
                "rows": manifest.rows,
                "size": manifest.size,
                "stack_version": manifest.stack_version,
            }
        )
        return MAGIC + self._id + self._cipher.encrypt(_MANIFEST_NONCE, plain, self._manifest())

    def open_manifest(self, sealed: bytes) -> Manifest:
        """The inverse of ``seal_manifest``.

        Raises:
            IntegrityViolated: ``snapshot-damaged``.
        """
        if snapshot_id(sealed) != self._id:
            raise snapshot_damaged("manifest")
        body = sealed[len(MAGIC) + ID_BYTES :]
        try:
            value = json.loads(self._cipher.decrypt(_MANIFEST_NONCE, body, self._manifest()))
        except InvalidTag:
            raise snapshot_damaged("manifest") from None
        parts = tuple((name, length) for name, length in value.pop("parts"))
        return Manifest(**{**value, "root": bytes.fromhex(value["root"])}, parts=parts)

    def open(
        self, manifest: Manifest, read: Callable[[int], bytes]
    ) -> Iterator[tuple[str, bytearray]]:
        """The parts, each whole in memory of its own when it is given.

        Args:
            manifest: what ``open_manifest`` gave.
            read: the next so many bytes of the chunks; fewer at their end.

        Raises:
            IntegrityViolated: ``snapshot-damaged``: what is given before holds all the same.
        """
        number = 0
        for name, length in manifest.parts:
            plain = bytearray(length)
            view = memoryview(plain)
            for index in range(_chunks(length)):
                room = view[index * CHUNK_BYTES : (index + 1) * CHUNK_BYTES]
                bound = self._place(name, index, index + 1 == _chunks(length))
                try:
                    sealed = read(len(room) + TAG_BYTES)
                    self._cipher.decrypt_into(_nonce(number), sealed, bound, room)
                except (InvalidTag, ValueError):
                    raise snapshot_damaged(chunks_name(self._id)) from None
                number += 1
            yield name, plain
        if read(1):
            raise snapshot_damaged(chunks_name(self._id))

    def _place(self, part: str, index: int, last: bool) -> bytes:
        place = (part, u64(index), bytes((last,)))
        return bind("memory-fabric/snapshot/1", self._site_id, self._id, *place)

    def _manifest(self) -> bytes:
        return bind("memory-fabric/snapshot-manifest/1", self._site_id, self._id)


def chunks_name(snapshot: bytes) -> str:
    """Name of the file that holds a snapshot's chunks."""
    return f"{snapshot.hex()}.chunks"


def snapshot_damaged(file: str) -> IntegrityViolated:
    """``snapshot-damaged``, naming a file of the folder ``snapshot``."""
    return IntegrityViolated(
        "snapshot-damaged",
        "The snapshot of the searchable copy is not as it was written.",
        "Nothing is lost: the copy is rebuilt from the records. Find out who changed the file.",
        {"damaged": [f"snapshot/{file}"]},
    )


def _chunks(length: int) -> int:
    return -(-length // CHUNK_BYTES)


def _nonce(number: int) -> bytes:
    return number.to_bytes(NONCE_BYTES, "big")
