"""A key store and a root key in memory, as plain as their ports."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memory_fabric.core.errors import HomeError
from memory_fabric.core.ports import WrappedKey


class MemoryKeyStore:
    """Port ``KeyStore``; ``puts`` counts durable writes."""

    def __init__(self) -> None:
        self.entries: dict[bytes, WrappedKey] = {}
        self.puts = 0

    def load(self) -> list[WrappedKey]:
        return list(self.entries.values())

    def put(self, keys: Sequence[WrappedKey]) -> None:
        self.puts += 1
        self.entries |= {key.id: key for key in keys}

    def destroy(self, ids: Sequence[bytes]) -> None:
        for key_id in ids:
            self.entries.pop(key_id, None)

    def replace(self, keys: Sequence[WrappedKey]) -> None:
        self.entries = {key.id: key for key in keys}


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
        except InvalidTag:
            raise HomeError("root-key-wrong", "Another root key.") from None
