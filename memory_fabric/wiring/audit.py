"""What is damaged in a home that may be too damaged to be opened."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from memory_fabric.adapters.clock import SystemClock
from memory_fabric.adapters.keystore import SqliteKeyStore
from memory_fabric.adapters.lance import LanceStack
from memory_fabric.adapters.ledger import SqlLedger
from memory_fabric.adapters.rootkeys import ProvidedRootKeys, nobody_to_ask
from memory_fabric.adapters.roster import RosterFile
from memory_fabric.adapters.snapshot_files import SnapshotFiles
from memory_fabric.config import load_settings
from memory_fabric.core.errors import HomeError, IntegrityViolated
from memory_fabric.core.records import Damage
from memory_fabric.flows.snapshot import check
from memory_fabric.vault.identity import SIGNING_SECRET, Signer
from memory_fabric.vault.keyring import Keyring
from memory_fabric.wiring.grid import accepted_grid_key
from memory_fabric.wiring.paths import Paths


def audit_home(
    path: Path,
    error: IntegrityViolated | HomeError,
    ask: Callable[[str], str] = nobody_to_ask,
) -> list[Damage]:
    """What opening failed on, and then every part by itself: one does not hide the others.

    Args:
        path: the home.
        error: what opening it, or reading it, raised.
        ask: asks the operator for a passphrase or a PIN.

    Raises:
        HomeError: that error, where it tells of no lost or changed file: there is no home, it is
            in use, the root key is missing or another home's.
    """
    paths = Paths(path)
    if isinstance(error, HomeError):
        lost = error.details.get("missing", [])
        if not lost:
            raise error
        return [Damage(name, "It is gone; a home is never made without it.") for name in lost]
    settings = load_settings(paths.settings)
    damages = _damages(error, "home")
    store = SqliteKeyStore(paths.keyring)
    try:
        roots = ProvidedRootKeys(settings.site_id, paths.keys, settings.keys, ask)
        keyring = Keyring.open(store, roots, settings.site_id, SystemClock())
        signer = Signer(keyring.secret(SIGNING_SECRET))
    except IntegrityViolated:
        return damages
    finally:
        store.close()
    damages += SqlLedger.audit(paths.ledger, settings.site_id, signer.public, paths.anchor)
    damages += _tried(
        "roster.json", lambda: RosterFile(paths.roster).load(accepted_grid_key(keyring))
    )
    damages += check(SnapshotFiles(paths.snapshot), keyring, settings.site_id)
    damages += _tried("stack", lambda: [len(batch) for batch in LanceStack(paths.stack).scan()])
    return list(dict.fromkeys(damages))


def _tried(name: str, read: Callable[[], object]) -> list[Damage]:
    try:
        read()
    except IntegrityViolated as error:
        return _damages(error, name)
    return []


def _damages(error: IntegrityViolated, name: str) -> list[Damage]:
    return [Damage(damaged, error.what) for damaged in error.details.get("damaged", [name])]
