"""Keys for a home that is being restored: from another home's folder of keys."""

from __future__ import annotations

import shutil
from pathlib import Path

from memory_fabric.adapters.keystore import SqliteKeyStore
from memory_fabric.adapters.rootkey import FileKeyProvider
from memory_fabric.core.errors import HomeError
from memory_fabric.vault.keyring import Keyring
from memory_fabric.wiring.paths import Paths


def keys_of(folder: Path, paths: Paths, site: str) -> Keyring:
    """Copy the keys of a home whose stack or ledger is lost."""
    for name in (paths.root_key.name, paths.keyring.name):
        if not (folder / name).is_file():
            raise HomeError("root-key-missing", f"There is no {name} in {folder}.", "Name keys/.")
        shutil.copyfile(folder / name, paths.root_key.parent / name)
        (paths.root_key.parent / name).chmod(0o600)
    store = SqliteKeyStore(paths.keyring)
    return Keyring.open(store, FileKeyProvider(paths.root_key), site)
