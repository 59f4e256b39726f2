"""Keys for a home that is being restored: from another home's folder of keys, or an escrow."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from memory_fabric.adapters.clock import SystemClock
from memory_fabric.adapters.keystore import SqliteKeyStore
from memory_fabric.adapters.rootkeys import ProvidedRootKeys, nobody_to_ask
from memory_fabric.config import load_settings
from memory_fabric.core.errors import HomeError, InputError
from memory_fabric.vault.escrow import open_escrow
from memory_fabric.vault.keyring import Keyring
from memory_fabric.vault.rotation import new_root
from memory_fabric.wiring.paths import Paths


def keys_of(
    folder: Path, paths: Paths, site: str, ask: Callable[[str], str] = nobody_to_ask
) -> Keyring:
    """Copy the keys of a home whose stack or ledger is lost."""
    if not (folder / paths.keyring.name).is_file():
        raise HomeError(
            "keyring-missing", f"There is no {paths.keyring.name} in {folder}.", "Name keys/."
        )
    for path in (folder / paths.keyring.name, *folder.glob("root.*")):
        shutil.copyfile(path, paths.keys / path.name)
        (paths.keys / path.name).chmod(0o600)
    beside = folder.parent / paths.settings.name
    settings = load_settings(beside).keys if beside.exists() else {}
    roots = ProvidedRootKeys(site, paths.keys, settings, ask)
    return Keyring.open(SqliteKeyStore(paths.keyring), roots, site, SystemClock())


def keys_in_escrow(
    file: Path,
    key: str,
    paths: Paths,
    site: str,
    *,
    provider: str = "file",
    settings: Mapping[str, Any] | None = None,
    ask: Callable[[str], str] = nobody_to_ask,
) -> Keyring:
    """Bring the keys of an escrow into a home that is being made, under a new root key.

    Args:
        file: the escrow.
        key: as ``keys escrow`` showed it.
        provider: kind of the new root key, with its settings.
        ask: asks the operator for a passphrase or a PIN.

    Raises:
        HomeError: ``home-foreign``: it is another site's.
        InputError: ``file-unreadable``, ``escrow-key-malformed``.
        IntegrityViolated: ``escrow-damaged``.
    """
    try:
        sealed = file.read_bytes()
    except OSError:
        raise InputError(
            "file-unreadable", "The escrow cannot be read.", "Check its name and rights."
        ) from None
    escrow = open_escrow(sealed, key)
    if escrow.site_id != site:
        raise HomeError(
            "home-foreign", "The escrow is another site's.", "Bring the one of this site."
        )
    clock = SystemClock()
    roots = ProvidedRootKeys(site, paths.keys, {provider: settings or {}}, cache(ask))
    root = new_root(provider, clock.now())
    roots.create(root)
    store = SqliteKeyStore.create(paths.keyring)
    return Keyring.create(store, roots, root, site, clock, contents=escrow.contents)
