"""What every seal is bound to: unambiguous bytes, so that a seal opens in its own place only."""

from __future__ import annotations

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
"""Length of every symmetric key: AES-256, HMAC-SHA256."""
NONCE_BYTES = 12
"""Length of an AES-GCM nonce: always random."""
TAG_BYTES = 16
"""What AES-GCM adds to a plaintext."""

_SHA256 = SHA256()


def bind(*parts: str | bytes) -> bytes:
    """The parts, each with its length before it (4 bytes, big-endian): no two lists are alike."""
    raw = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in raw)


def u64(number: int) -> bytes:
    """A number in 8 bytes, big-endian."""
    return number.to_bytes(8, "big")


def derive(secret: bytes, info: bytes) -> bytes:
    """A key for one purpose: HKDF-SHA256 (RFC 5869) without salt, 32 bytes."""
    return HKDF(_SHA256, KEY_BYTES, None, info).derive(secret)
