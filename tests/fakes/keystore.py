"""A key store and root keys in memory, as plain as their ports."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memory_fabric.core.errors import HomeError, InputError
from memory_fabric.core.key_ports import RootKey, WrappedKey

ROOT = RootKey("memory", "00" * 8, datetime(2026, 3, 1, tzinfo=UTC))


class MemoryKeyStore:
    """Port ``KeyStore``; ``changes`` counts durable writes."""

    def __init__(self) -> None:
        self.entries: dict[bytes, WrappedKey] = {}
        self.changes = 0

    def load(self) -> list[WrappedKey]:
        return list(self.entries.values())

    def change(self, add: Sequence[WrappedKey], remove: Sequence[bytes] = ()) -> None:
        self.changes += 1
        kept = {key: entry for key, entry in self.entries.items() if key not in set(remove)}
        self.entries = kept | {row.id: row for row in add}

    def replace(self, rows: Iterable[WrappedKey]) -> None:
        self.entries = {row.id: row for row in rows}


class MemoryKeyProvider:
    """Port ``KeyProvider`` with a root key that nobody keeps."""

    def __init__(self) -> None:
        self._cipher = AESGCM(secrets.token_bytes(32))

    def wrap(self, key: bytes, context: bytes) -> bytes:
        nonce = secrets.token_bytes(12)
        return nonce + self._cipher.encrypt(nonce, key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            return self._cipher.decrypt(wrapped[:12], wrapped[12:], context)
        except (InvalidTag, ValueError):
            raise HomeError("root-key-wrong", "Another root key.") from None


class MemoryRootKeys:
    """Port ``RootKeys``, with ``ROOT`` made."""

    def __init__(self) -> None:
        self.made: dict[str, MemoryKeyProvider] = {ROOT.id: MemoryKeyProvider()}

    def check(self, root: RootKey) -> None:
        if root.provider != ROOT.provider:
            raise InputError("key-provider-unknown", "There is no such kind.")

    def create(self, root: RootKey, passphrase: str | None = None) -> None:
        if root.id in self.made:
            raise HomeError("root-key-exists", "There is such a root key.")
        self.made[root.id] = MemoryKeyProvider()

    def open(self, root: RootKey, passphrase: str | None = None) -> MemoryKeyProvider:
        if root.id not in self.made:
            raise HomeError("root-key-missing", "There is no such root key.")
        return self.made[root.id]

    def closes_copies(self, root: RootKey) -> bool:
        return False

    def destroy(self, root: RootKey) -> None:
        self.made.pop(root.id, None)
