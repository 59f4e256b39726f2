"""Operations on the site's keys: for its operator. They give no key and no name away."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from memory_fabric.core.access import Requester
from memory_fabric.core.errors import InputError
from memory_fabric.flows.escrow import escrow_state
from memory_fabric.operations.shapes import Json
from memory_fabric.wiring import Home


def keys_status(home: Home, requester: Requester) -> Json:
    """Ages, counts and coverage of the site's keys."""
    node = home.node
    keyring, now = node.keyring, node.clock.now()
    epoch, escrow, snapshot = keyring.epoch_key, escrow_state(keyring), keyring.snapshot_made_at
    return {
        "root": {
            "provider": epoch.root.provider,
            "id": epoch.root.id,
            **_age(epoch.root.made_at, now),
        },
        "epoch": {"number": epoch.number, **_age(epoch.made_at, now)},
        "keys": keyring.counts(),
        "rows": keyring.coverage(),
        "records": {str(number): count for number, count in sorted(node.stack.epochs().items())},
        "escrow": {
            "state": escrow.word,
            "made_at": escrow.made_at and escrow.made_at.isoformat(),
            "erased": escrow.erased,
            "lacking": escrow.lacking,
            "advice": escrow.advice,
        },
        "snapshot": snapshot and _age(snapshot, now),
        "to_destroy": [{"provider": root.provider, "id": root.id} for root in keyring.roots_left],
    }


def keys_rotate(
    home: Home,
    requester: Requester,
    *,
    root: bool = False,
    epoch: bool = False,
    to: str | None = None,
    passphrase: str | None = None,
) -> Json:
    """Another root key, a fresh epoch key, or both."""
    if not root and not epoch:
        raise InputError(
            "rotation-missing", "Nothing is to be rotated.", "Name --root, --epoch or both."
        )
    done = home.rotate(requester, root=root, epoch=epoch, provider=to, passphrase=passphrase)
    return {
        "epoch": done.epoch,
        "provider": done.provider,
        "receipt": done.receipt,
        "to_destroy": list(done.left),
    }


def keys_escrow(home: Home, requester: Requester, *, file: str) -> Json:
    """Write the keyring into a file; its key is shown once and kept nowhere."""
    path = Path(file)
    if not path.is_absolute():
        raise InputError("file-invalid", "The file is not named from `/`.", "Name it in full.")
    done = home.escrow(requester, path)
    return {"file": file, "key": done.key, "keys": done.keys, "receipt": done.receipt}


def _age(made_at: datetime, now: datetime) -> Json:
    return {"made_at": made_at.isoformat(), "days": max(0, (now - made_at).days)}
