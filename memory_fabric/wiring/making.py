"""A home in the making: complete at its place, or not there at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memory_fabric.adapters.files import sync
from memory_fabric.core.errors import HomeError
from memory_fabric.wiring.paths import Paths


def check_free(path: Path) -> None:
    """Raise ``home-exists`` where ``path`` is anything but missing or an empty directory."""
    if path.is_symlink() or (path.exists() and (not path.is_dir() or any(path.iterdir()))):
        raise HomeError(
            "home-exists",
            "There is something at this place already.",
            "Choose another --home, or remove it if nothing in it is needed.",
        )


@contextmanager
def home_in_making(path: Path) -> Iterator[Paths]:
    """A place beside ``path`` to make a home in; put there when the block ends well, else removed.

    Args:
        path: free, as ``check_free`` says.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    building = Paths(path.parent / f".{path.name}.{secrets.token_hex(4)}.partial")
    building.root.mkdir(mode=0o700)
    try:
        for part in (building.keys, building.lock.parent):
            part.mkdir(mode=0o700)
        yield building
        if path.exists():
            path.rmdir()
        os.rename(building.root, path)
        sync(path.parent)
    except BaseException:
        shutil.rmtree(building.root, ignore_errors=True)
        raise
