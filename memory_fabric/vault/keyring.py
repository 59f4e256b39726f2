"""The keyring: every key of a site, each wrapped under the one above it.

    root key (behind ``KeyProvider``)
      x epoch key                       renewed by rewrapping, never by touching records
        + table key                     seals the headers of records
        + one key per tenant            memories about nobody
        + one key per tenant, subject   memories about somebody
        + secrets of the site           signing and sealing seeds
        + snapshot key                  of the one snapshot of the searchable copy

At rest an entry shows a random id, its epoch and whether it is the epoch key; names, kinds and
keys stand inside AES-256-GCM, padded so that their lengths say little. Destroying a key leaves a
sealed tombstone with nothing but its id: so a memory closed by erasure is told apart from a
keyring that somebody shortened. Byte layout: ``docs/internals/format.md``.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memory_fabric.core.errors import HomeError, NotFound
from memory_fabric.core.ports import KeyProvider, KeyStore
from memory_fabric.vault.binding import bind, derive
from memory_fabric.vault.epoch import EPOCH, EpochKey, HeldKey, Kind, Owner, keyring_damaged
from memory_fabric.vault.snapshot import SnapshotKey

MAX_CIPHERS = 8192
"""Ciphers under derived keys that are kept ready: 20 MB at most."""


class Keyring:
    """All keys of an open site. Safe to share between threads. Use ``create`` or ``open``."""

    def __init__(self, store: KeyStore, provider: KeyProvider, epoch_key: EpochKey) -> None:
        self.site_id = epoch_key.site_id
        self._store = store
        self._provider = provider
        self._epoch_key = epoch_key
        self._lock = threading.RLock()
        self._held: dict[bytes, HeldKey] = {}
        self._owners: dict[Owner, HeldKey] = {}
        self._secrets: dict[str, HeldKey] = {}
        self._snapshots: dict[bytes, HeldKey] = {}
        self._destroyed: set[bytes] = set()
        self._table: HeldKey | None = None
        self._ciphers: OrderedDict[tuple[bytes, bytes], AESGCM] = OrderedDict()

    @classmethod
    def create(cls, store: KeyStore, provider: KeyProvider, site_id: str) -> Keyring:
        """A new keyring in an empty store, with an epoch key and a table key.

        Raises:
            HomeError: ``keyring-exists``.
        """
        if store.load():
            raise HomeError(
                "keyring-exists",
                "There is a keyring here already.",
                "Open it, or choose another home: a second one would orphan its memories.",
            )
        keyring = cls(store, provider, EpochKey.new(site_id, 1))
        table = HeldKey.new(Kind.TABLE)
        store.put([keyring._epoch_key.entry(provider), keyring._epoch_key.wrap(table)])
        keyring._hold(table)
        return keyring

    @classmethod
    def open(cls, store: KeyStore, provider: KeyProvider, site_id: str) -> Keyring:
        """The keyring that stands in the store.

        Raises:
            HomeError: ``keyring-missing``; ``root-key-wrong``.
            IntegrityViolated: ``keyring-damaged``, an entry is not as it was written.
        """
        entries = store.load()
        if not entries:
            raise HomeError(
                "keyring-missing",
                "The keyring is empty.",
                "Restore it from its escrow; without it the memories cannot be opened.",
            )
        epochs = [entry for entry in entries if entry.kind == EPOCH]
        if len(epochs) != 1:
            raise keyring_damaged("the entry of the epoch key")
        keyring = cls(store, provider, EpochKey.from_entry(epochs[0], provider, site_id))
        keys = [keyring._epoch_key.unwrap(entry) for entry in entries if entry.kind != EPOCH]
        destroyed = {key.key for key in keys if key.kind is Kind.DESTROYED}
        for key in keys:
            if key.id not in destroyed:
                keyring._hold(key)
        if keyring._table is None:
            raise keyring_damaged("the entry of the table key")
        if left := [key.id for key in keys if key.id in destroyed]:
            store.destroy(left)
        return keyring

    @property
    def epoch(self) -> int:
        """Number of the current epoch; 1 at first."""
        return self._epoch_key.number

    @property
    def table_key(self) -> bytes:
        """The key that seals record headers; the same in every epoch."""
        if self._table is None:
            raise keyring_damaged("the entry of the table key")
        return self._table.key

    def ensure(self, owners: Iterable[Owner]) -> None:
        """Make the keys that are missing, in one durable write."""
        with self._lock:
            wanted = [owner for owner in dict.fromkeys(owners) if owner not in self._owners]
            if not wanted:
                return
            made = [
                HeldKey.new(Kind.TENANT if subject is None else Kind.SUBJECT, tenant, subject or "")
                for tenant, subject in wanted
            ]
            self._store.put([self._epoch_key.wrap(key) for key in made])
            for key in made:
                self._hold(key)

    def keys(self, tenant: str, subjects: Sequence[str]) -> tuple[HeldKey, ...]:
        """The keys that seal a memory about these subjects, or about nobody, in key-id order.

        Raises:
            NotFound: ``subject-unknown``, a key was not made yet or is destroyed.
        """
        owners: set[Owner] = {(tenant, subject) for subject in subjects} or {(tenant, None)}
        found = [self._owners.get(owner) for owner in owners]
        held = [key for key in found if key is not None]
        if len(held) < len(owners):
            raise _subject_unknown()
        return tuple(sorted(held, key=_by_id))

    def subject_keys(
        self, tenant: str, subjects: Sequence[str], create: bool = False
    ) -> tuple[HeldKey, ...]:
        """The keys of at least one subject, in key-id order; made first where ``create``.

        Raises:
            NotFound: ``subject-unknown``, where one is missing and not to be made.
        """
        if not subjects:
            raise ValueError("a memory about nobody is sealed under the tenant's key")
        if create:
            self.ensure((tenant, subject) for subject in subjects)
        return self.keys(tenant, subjects)

    def tenant_key(self, tenant: str, create: bool = False) -> HeldKey:
        """The key for a tenant's memories about nobody; made first where ``create``.

        Raises:
            NotFound: ``subject-unknown``, where it is missing and not to be made.
        """
        if create:
            self.ensure([(tenant, None)])
        return self.keys(tenant, ())[0]

    def by_id(self, key_id: bytes) -> HeldKey | None:
        """The key with this id; ``None`` where it was destroyed.

        Raises:
            IntegrityViolated: ``keyring-damaged``: neither the key nor its tombstone is there.
        """
        held = self._held.get(key_id)
        if held is None and key_id not in self._destroyed:
            raise keyring_damaged(f"key {key_id.hex()}, which is missing")
        return held

    def cipher(self, keys: Sequence[HeldKey], info: bytes) -> AESGCM:
        """AES-256-GCM under one key derived from all of these, in their order.

        The newest are kept: many memories are about the same subjects. Destroying any key drops
        them all, and whoever has no key that is held gets none.

        Raises:
            NotFound: ``subject-unknown``: one of the keys was destroyed meanwhile.
        """
        ids = b"".join([key.id for key in keys]), info
        cipher = self._ciphers.get(ids)
        if cipher is None:
            derived = AESGCM(derive(b"".join([key.key for key in keys]), info))
            with self._lock:
                if not all(key.id in self._held for key in keys):
                    raise _subject_unknown()
                cipher = self._ciphers[ids] = derived
                if len(self._ciphers) > MAX_CIPHERS:
                    self._ciphers.popitem(last=False)
        return cipher

    def knows(self, tenant: str, subject: str) -> bool:
        """Whether the subject has a key."""
        return (tenant, subject) in self._owners

    def subjects(self, tenant: str) -> list[str]:
        """All subjects of a tenant that have a key, sorted."""
        with self._lock:
            return sorted(
                subject
                for owner, subject in self._owners
                if owner == tenant and subject is not None
            )

    def holds(self, key_id: bytes) -> bool:
        """Whether a key with this id is there and not destroyed."""
        return key_id in self._held

    def key_ids(self, tenant: str, subject: str) -> list[bytes]:
        """The ids of the keys whose destruction erases a subject; empty where it has none."""
        with self._lock:
            held = self._owners.get((tenant, subject))
        return [held.id] if held else []

    def destroy_keys(self, key_ids: Iterable[bytes]) -> int:
        """Destroy keys of subjects for good: what was sealed under them is closed.

        Returns:
            How many there were. Durable before it returns; if the process dies midway the next
            ``open`` ends it.

        Raises:
            ValueError: one of them is not a subject's key.
        """
        with self._lock:
            doomed = [key_id for key_id in dict.fromkeys(key_ids) if key_id in self._held]
            if any(self._held[key_id].kind is not Kind.SUBJECT for key_id in doomed):
                raise ValueError("only a subject's key is ever destroyed")
            if doomed:
                tombstones = [HeldKey.new(Kind.DESTROYED, key=key_id) for key_id in doomed]
                self._store.put([self._epoch_key.wrap(tombstone) for tombstone in tombstones])
                for tombstone in tombstones:
                    self._hold(tombstone)
                    self._owners.pop(self._held.pop(tombstone.key).owner)
                self._ciphers.clear()
                self._store.destroy(doomed)
            return len(doomed)

    def secret(self, name: str) -> bytes:
        """A secret of the site.

        Raises:
            HomeError: ``secret-missing``.
        """
        with self._lock:
            if name not in self._secrets:
                raise HomeError(
                    "secret-missing",
                    f"The keyring holds no secret {name!r}.",
                    "The home is half-created; create it anew or restore it.",
                )
            return self._secrets[name].key

    def has_secret(self, name: str) -> bool:
        """Whether the keyring holds a secret of this name."""
        return name in self._secrets

    def add_secret(self, name: str, value: bytes) -> None:
        """Keep a secret of the site, durably.

        Raises:
            HomeError: ``secret-exists``.
        """
        with self._lock:
            if name in self._secrets:
                raise HomeError(
                    "secret-exists",
                    f"The keyring holds a secret {name!r} already.",
                    "A secret is never overwritten: others rely on it.",
                )
            held = HeldKey.new(Kind.SECRET, name=name, key=value)
            self._store.put([self._epoch_key.wrap(held)])
            self._hold(held)

    @property
    def holds_snapshot_key(self) -> bool:
        """Whether there is the key of any snapshot."""
        return bool(self._snapshots)

    def snapshot_key(self, snapshot: bytes) -> SnapshotKey | None:
        """The key of a snapshot; ``None`` where it was dropped."""
        held = self._snapshots.get(snapshot)
        return SnapshotKey(held.id, held.key) if held else None

    def add_snapshot_key(self, key: SnapshotKey) -> None:
        """Keep the key of a new snapshot, durably, beside that of the one it is to replace."""
        with self._lock:
            held = HeldKey(key.id, Kind.SNAPSHOT, "", "", key.key)
            self._store.put([self._epoch_key.wrap(held)])
            self._hold(held)

    def drop_snapshot_keys(self, keep: bytes | None = None) -> None:
        """Destroy the keys of all snapshots, or of all but one, for good.

        They leave no tombstones: a snapshot without a key is like none.
        """
        with self._lock:
            doomed = [snapshot for snapshot in self._snapshots if snapshot != keep]
            for snapshot in doomed:
                del self._snapshots[snapshot], self._held[snapshot]
            if doomed:
                self._store.destroy(doomed)

    def commitment(self, tenant: str, subject: str) -> str:
        """How receipts name a subject: 64 hexadecimal digits that only its key can link.

        For a subject without a key the digits are random: there is nothing to link.
        """
        with self._lock:
            held = self._owners.get((tenant, subject))
        if held is None:
            return secrets.token_hex(32)
        key = derive(held.key, bind("memory-fabric/commitment/1"))
        return hmac.digest(key, bind(self.site_id, tenant, subject), "sha256").hex()

    def renew_epoch(self) -> int:
        """Wrap every key anew under a fresh epoch key, in one write; records stay as they are.

        Returns:
            The new epoch's number.
        """
        with self._lock:
            renewed = EpochKey.new(self.site_id, self._epoch_key.number + 1)
            rewrapped = [renewed.wrap(key) for key in self._held.values()]
            self._store.replace([renewed.entry(self._provider), *rewrapped])
            self._epoch_key = renewed
            return renewed.number

    def _hold(self, key: HeldKey) -> None:
        """Take a key into use, refusing a second one for the same owner."""
        self._held[key.id] = key
        match key.kind:
            case Kind.TABLE if self._table is None:
                self._table = key
            case Kind.TENANT | Kind.SUBJECT if key.owner not in self._owners:
                self._owners[key.owner] = key
            case Kind.SECRET if key.name not in self._secrets:
                self._secrets[key.name] = key
            case Kind.SNAPSHOT:
                self._snapshots[key.id] = key
            case Kind.DESTROYED:
                self._destroyed.add(key.key)
            case _:
                raise keyring_damaged(f"key {key.id.hex()}, which is there twice")


def _by_id(key: HeldKey) -> bytes:
    return key.id


def _subject_unknown() -> NotFound:
    return NotFound(
        "subject-unknown",
        "There is no key for one of the subjects: it is erased, or was never stored.",
        "Store the memory anew if it may be kept.",
    )
