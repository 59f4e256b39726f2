"""Backups of homes: what of a home goes into one, and where it is kept."""

from __future__ import annotations

from pathlib import Path

from memory_fabric.adapters.backup_folder import BackupFolder
from memory_fabric.core.access import Requester
from memory_fabric.core.backup import Manifest
from memory_fabric.core.errors import NotFound
from memory_fabric.core.records import Damage
from memory_fabric.flows import backup
from memory_fabric.flows.backup import BackedUp
from memory_fabric.wiring.home import Home
from memory_fabric.wiring.paths import Paths


def back_up(home: Home, requester: Requester, folder: Path, keep: int = backup.KEEP) -> BackedUp:
    """Bring a folder of backups up to this moment.

    Raises:
        InputError: ``backup-place-taken``.
        HomeError, IntegrityViolated, Unavailable: those of ``flows.backup.create``.
    """
    store = BackupFolder.create(folder)
    with home.changing_rules:  # not half of the old rules and half of the new ones
        files = small_files(Paths(home.path))
    return backup.create(
        home.node, requester, store, files, home.sign, keep=keep, progress=home.progress
    )


def check_backup(
    home: Home, folder: Path, number: int | None = None
) -> tuple[Manifest, list[Damage]]:
    """Read a backup of this site, the newest where none is named; what is damaged in it.

    Raises:
        NotFound: ``backup-unknown``.
        HomeError: ``backup-foreign``.
        IntegrityViolated: ``backup-damaged``: its manifest.
    """
    store = BackupFolder(folder)
    me = home.node.me
    manifest = backup.read(store, newest(store, folder, number), me.site_id, me.signing_key)
    return manifest, backup.check(store, manifest, home.progress)


def newest(store: BackupFolder, folder: Path, number: int | None) -> int:
    """The number asked for, or the last one."""
    numbers = store.manifests()
    if number is None and not numbers:
        raise NotFound(
            "backup-unknown",
            f"No backup in {folder} was ever completed.",
            "Run `memory-fabric backup create` again; it goes on where it was.",
        )
    return numbers[-1] if number is None else number


def small_files(paths: Paths) -> dict[str, bytes]:
    """What a home needs beside records, ledger and keys: settings, roster, rules, sealed runs."""
    folders = (paths.policies.parent, paths.runs)
    found = [paths.settings, paths.roster]
    found += [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(paths.root)): path.read_bytes() for path in found}
