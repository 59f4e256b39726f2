"""The keyring: every key of a site, each sealed under the one above it.

    root key (behind ``RootKeys``)
      x epoch key                       renewed by sealing anew, never by touching records
        + table key                     seals the headers of records
        + one key per tenant            memories about nobody
        + one key per tenant, subject   memories about somebody
        + secrets of the site           signing and sealing seeds
        + snapshot keys                 of snapshots of the searchable copy

At rest a row shows a random id, its epoch and its kind; names and keys stand inside AES-256-GCM.
Keys of tenants and subjects stand many in a row. Destroying a key rewrites its row in one
transaction, with a sealed tombstone in its place: so a memory closed by erasure is told apart from
a keyring that somebody shortened. Byte layout: ``docs/internals/format.md``.
"""

from __future__ import annotations

import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memory_fabric.core.errors import HomeError, NotFound
from memory_fabric.core.key_ports import KeyStore, RootKey, RootKeys
from memory_fabric.core.ports import Clock
from memory_fabric.vault.binding import KEY_BYTES, bind, derive
from memory_fabric.vault.epoch import EpochKey, keyring_damaged
from memory_fabric.vault.keytable import HeldKey, Kind, Owner
from memory_fabric.vault.packs import KEYS, Packs
from memory_fabric.vault.rotation import RootRotation
from memory_fabric.vault.rows import SealedRows
from memory_fabric.vault.sitesecrets import TABLE, EscrowNote, Secrets, snapshot_name
from memory_fabric.vault.snapshot import SnapshotKey

MAX_CIPHERS = 8192
"""Ciphers under derived keys that are kept ready: 20 MB at most."""

_SECRETS = "secrets"
"""Kind of the row that holds the site's own keys."""


@dataclass(frozen=True)
class Contents:
    """All that a keyring holds, without what seals it.

    Attributes:
        secrets: the site's own keys, without those of snapshots.
        packs: the keys of tenants and subjects, and tombstones.
        epoch: number of the epoch that it was in.
    """

    secrets: Secrets
    packs: tuple[bytes, ...] = ()
    epoch: int = 0


