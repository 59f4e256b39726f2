"""What officers do with a publication folder: no home is needed for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.clock import SystemClock
from memory_fabric.adapters.signing.officers import Ask, OfficerKey, load_officer, open_key
from memory_fabric.adapters.signing.publication import Publication, Signed, State
from memory_fabric.wiring.proofs import check_whole


def make_key(name: str, folder: Path, passphrase: str) -> tuple[Path, Path]:
    """A new officer's key: the secret file and the public one.

    Raises:
        InputError: ``officer-name-invalid``, ``passphrase-weak``, ``file-exists``, ...
    """
    return OfficerKey.create(name).save(folder, passphrase)


def begin_publication(
    folder: Path, officers: Sequence[Path], threshold: int, publishers: Sequence[Path]
) -> State:
    """A publication folder with a draft of the officers' root.

    Raises:
        InputError: those of ``Publication.create`` and ``load_officer``.
    """
    keys = [load_officer(path) for path in officers]
    made = Publication.create(
        folder, keys, threshold, [load_officer(path) for path in publishers], _now()
    )
    return made.state()


def change_officers(
    folder: Path, officers: Sequence[Path], threshold: int, publishers: Sequence[Path]
) -> Signed:
    """Draft the next root, with these officers in place of those before."""
    keys = [load_officer(path) for path in officers]
    others = [load_officer(path) for path in publishers]
    return Publication(folder).change_officers(keys, threshold, others, _now())


def sign_officers(folder: Path, key: Path, ask: Ask) -> Signed:
    """Sign the drafted root."""
    return Publication(folder).sign_root(open_key(key, ask))


def sign_rules(bundle: Path, folder: Path, key: Path, ask: Ask, replace: bool = False) -> Signed:
    """Sign a bundle that passes its checks, its cases and its properties.

    Raises:
        PolicyInvalid: it does not.
        InputError: those of ``Publication.sign_rules``.
    """
    publication = Publication(folder)
    now = _now()
    check_whole(bundle, now)
    return publication.sign_rules(read_bundle(bundle), open_key(key, ask), now, replace)


def publish(folder: Path, key: Path, ask: Ask, offline: bool = False) -> State:
    """Say which rules are the newest."""
    return Publication(folder).publish(open_key(key, ask), _now(), offline)


def publication_state(folder: Path) -> State:
    """What a publication folder holds."""
    return Publication(folder).state()


def _now() -> datetime:
    return SystemClock().now()
