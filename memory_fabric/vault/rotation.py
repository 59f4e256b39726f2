"""Another root key in the place of the present one, in steps that a crash may part.

    prepare   the new root key is named as coming, made, read back; it wraps the epoch key
    adopt     the epoch key's row changes over to it; the old one is named as going
    finish    whatever is coming or going is destroyed, and named no more

So one root key is in force at any time, and whatever else was made is named until it is destroyed.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from datetime import datetime

from memory_fabric.core.errors import HomeError, MemoryFabricError
from memory_fabric.core.key_ports import RootKey, RootKeys
from memory_fabric.vault.epoch import EpochKey
from memory_fabric.vault.rows import Pending, SealedRows


def new_root(provider: str, now: datetime) -> RootKey:
    """Names a root key that is still to be made."""
    return RootKey(provider, secrets.token_hex(8), now)


class RootRotation:
    """One rotation of the root key of an open keyring, or what is left of one."""

    def __init__(self, rows: SealedRows, roots: RootKeys) -> None:
        self._rows = rows
        self._roots = roots

    @property
    def closes_copies(self) -> bool:
        """Whether another root key closes every old copy of the keyring: nobody can have copied the
        present one.
        """
        return self._roots.closes_copies(self._rows.epoch.root)

    def prepare(self, root: RootKey, passphrase: str | None = None) -> None:
        """Make the new root key and read it back; the present one stays in force.

        Raises:
            HomeError: what its kind of provider says.
            InputError: ``key-provider-unknown``; there is nothing to be destroyed then.
        """
        rows = self._rows
        self._roots.check(root)
        rows.keep_pending(replace(rows.pending, coming=root, wrapped=b""))
        self._roots.create(root, passphrase)
        entry = rows.successor(root).entry(self._roots.open(root, passphrase))
        again = EpochKey.from_entry(entry, self._roots.open(root, passphrase), rows.epoch.site_id)
        if again.key != rows.epoch.key:
            raise HomeError(
                "root-key-wrong",
                "The new root key does not give back what it wrapped; the old one stays.",
                "Look after what keeps it, and rotate again.",
            )
        rows.keep_pending(replace(rows.pending, wrapped=entry.wrapped))

    def adopt(self, passphrase: str | None = None) -> None:
        """Bring the prepared root key into force, in one durable write."""
        coming = self._rows.pending.coming
        self._rows.adopt_pending(self._roots.open(coming, passphrase) if coming else None)

    def resume(self, recorded: str) -> None:
        """End what a crash cut short: forwards where the coming root key is the recorded one."""
        pending = self._rows.pending
        if pending.wrapped and pending.coming and pending.coming.id == recorded:
            self._rows.adopt_pending(None)
        self.finish()

    def finish(self) -> tuple[RootKey, ...]:
        """Destroy for good what is not in force; those that are out of reach, and stay named."""
        pending = self._rows.pending
        every = (*pending.going, pending.coming) if pending.coming else pending.going
        left = tuple(root for root in every if not self._destroyed(root))
        self._rows.keep_pending(Pending(going=left))
        return left

    def _destroyed(self, root: RootKey) -> bool:
        try:
            self._roots.destroy(root)
        except MemoryFabricError:
            return False
        return True