class Keyring:
    """All keys of an open site. Safe to share between threads. Use ``create`` or ``open``."""

    def __init__(
        self,
        rows: SealedRows,
        roots: RootKeys,
        clock: Clock,
        own: tuple[bytes, Secrets],
        packs: Packs,
    ) -> None:
        self.site_id = rows.epoch.site_id
        self.rotation = RootRotation(rows, roots)
        self._rows = rows
        self._clock = clock
        self._secrets_row, self._secrets = own
        self._packs = packs
        self._table = packs.table
        self._ciphers: OrderedDict[tuple[bytes, bytes], AESGCM] = OrderedDict()
        # Whoever changes the store holds `changing` all along, and this one for moments only, so
        # that renewing a million keys stops no reader.
        self._lock = threading.RLock()

    @classmethod
    def create(
        cls,
        store: KeyStore,
        roots: RootKeys,
        root: RootKey,
        site_id: str,
        clock: Clock,
        passphrase: str | None = None,
        contents: Contents | None = None,
    ) -> Keyring:
        """A keyring in an empty store, under a root key that was made for it.

        Args:
            contents: what it holds, from an escrow; a new table key where left out.

        Raises:
            HomeError: ``keyring-exists``; what the root key's kind of provider says.
        """
        now = clock.now()
        if contents is None:
            table = Secrets().with_secret(TABLE, secrets.token_bytes(KEY_BYTES), now)
            contents = Contents(table)
        epoch = EpochKey.new(site_id, contents.epoch + 1, root, now)
        plains = [(_SECRETS, contents.secrets.to_bytes()), *((KEYS, it) for it in contents.packs)]
        SealedRows.create(store, roots, epoch, plains, passphrase)
        return cls.open(store, roots, site_id, clock)

    @classmethod
    def open(cls, store: KeyStore, roots: RootKeys, site_id: str, clock: Clock) -> Keyring:
        """The keyring that stands in the store.

        Raises:
            HomeError: ``keyring-missing``, ``keyring-format``, ``root-key-wrong``, ...
            IntegrityViolated: ``keyring-damaged``: a row is not as it was written.
        """
        rows, opened = SealedRows.open(store, roots, site_id)
        packs, own = opened.pop(KEYS, []), opened.pop(_SECRETS, [])
        if opened or len(own) != 1:
            raise keyring_damaged("the row of the site's secrets")
        [(row, plain)] = own
        held = Secrets.from_bytes(plain)
        if TABLE not in held.values:
            raise keyring_damaged("the key of the table")
        return cls(rows, roots, clock, (row, held), Packs(rows, packs))

    @property
    def epoch(self) -> int:
        """Number of the current epoch; 1 at first."""
        return self._rows.epoch.number

    @property
    def epoch_key(self) -> EpochKey:
        """The current epoch key, with its age and its root key's."""
        return self._rows.epoch

    @property
    def roots_left(self) -> tuple[RootKey, ...]:
        """Root keys that are to be destroyed and were out of reach so far."""
        return self._rows.pending.going

    @property
    def changing(self) -> threading.RLock:
        """Held by an act that changes the keyring in several steps."""
        return self._rows.changing

    @property
    def table_key(self) -> bytes:
        """The key that seals record headers; the same in every epoch."""
        return self.secret(TABLE)

    # --- keys of tenants and subjects --------------------------------------------------------

    def ensure(self, owners: Iterable[Owner]) -> None:
        """Make the keys that are missing, in one durable write."""
        wanted = list(dict.fromkeys(owners))
        if not self._missing(wanted):
            return
        with self.changing:
            made = [
                HeldKey.new(Kind.TENANT if subject is None else Kind.SUBJECT, tenant, subject or "")
                for tenant, subject in self._missing(wanted)
            ]
            self._packs.write(made)
            with self._lock:
                self._table.add(made)
            self._packs.gather()

    def keys(self, tenant: str, subjects: Sequence[str]) -> tuple[HeldKey, ...]:
        """The keys that seal a memory about these subjects, or about nobody, in key-id order.

        Raises:
            NotFound: ``subject-unknown``, a key was not made yet or is destroyed.
        """
        owners: set[Owner] = {(tenant, subject) for subject in subjects} or {(tenant, None)}
        with self._lock:
            found = [self._table.find(owner) for owner in owners]
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
        with self._lock:
            place = self._table.place_of(key_id)
            if place is None:
                raise keyring_damaged(f"key {key_id.hex()}, which is missing")
            return self._table.at(place)

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
                if not all(self.holds(key.id) for key in keys):
                    raise _subject_unknown()
                cipher = self._ciphers[ids] = derived
                if len(self._ciphers) > MAX_CIPHERS:
                    self._ciphers.popitem(last=False)
        return cipher

    def knows(self, tenant: str, subject: str) -> bool:
        """Whether the subject has a key."""
        return bool(self.key_ids(tenant, subject))

    def subjects(self, tenant: str) -> list[str]:
        """All subjects of a tenant that have a key, sorted."""
        with self._lock:
            return sorted(self._table.subjects(tenant))

    def holds(self, key_id: bytes) -> bool:
        """Whether a key with this id is there and not destroyed."""
        with self._lock:
            place = self._table.place_of(key_id)
            return place is not None and self._table.at(place) is not None

    def key_ids(self, tenant: str, subject: str) -> list[bytes]:
        """The ids of the keys whose destruction erases a subject; empty where it has none."""
        with self._lock:
            held = self._table.find((tenant, subject))
        return [held.id] if held else []

    def destroy_keys(self, key_ids: Iterable[bytes]) -> int:
        """Destroy keys of subjects for good: what was sealed under them is closed.

        Returns:
            How many there were. One durable write, before it returns.

        Raises:
            ValueError: one of them is not a subject's key.
        """
        with self.changing:
            doomed: set[int] = set()
            with self._lock:
                for key_id in key_ids:
                    place = self._table.place_of(key_id)
                    key = None if place is None else self._table.at(place)
                    if place is not None and key is not None:
                        if key.kind is not Kind.SUBJECT:
                            raise ValueError("only a subject's key is ever destroyed")
                        doomed.add(place)
            if doomed:
                self._packs.bury(doomed)
                with self._lock:
                    self._table.bury(doomed)
                    self._ciphers.clear()
            return len(doomed)

    def commitment(self, tenant: str, subject: str) -> str:
        """How receipts name a subject: 64 hexadecimal digits that only its key can link.

        For a subject without a key the digits are random: there is nothing to link.
        """
        with self._lock:
            held = self._table.find((tenant, subject))
        if held is None:
            return secrets.token_hex(32)
        key = derive(held.key, bind("memory-fabric/commitment/1"))
        return hmac.digest(key, bind(self.site_id, tenant, subject), "sha256").hex()

    # --- the site's own keys -----------------------------------------------------------------

    def secret(self, name: str) -> bytes:
        """A secret of the site.

        Raises:
            HomeError: ``secret-missing``.
        """
        if name not in self._secrets.values:
            raise HomeError(
                "secret-missing",
                f"The keyring holds no secret {name!r}.",
                "The home is half-created; create it anew or restore it.",
            )
        return self._secrets.values[name]

    def has_secret(self, name: str) -> bool:
        """Whether the keyring holds a secret of this name."""
        return name in self._secrets.values

    def add_secret(self, name: str, value: bytes) -> None:
        """Keep a secret of the site, durably.

        Raises:
            HomeError: ``secret-exists``.
        """
        with self.changing:
            if self.has_secret(name):
                raise HomeError(
                    "secret-exists",
                    f"The keyring holds a secret {name!r} already.",
                    "A secret is never overwritten: others rely on it.",
                )
            self._keep(self._secrets.with_secret(name, value, self._clock.now()))

    @property
    def holds_snapshot_key(self) -> bool:
        """Whether there is the key of any snapshot."""
        return bool(self._secrets.snapshots())

    def snapshot_key(self, snapshot: bytes) -> SnapshotKey | None:
        """The key of a snapshot; ``None`` where it was dropped."""
        value = self._secrets.values.get(snapshot_name(snapshot))
        return SnapshotKey(snapshot, value) if value else None

    @property
    def snapshot_made_at(self) -> datetime | None:
        """When the newest snapshot key was made."""
        made = [self._secrets.made[snapshot_name(name)] for name in self._secrets.snapshots()]
        return max(made, default=None)

    def add_snapshot_key(self, key: SnapshotKey) -> None:
        """Keep the key of a new snapshot, durably, beside that of the one it is to replace."""
        with self.changing:
            now = self._clock.now()
            self._keep(self._secrets.with_secret(snapshot_name(key.id), key.key, now))

    def drop_snapshot_keys(self, keep: bytes | None = None) -> None:
        """Destroy the keys of all snapshots, or of all but one, for good.

        They leave no tombstones: a snapshot without a key is like none.
        """
        with self.changing:
            doomed = [snapshot for snapshot in self._secrets.snapshots() if snapshot != keep]
            if doomed:
                self._keep(self._secrets.without(*map(snapshot_name, doomed)))

    # --- the whole ---------------------------------------------------------------------------

    def renew_epoch(self, at_least: int = 0) -> int:
        """Seal every key anew under a fresh epoch key, in one step; records stay as they are.

        Args:
            at_least: the new number, where the next one would be smaller.

        Returns:
            The new epoch's number.
        """
        with self.changing:
            own = _SECRETS, self._secrets.to_bytes()
            number = max(self.epoch + 1, at_least)
            plains = chain([own], self._packs.plains())
            self._secrets_row, *ids = self._rows.renew(plains, number, self._clock.now())
            self._packs.renewed(ids)
            return self.epoch

    def contents(self) -> Contents:
        """All that it holds, at one moment."""
        with self.changing:
            own = replace(self._secrets.lasting(), escrow=None)
            packs = tuple(pack for _, pack in self._packs.plains())
            return Contents(own, packs, self.epoch)

    @property
    def escrow(self) -> EscrowNote | None:
        """The newest escrow that was written."""
        return self._secrets.escrow

    def escrow_now(self) -> EscrowNote:
        """What an escrow written now would hold."""
        with self._lock:
            counts, epoch = self._table.counts(), self.epoch_key
            return EscrowNote(
                self._clock.now(), epoch.number, epoch.root.id, len(self._table),
                counts[Kind.DESTROYED], len(self._secrets.lasting().values),
            )  # fmt: skip

    def note_escrow(self, note: EscrowNote) -> None:
        """Remember an escrow that was written, durably."""
        with self.changing:
            self._keep(replace(self._secrets, escrow=note))

    def counts(self) -> dict[str, int]:
        """How many keys of each kind there are."""
        with self._lock:
            found = self._table.counts()
        own, snapshots = self._secrets.values, self._secrets.snapshots()
        return {
            "tenants": found[Kind.TENANT],
            "subjects": found[Kind.SUBJECT],
            "destroyed": found[Kind.DESTROYED],
            "site": len(own) - len(snapshots),
            "snapshots": len(snapshots),
        }

    def coverage(self) -> dict[str, int]:
        """How many rows stand under which epoch: all under one, at any time."""
        with self._lock:
            return {str(self.epoch): 1 + len(self._packs)}

    def _missing(self, owners: Iterable[Owner]) -> list[Owner]:
        with self._lock:
            return [owner for owner in owners if self._table.find(owner) is None]

    def _keep(self, changed: Secrets) -> None:
        [row] = self._rows.change([(_SECRETS, changed.to_bytes())], [self._secrets_row])
        self._secrets, self._secrets_row = changed, row


def _by_id(key: HeldKey) -> bytes:
    return key.id


def _subject_unknown() -> NotFound:
    return NotFound(
        "subject-unknown",
        "There is no key for one of the subjects: it is erased, or was never stored.",
        "Store the memory anew if it may be kept.",
    )
