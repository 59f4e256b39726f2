"""Small files that are replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path

_BLOCK = 1 << 20


def replace_file(path: Path, content: bytes, *, durable: bool) -> None:
    """Put ``content`` where ``path`` is: a reader finds the old or the new, never a mixture.

    The file is its owner's alone (mode 0600).

    Args:
        path: the file; its folder exists.
        content: all of it.
        durable: whether to return only when file and folder are on stable storage.
    """
    draft = path.with_name(f"{path.name}.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        if durable:
            file.flush()
            os.fsync(descriptor)
    draft.replace(path)
    if durable:
        sync(path.parent)


def sync(path: Path) -> None:
    """Make a file's content, or the names in a folder, durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def wipe(path: Path) -> None:
    """Overwrite a file's bytes where they stand, and remove it, durably.

    Whether the old bytes are gone from the medium is up to file system and drive: some write
    elsewhere and keep what was there.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        left = os.fstat(descriptor).st_size
        while left > 0:
            left -= file.write(bytes(min(left, _BLOCK)))
        file.flush()
        os.fsync(descriptor)
    path.unlink()
    sync(path.parent)
