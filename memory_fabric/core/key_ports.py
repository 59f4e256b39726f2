"""Ports of keys: where the keyring lies, and what keeps the root key above it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from memory_fabric.core.errors import HomeError


@dataclass(frozen=True)
class WrappedKey:
    """A row of the keyring at rest: random id, kind, epoch of the key that seals it, ciphertext."""

    id: bytes
    kind: str
    epoch: int
    wrapped: bytes


class KeyStore(Protocol):
    """The keyring at rest: sealed rows only."""

    def load(self) -> list[WrappedKey]:
        """All rows."""
        ...

    def change(self, add: Sequence[WrappedKey], remove: Sequence[bytes] = ()) -> None:
        """Add rows and remove others, by their ids, in one transaction, durably.

        The bytes of those removed are gone from the store's files.
        """
        ...

    def replace(self, rows: Iterable[WrappedKey]) -> None:
        """Replace the whole content in one step, durably, leaving no byte of the old."""
        ...


@dataclass(frozen=True)
class RootKey:
    """Which root key is meant; nothing of the key itself.

    Attributes:
        provider: name of its kind, an entry point of the group ``memory_fabric.key_providers``.
        id: 16 random hexadecimal digits.
        made_at: when it was made.
    """

    provider: str
    id: str
    made_at: datetime


class KeyProvider(Protocol):
    """Holds one root key: wraps and unwraps the epoch key, and nothing else."""

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Seal 32 bytes, bound to ``context``."""
        ...

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """The inverse.

        Raises:
            HomeError: ``root-key-wrong``.
        """
        ...


@dataclass(frozen=True)
class KeyPlace:
    """Where a kind of root key may keep them, and how it is set up.

    Attributes:
        site_id: the site.
        folder: the home's ``keys/``.
        settings: the kind's table in ``site.toml``, ``[keys.NAME]``.
        ask: asks the operator for a passphrase or a PIN, named by its argument.
        passphrase: one that was given for this very act.
    """

    site_id: str
    folder: Path
    settings: Mapping[str, Any]
    ask: Callable[[str], str]
    passphrase: str | None = None

    def check_settings(self, name: str, known: Collection[str]) -> None:
        """Raise ``settings-invalid`` for a setting that the kind does not have."""
        unknown = sorted(self.settings.keys() - set(known))
        if unknown:
            raise HomeError(
                "settings-invalid",
                f"site.toml: [keys.{name}] has no setting {unknown[0]!r}.",
                f"It has {', '.join(known) or 'none'}.",
            )


class RootKeyKind(Protocol):
    """One kind of root key: what an entry point of ``memory_fabric.key_providers`` makes.

    It is called with a ``KeyPlace``. Errors are ``HomeError``, with codes of its own where the ones
    named here do not fit.

    Attributes:
        closes_copies: nobody can have copied a root key, so that destroying it closes every copy of
            what it wrapped. Then an erasure puts another in its place.
    """

    closes_copies: bool

    def create(self, root_id: str) -> None:
        """Make a root key, durably; others of its kind stay.

        Raises:
            HomeError: ``root-key-exists``.
        """
        ...

    def open(self, root_id: str) -> KeyProvider:
        """The provider that holds the root key.

        Raises:
            HomeError: ``root-key-missing``, ``root-key-wrong``: it is another one.
        """
        ...

    def destroy(self, root_id: str) -> None:
        """Destroy the root key for good; nothing happens where it is gone already."""
        ...


class RootKeys(Protocol):
    """Makes, finds and destroys a site's root keys, of whatever kind."""

    def check(self, root: RootKey) -> None:
        """Whether this kind of root key can be had at all; nothing is made.

        Raises:
            InputError: ``key-provider-unknown``.
            HomeError: ``settings-invalid``, ``hsm-not-installed``.
        """
        ...

    def create(self, root: RootKey, passphrase: str | None = None) -> None:
        """Make the root key, durably. ``passphrase``: the new one, for a kind that lives by one.

        Raises:
            HomeError: ``root-key-exists``, and what the kind of provider says.
        """
        ...

    def open(self, root: RootKey, passphrase: str | None = None) -> KeyProvider:
        """The provider that holds the root key, found anew wherever it is kept.

        Raises:
            HomeError: ``root-key-missing``, ``root-key-wrong``, and what the kind of provider says.
        """
        ...

    def closes_copies(self, root: RootKey) -> bool:
        """Whether destroying this root key closes every copy of what it wrapped."""
        ...

    def destroy(self, root: RootKey) -> None:
        """Destroy the root key for good; nothing happens where it is gone already."""
        ...
