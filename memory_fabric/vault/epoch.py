"""The epoch key, which seals the rows of the keyring. Byte layout: ``docs/internals/format.md``."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import HomeError, IntegrityViolated
from memory_fabric.core.key_ports import KeyProvider, RootKey, WrappedKey
from memory_fabric.vault.binding import KEY_BYTES, NONCE_BYTES, bind, u64

ID_BYTES = 16
"""Length of a key id, and of a row's id: random."""
EPOCH = "epoch"
"""Kind of the row that holds the epoch key, wrapped by the root key."""

_FORMAT = 2
_BINDING = f"memory-fabric/keyring/{_FORMAT}"
_PADDING = 256
_CHECKSUM_BYTES = 32
_LENGTH_BYTES = 2


@dataclass(frozen=True, repr=False)
class EpochKey:
    """Seals every other row of a site's keyring. The root key wraps it.

    Attributes:
        site_id: what all rows are bound to.
        number: 1 at first, one more at each renewal.
        id: random, 16 bytes.
        key: the secret bytes.
        made_at: when it was made.
        root: which root key wraps it.
    """

    site_id: str
    number: int
    id: bytes
    key: bytes
    made_at: datetime
    root: RootKey

    @classmethod
    def new(cls, site_id: str, number: int, root: RootKey, made_at: datetime) -> EpochKey:
        """A fresh one."""
        key_id, key = secrets.token_bytes(ID_BYTES), secrets.token_bytes(KEY_BYTES)
        return cls(site_id, number, key_id, key, made_at, root)

    def entry(self, provider: KeyProvider) -> WrappedKey:
        """Its own row in the store, which also says which root key opens it."""
        header = canonical(
            {
                "format": _FORMAT,
                "made_at": self.made_at.isoformat(),
                "provider": self.root.provider,
                "root": self.root.id,
                "root_made_at": self.root.made_at.isoformat(),
            }
        )
        context = _context(self.site_id, EPOCH, self.id, self.number) + header
        told = len(header).to_bytes(_LENGTH_BYTES, "big") + header
        wrapped = told + provider.wrap(self.key, context)
        return WrappedKey(
            self.id, EPOCH, self.number, wrapped + _checksum(self.id, self.number, wrapped)
        )

    @classmethod
    def from_entry(cls, entry: WrappedKey, provider: KeyProvider, site_id: str) -> EpochKey:
        """The inverse of ``entry``.

        Raises:
            HomeError: ``root-key-wrong``; so does another site's keyring end. ``keyring-format``.
            IntegrityViolated: ``keyring-damaged``.
        """
        header, wrapped = _parted(entry)
        told = json.loads(header)
        context = _context(site_id, EPOCH, entry.id, entry.epoch) + header
        key = provider.unwrap(wrapped, context)
        made_at = datetime.fromisoformat(told["made_at"])
        return cls(site_id, entry.epoch, entry.id, key, made_at, root_of(entry))

    def seal(self, kind: str, plain: bytes) -> WrappedKey:
        """A row with a fresh id: padded, so that its length says little."""
        row_id, nonce = secrets.token_bytes(ID_BYTES), secrets.token_bytes(NONCE_BYTES)
        sized = len(plain).to_bytes(4, "big") + plain
        padded = sized.ljust(-len(sized) % _PADDING + len(sized), b"\0")
        context = _context(self.site_id, kind, row_id, self.number)
        sealed = AESGCM(self.key).encrypt(nonce, padded, context)
        return WrappedKey(row_id, kind, self.number, nonce + sealed)

    def unseal(self, row: WrappedKey) -> bytes:
        """The inverse of ``seal``.

        Raises:
            IntegrityViolated: ``keyring-damaged``.
        """
        context = _context(self.site_id, row.kind, row.id, row.epoch)
        nonce, sealed = row.wrapped[:NONCE_BYTES], row.wrapped[NONCE_BYTES:]
        try:
            padded = AESGCM(self.key).decrypt(nonce, sealed, context)
        except (InvalidTag, ValueError):
            raise keyring_damaged(f"row {row.id.hex()}") from None
        return padded[4 : 4 + int.from_bytes(padded[:4], "big")]


def root_of(entry: WrappedKey) -> RootKey:
    """Which root key opens the epoch key's row.

    Raises:
        HomeError: ``keyring-format``.
        IntegrityViolated: ``keyring-damaged``.
    """
    told = json.loads(_parted(entry)[0])
    return RootKey(told["provider"], told["root"], datetime.fromisoformat(told["root_made_at"]))


def keyring_damaged(what: str) -> IntegrityViolated:
    """A row that is not what was written, named by its id alone."""
    return IntegrityViolated(
        "keyring-damaged",
        f"The keyring is not as it was written: {what}.",
        "Restore the keyring from its escrow.",
        {"damaged": ["keyring"]},
    )


def _parted(entry: WrappedKey) -> tuple[bytes, bytes]:
    """Header and wrapped key of an epoch key's row."""
    wrapped, checksum = entry.wrapped[:-_CHECKSUM_BYTES], entry.wrapped[-_CHECKSUM_BYTES:]
    # Keyless: it only tells damage, which needs no root key to be seen, from a wrong one.
    if _checksum(entry.id, entry.epoch, wrapped) != checksum:
        raise keyring_damaged("the row of the epoch key")
    end = _LENGTH_BYTES + int.from_bytes(wrapped[:_LENGTH_BYTES], "big")
    header = wrapped[_LENGTH_BYTES:end]
    try:
        known = json.loads(header)["format"] == _FORMAT
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise HomeError(
            "keyring-format",
            "The keyring is of another version of the program.",
            "Open the home with the version that made it.",
        )
    return header, wrapped[end:]


def _context(site_id: str, kind: str, row_id: bytes, number: int) -> bytes:
    return bind(_BINDING, site_id, kind, row_id, u64(number))


def _checksum(row_id: bytes, number: int, wrapped: bytes) -> bytes:
    return hashlib.sha256(bind(row_id, u64(number), wrapped)).digest()
