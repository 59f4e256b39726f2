"""Root keys of every kind, each an entry point of the group ``memory_fabric.key_providers``.

An entry point names a class like ``FileRootKeys``: made with a ``KeyPlace``, it creates, opens and
destroys root keys by their ids. ``tests/contract/test_key_provider.py`` says how it has to behave.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

from memory_fabric.core.errors import HomeError, InputError
from memory_fabric.core.key_ports import KeyPlace, KeyProvider, RootKey, RootKeyKind

GROUP = "memory_fabric.key_providers"
"""The group of entry points that kinds of root keys are found by."""


def nobody_to_ask(what: str) -> str:
    """What is used where nobody can be asked for a passphrase or a PIN."""
    raise HomeError(
        "passphrase-missing",
        f"{what} is needed, and nobody can be asked for it here.",
        "Name a file for it in site.toml, give a descriptor with --passphrase-fd, or run the "
        "command on a terminal.",
    )


@dataclass
class ProvidedRootKeys:
    """Port ``RootKeys`` over every kind that is installed.

    Attributes:
        site_id: the site.
        folder: the home's ``keys/``.
        settings: by kind, its table in ``site.toml``.
        ask: asks the operator for a passphrase or a PIN.
    """

    site_id: str
    folder: Path
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    ask: Callable[[str], str] = nobody_to_ask
    _kinds: dict[str, tuple[Mapping[str, Any], RootKeyKind]] = field(default_factory=dict)

    def check(self, root: RootKey) -> None:
        """Whether this kind is installed and set up."""
        self._kind(root.provider, None)

    def create(self, root: RootKey, passphrase: str | None = None) -> None:
        """Make the root key, durably."""
        self._kind(root.provider, passphrase).create(root.id)

    def open(self, root: RootKey, passphrase: str | None = None) -> KeyProvider:
        """The provider that holds it."""
        return self._kind(root.provider, passphrase).open(root.id)

    def closes_copies(self, root: RootKey) -> bool:
        """Whether destroying it closes every copy of what it wrapped."""
        return self._kind(root.provider, None).closes_copies

    def destroy(self, root: RootKey) -> None:
        """Destroy it for good."""
        self._kind(root.provider, None).destroy(root.id)

    def _kind(self, name: str, passphrase: str | None) -> RootKeyKind:
        settings = self.settings.get(name, {})
        ask = self.ask if passphrase is None else lambda _: passphrase
        place = KeyPlace(self.site_id, self.folder, settings, ask, passphrase)
        if passphrase is not None:
            return _found(name)(place)
        # One object a kind, so that a token's remembers its PIN: an erasure changes the root key in
        # the background, where nobody can be asked again.
        set_up, kind = self._kinds.get(name, (None, None))
        if kind is None or set_up != settings:
            kind = _found(name)(place)
            self._kinds[name] = settings, kind
        return kind


def kinds() -> list[str]:
    """Names of the kinds that are installed, sorted."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def _found(name: str) -> Callable[[KeyPlace], RootKeyKind]:
    for point in entry_points(group=GROUP, name=name):
        return cast(Callable[[KeyPlace], RootKeyKind], point.load())
    raise InputError(
        "key-provider-unknown",
        f"No kind of root key is called {name!r} here.",
        f"Use one of {', '.join(kinds())}, or install the package that brings it.",
    )
