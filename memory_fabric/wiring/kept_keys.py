"""Keys for a home that is being restored: from another home's folder of keys."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from memory_fabric.adapters.clock import SystemClock
from memory_fabric.adapters.keystore import SqliteKeyStore
from memory_fabric.adapters.rootkeys import ProvidedRootKeys, nobody_to_ask
from memory_fabric.config import load_settings
from memory_fabric.core.errors import HomeError
from memory_fabric.vault.keyring import Keyring
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
