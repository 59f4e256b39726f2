"""Restoring a home: from a backup, and from the keys, which are in none."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from memory_fabric.adapters.backup_folder import BackupFolder
from memory_fabric.adapters.files import replace_file
from memory_fabric.adapters.lance import LanceStack
from memory_fabric.adapters.ledger import SqlLedger
from memory_fabric.adapters.ledger.anchor import Anchor
from memory_fabric.adapters.rootkeys import nobody_to_ask
from memory_fabric.core.access import Requester, Role
from memory_fabric.core.backup import Manifest
from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.flows import backup
from memory_fabric.vault.identity import SIGNING_SECRET, Signer
from memory_fabric.vault.keyring import Keyring
from memory_fabric.wiring.backups import newest
from memory_fabric.wiring.home import Home, open_home
from memory_fabric.wiring.making import check_free, home_in_making
from memory_fabric.wiring.paths import Paths

OpenKeys = Callable[[Paths, str], Keyring]
"""Puts the keys of the site with this name into a home that is being made, and opens them."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Restored:
    """A home that stands again.

    Attributes:
        manifest: the backup that it came from.
        erased: records of people who were erased after the backup was made; they are gone again.
        receipt: the receipt that records it.
    """

    manifest: Manifest
    erased: int
    receipt: str


def restore_home(
    path: Path,
    folder: Path,
    keys: OpenKeys,
    os_user: str,
    *,
    number: int | None = None,
    progress: Progress | None = None,
    ask: Callable[[str], str] = nobody_to_ask,
) -> Restored:
    """Make a home from a backup; every byte of it is checked on the way.

    Args:
        path: must not exist, or be an empty directory.
        folder: of backups.
        keys: puts the site's keys into the home.
        os_user: who restores, for the receipt.
        number: which backup; the newest where left out.
        ask: asks the operator for a passphrase or a PIN.

    Raises:
        HomeError: ``home-exists``; ``root-key-wrong``: the keys are not this site's.
        NotFound: ``backup-unknown``.
        IntegrityViolated: ``backup-damaged``; nothing is left at ``path``.
    """
    check_free(path)
    store = BackupFolder(folder)
    asked = newest(store, folder, number)
    with home_in_making(path) as building:
        site = _site_named(store, asked)
        signer = Signer(keys(building, site).secret(SIGNING_SECRET))
        manifest = backup.read(store, asked, site, signer.public)
        _fill(building, store, manifest, signer, progress)
    try:
        with open_home(path, load=False, ask=ask) as home:
            erased, receipt = backup.drop_erased(home.node, _operator(home, os_user), manifest)
            home.load()
    except IntegrityViolated:
        shutil.rmtree(path, ignore_errors=True)
        raise
    return Restored(manifest, erased, receipt)


def _operator(home: Home, os_user: str) -> Requester:
    tenant = next(iter(sorted(home.node.settings.tenants)))
    return Requester(f"os:{os_user}", tenant, Role.OPERATOR, frozenset(), True)


def _fill(
    building: Paths,
    store: BackupFolder,
    manifest: Manifest,
    signer: Signer,
    progress: Progress | None,
) -> None:
    for name, kept in manifest.files.items():
        place = PurePosixPath(name)
        if place.is_absolute() or ".." in place.parts:
            raise _damaged(manifest, "names a file outside the home")
        target = building.root / place
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(target, store.get(kept), durable=True)
    replace_file(building.ledger, b"".join(map(store.get, manifest.ledger)), durable=True)
    Anchor(building.anchor).write(manifest.checkpoint, durable=True)
    where = building.ledger, manifest.site
    if SqlLedger.audit(*where, signer.public, building.anchor):
        raise _damaged(manifest, "holds a ledger that is not as it was signed")
    ledger = SqlLedger.open(*where, signer.sign, signer.public, building.anchor)
    try:
        live = {entry.rid: entry for entry in ledger.catalog()}
    finally:
        ledger.close()
    stack = LanceStack.create(building.stack)
    done = 0
    for batch in backup.records(store, manifest, live):
        stack.write(batch)
        done += len(batch)
        if progress:
            progress(done, len(live))
    SqlLedger.put_back(building.ledger, stack.version)


def _site_named(store: BackupFolder, number: int) -> str:
    """Whose backup it says it is; what it says counts once its signature is checked."""
    try:
        return str(json.loads(store.read_manifest(number)[0])["site"])
    except (ValueError, KeyError, TypeError):
        raise IntegrityViolated(
            "backup-damaged",
            f"The manifest of backup {number} cannot be read.",
            "Take an older backup.",
            {"damaged": [f"manifests/{number}"]},
        ) from None


def _damaged(manifest: Manifest, what: str) -> IntegrityViolated:
    return IntegrityViolated(
        "backup-damaged",
        f"Backup {manifest.number} {what}.",
        "Take an older backup, and find out who changed this one.",
        {"damaged": [f"manifests/{manifest.number}"]},
    )
