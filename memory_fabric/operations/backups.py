"""Operations of backups, for the operator."""

from __future__ import annotations

from pathlib import Path

from memory_fabric.core.access import Requester
from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.operations.shapes import Json
from memory_fabric.wiring import Home
from memory_fabric.wiring.backups import back_up, check_backup


def backup_create(home: Home, requester: Requester, *, folder: str, keep: int) -> Json:
    """Bring a folder of backups up to this moment."""
    made = back_up(home, requester, Path(folder), keep)
    manifest = made.manifest
    return {
        "folder": folder,
        "number": manifest.number,
        "at": manifest.at.isoformat(),
        "records": manifest.live,
        "written": made.written,
        "pruned": made.pruned,
        "receipts": manifest.checkpoint.size,
        "receipt": made.receipt,
    }


def backup_check(
    home: Home, requester: Requester, *, folder: str, number: int | None = None
) -> Json:
    """Read a backup and say whether it is as it was written; ``backup-damaged`` where not."""
    manifest, damages = check_backup(home, Path(folder), number)
    if damages:
        raise IntegrityViolated(
            "backup-damaged",
            f"{len(damages)} objects of backup {manifest.number} are not as they were written.",
            "Back up into a new folder while the site still stands, and find out what happened.",
            {"damaged": [item.file for item in damages]},
        )
    return {
        "folder": folder,
        "number": manifest.number,
        "at": manifest.at.isoformat(),
        "records": manifest.live,
        "objects": len(manifest.objects),
    }
