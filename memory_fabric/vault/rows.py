"""The keyring's rows as they are read and written through the epoch key."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain

from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import HomeError
from memory_fabric.core.key_ports import KeyProvider, KeyStore, RootKey, RootKeys, WrappedKey
from memory_fabric.vault.epoch import EPOCH, EpochKey, keyring_damaged, root_of

PENDING = "root"
"""Kind of the row that names root keys beside the one in force."""

Plain = tuple[str, bytes]
"""A row's kind, and its content before it is sealed."""
Opened = dict[str, list[tuple[bytes, bytes]]]
"""By kind: the rows' ids, and their contents."""


@dataclass(frozen=True)
class Pending:
    """Root keys beside the one in force.

    Attributes:
        coming: one that was made, or is being made, to come into force.
        wrapped: the epoch key wrapped by it, as its row will hold it; empty before that.
        going: those to be destroyed.
    """

    coming: RootKey | None = None
    wrapped: bytes = b""
    going: tuple[RootKey, ...] = ()

    def to_bytes(self) -> bytes:
        """As its row holds it."""
        coming = [_told(self.coming)] if self.coming else []
        return canonical([coming, self.wrapped.hex(), [_told(root) for root in self.going]])

    @classmethod
    def from_bytes(cls, plain: bytes) -> Pending:
        """The inverse of ``to_bytes``."""
        coming, wrapped, going = json.loads(plain)
        return cls(
            _root(coming[0]) if coming else None,
            bytes.fromhex(wrapped),
            tuple(_root(told) for told in going),
        )


def _told(root: RootKey) -> list[str]:
    return [root.provider, root.id, root.made_at.isoformat()]


def _root(told: list[str]) -> RootKey:
    return RootKey(told[0], told[1], datetime.fromisoformat(told[2]))


class SealedRows:
    """The store behind its epoch key. Whoever changes it holds ``changing``.

    Attributes:
        epoch: the epoch key in force.
        pending: root keys beside the one in force.
    """

    def __init__(
        self, store: KeyStore, roots: RootKeys, epoch: EpochKey, provider: KeyProvider
    ) -> None:
        self.changing = threading.RLock()
        self.epoch = epoch
        self.pending = Pending()
        self._pending_row: bytes | None = None
        self._store = store
        self._roots = roots
        self._provider: KeyProvider | None = provider

    @classmethod
    def create(
        cls,
        store: KeyStore,
        roots: RootKeys,
        epoch: EpochKey,
        plains: Iterable[Plain],
        passphrase: str | None = None,
    ) -> SealedRows:
        """Rows in an empty store, under a root key that exists.

        Raises:
            HomeError: ``keyring-exists``.
        """
        if store.load():
            raise HomeError(
                "keyring-exists",
                "There is a keyring here already.",
                "Open it, or choose another home: a second one would orphan its memories.",
            )
        provider = roots.open(epoch.root, passphrase)
        sealed = [epoch.seal(kind, plain) for kind, plain in plains]
        store.change([epoch.entry(provider), *sealed])
        return cls(store, roots, epoch, provider)

    @classmethod
    def open(cls, store: KeyStore, roots: RootKeys, site_id: str) -> tuple[SealedRows, Opened]:
        """The rows that stand in the store.

        Raises:
            HomeError: ``keyring-missing``, ``keyring-format``, ``root-key-wrong``, ...
            IntegrityViolated: ``keyring-damaged``: a row is not as it was written.
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
            raise keyring_damaged("the row of the epoch key")
        provider = roots.open(root_of(epochs[0]))
        rows = cls(store, roots, EpochKey.from_entry(epochs[0], provider, site_id), provider)
        opened: Opened = defaultdict(list)
        for entry in entries:
            if entry.kind != EPOCH:
                opened[entry.kind].append((entry.id, rows.epoch.unseal(entry)))
        for row_id, plain in opened.pop(PENDING, []):
            rows._pending_row, rows.pending = row_id, Pending.from_bytes(plain)
        return rows, opened

    def change(self, add: Sequence[Plain], remove: Sequence[bytes] = ()) -> list[bytes]:
        """Add rows and remove others in one durable step; the ids of those added."""
        sealed = [self.epoch.seal(kind, plain) for kind, plain in add]
        self._store.change(sealed, remove)
        return [row.id for row in sealed]

    def renew(self, plains: Iterable[Plain], number: int, made_at: datetime) -> list[bytes]:
        """Put these in the place of all rows, under a fresh epoch key; their ids."""
        epoch = EpochKey.new(self.epoch.site_id, number, self.epoch.root, made_at)
        if self._provider is None:
            self._provider = self._roots.open(epoch.root)
        pending = [(PENDING, self.pending.to_bytes())] if self._pending_row else []
        ids: list[bytes] = []

        def sealed() -> Iterator[WrappedKey]:
            for kind, plain in chain(plains, pending):
                row = epoch.seal(kind, plain)
                ids.append(row.id)
                yield row

        self._store.replace(chain([epoch.entry(self._provider)], sealed()))
        self.epoch = epoch
        if pending:
            self._pending_row = ids.pop()
        return ids

    def keep_pending(self, pending: Pending) -> None:
        """Note durably which root keys there are beside the one in force."""
        add = [(PENDING, pending.to_bytes())] if pending != Pending() else []
        remove = [self._pending_row] if self._pending_row else []
        ids = self.change(add, remove) if add or remove else []
        self.pending, self._pending_row = pending, ids[0] if ids else None

    def successor(self, root: RootKey) -> EpochKey:
        """The epoch key as it is, to be wrapped by another root key."""
        return replace(self.epoch, root=root)

    def adopt_pending(self, provider: KeyProvider | None) -> None:
        """Bring the coming root key into force; from now on the one before is going."""
        pending = self.pending
        if pending.coming is None or not pending.wrapped or self._pending_row is None:
            raise ValueError("there is no root key to come into force")
        after = Pending(going=(*pending.going, self.epoch.root))
        row = self.epoch.seal(PENDING, after.to_bytes())
        entry = WrappedKey(self.epoch.id, EPOCH, self.epoch.number, pending.wrapped)
        self._store.change([entry, row], [self.epoch.id, self._pending_row])
        self.epoch, self._provider = self.successor(pending.coming), provider
        self.pending, self._pending_row = after, row.id
