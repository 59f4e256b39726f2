"""Wrapping under 32 bytes that this process holds: ``nonce | AES-256-GCM``."""

from __future__ import annotations

import secrets

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memory_fabric.adapters.rootkeys.files import wrong

KEY_BYTES = 32
"""Length of such a key."""
NONCE_BYTES = 12
"""Length of its nonces: random."""


class HeldRootKey:
    """Port ``KeyProvider`` over a key of 32 bytes."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Seal a key, bound to ``context``."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The inverse.

        Raises:
            HomeError: ``root-key-wrong``.
        """
        try:
            return self._cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise wrong() from None
