"""Keys in use, and the epoch key that wraps them for the store. ``docs/internals/format.md``."""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.core.ports import KeyProvider, WrappedKey
from memory_fabric.vault.binding import KEY_BYTES, NONCE_BYTES, bind, u64

ID_BYTES = 16
"""Length of a key id: random."""
EPOCH = "epoch"
"""Kind of the epoch key's entry. All others stand readable as ``key``, whatever they are."""

_KEY = "key"
_FORMAT = "memory-fabric/key/1"
_PADDING = 256
_CHECKSUM_BYTES = 32


class Kind(StrEnum):
    """What a key is for; readable only inside its sealed entry."""

    TABLE = "table"
    TENANT = "tenant"
    SUBJECT = "subject"
    SECRET = "secret"
    SNAPSHOT = "snapshot"
    DESTROYED = "destroyed"


Owner = tuple[str, str | None]
"""Tenant and subject; no subject for the tenant's own key."""


@dataclass(frozen=True, repr=False)
class HeldKey:
    """A key in use. Its repr names neither key nor subject.

    Attributes:
        id: random, 16 bytes; what record headers call it.
        kind: what it is for; ``DESTROYED`` marks a tombstone.
        tenant: whose it is; empty for the site's own.
        name: the subject or the secret's name; for a tombstone empty.
        key: the secret bytes; for a tombstone the destroyed key's id.
    """

    id: bytes
    kind: Kind
    tenant: str
    name: str
    key: bytes

    @classmethod
    def new(cls, kind: Kind, tenant: str = "", name: str = "", key: bytes | None = None) -> HeldKey:
        """A key with a random id, and random bytes where none are given."""
        fresh = secrets.token_bytes(KEY_BYTES) if key is None else key
        return cls(secrets.token_bytes(ID_BYTES), kind, tenant, name, fresh)

    @property
    def owner(self) -> Owner:
        """Tenant and subject that the key belongs to."""
        return self.tenant, self.name if self.kind is Kind.SUBJECT else None

    def __repr__(self) -> str:
        return f"HeldKey({self.id.hex()})"


@dataclass(frozen=True, repr=False)
class EpochKey:
    """Wraps every other key of a site. The root key wraps it.

    Attributes:
        site_id: what all entries are bound to.
        number: 1 at first, one more at each renewal.
        id: random, 16 bytes.
        key: the secret bytes.
    """

    site_id: str
    number: int
    id: bytes
    key: bytes

    @classmethod
    def new(cls, site_id: str, number: int) -> EpochKey:
        """A fresh one."""
        return cls(site_id, number, secrets.token_bytes(ID_BYTES), secrets.token_bytes(KEY_BYTES))

    def entry(self, provider: KeyProvider) -> WrappedKey:
        """Its own entry in the store."""
        wrapped = provider.wrap(self.key, _context(self.site_id, EPOCH, self.id, self.number))
        checksum = _checksum(self.id, self.number, wrapped)
        return WrappedKey(self.id, EPOCH, self.number, wrapped + checksum)

    @classmethod
    def from_entry(cls, entry: WrappedKey, provider: KeyProvider, site_id: str) -> EpochKey:
        """The inverse of ``entry``.

        Raises:
            HomeError: ``root-key-wrong``; so does another site's keyring end.
            IntegrityViolated: ``keyring-damaged``.
        """
        wrapped, checksum = entry.wrapped[:-_CHECKSUM_BYTES], entry.wrapped[-_CHECKSUM_BYTES:]
        # Keyless: it only tells damage, which needs no root key to be seen, from a wrong one.
        if _checksum(entry.id, entry.epoch, wrapped) != checksum:
            raise keyring_damaged("the entry of the epoch key")
        key = provider.unwrap(wrapped, _context(site_id, EPOCH, entry.id, entry.epoch))
        return cls(site_id, entry.epoch, entry.id, key)

    def wrap(self, key: HeldKey) -> WrappedKey:
        """A key's entry in the store: padded, so that its length says little."""
        plain = json.dumps([key.kind, key.tenant, key.name, key.key.hex()]).encode()
        padded = plain.ljust(-len(plain) % _PADDING + len(plain))
        nonce = secrets.token_bytes(NONCE_BYTES)
        context = _context(self.site_id, _KEY, key.id, self.number)
        sealed = AESGCM(self.key).encrypt(nonce, padded, context)
        return WrappedKey(key.id, _KEY, self.number, nonce + sealed)

    def unwrap(self, entry: WrappedKey) -> HeldKey:
        """The inverse of ``wrap``.

        Raises:
            IntegrityViolated: ``keyring-damaged``.
        """
        nonce, sealed = entry.wrapped[:NONCE_BYTES], entry.wrapped[NONCE_BYTES:]
        context = _context(self.site_id, entry.kind, entry.id, entry.epoch)
        try:
            plain = AESGCM(self.key).decrypt(nonce, sealed, context)
        except (InvalidTag, ValueError):
            raise keyring_damaged(f"the entry of key {entry.id.hex()}") from None
        kind, tenant, name, key = json.loads(plain)
        return HeldKey(entry.id, Kind(kind), tenant, name, bytes.fromhex(key))


def keyring_damaged(what: str) -> IntegrityViolated:
    """An entry that is not what was written, named by its id alone."""
    return IntegrityViolated(
        "keyring-damaged",
        f"The keyring is not as it was written: {what}.",
        "Restore the keyring from its escrow.",
        {"damaged": ["keyring"]},
    )


def _context(site_id: str, kind: str, key_id: bytes, number: int) -> bytes:
    return bind(_FORMAT, site_id, kind, key_id, u64(number))


def _checksum(key_id: bytes, number: int, wrapped: bytes) -> bytes:
    return hashlib.sha256(bind(key_id, u64(number), wrapped)).digest()
