"""Root keys: a file that only its owner can read."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memory_fabric.adapters.files import sync
from memory_fabric.core.errors import HomeError

_KEY_BYTES = 32
_NONCE_BYTES = 12


class FileKeyProvider:
    """Port ``KeyProvider`` over 32 random bytes in a file of mode 0600.

    Raises:
        HomeError: ``root-key-missing``, ``root-key-readable`` (by group or others),
            ``root-key-wrong`` (it is not a root key).
    """

    def __init__(self, path: Path) -> None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            raise HomeError(
                "root-key-missing",
                f"The root key {path} cannot be read.",
                "Bring it back: without it the home cannot be opened.",
            ) from None
        with os.fdopen(descriptor, "rb") as file:
            if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
                raise HomeError(
                    "root-key-readable",
                    f"Others than its owner can read the root key {path}.",
                    f"Run `chmod 600 {path}`, and ask who may have read it.",
                )
            key = file.read(_KEY_BYTES + 1)
        if len(key) != _KEY_BYTES:
            raise _wrong()
        self._cipher = AESGCM(key)

    @classmethod
    def create(cls, path: Path) -> FileKeyProvider:
        """A new root key, durable before this returns.

        Raises:
            HomeError: ``root-key-exists``.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            descriptor = os.open(path, flags, 0o600)
        except FileExistsError:
            raise HomeError(
                "root-key-exists",
                f"There is a root key {path} already.",
                "Keep it: whatever it wraps can be opened with nothing else.",
            ) from None
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_KEY_BYTES))
            file.flush()
            os.fsync(descriptor)
        sync(path.parent)
        return cls(path)

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Seal a key, bound to ``context``."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, key, context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The inverse.

        Raises:
            HomeError: ``root-key-wrong``.
        """
        try:
            return self._cipher.decrypt(wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            raise _wrong() from None


def _wrong() -> HomeError:
    return HomeError(
        "root-key-wrong",
        "The root key does not open this home's keyring.",
        "Bring the root key that belongs to this home.",
    )
