"""Small files that are replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path

from memory_fabric.core.errors import InputError

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


def supersede(path: Path, content: bytes) -> None:
    """``replace_file``, durably, and then overwrite the bytes of the file that stood there.

    Raises:
        InputError: ``file-unwritable``.
    """
    try:
        old = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC) if path.exists() else None
        try:
            replace_file(path, content, durable=True)
            if old is not None:
                _overwrite(old)
        finally:
            if old is not None:
                os.close(old)
    except OSError as error:
        raise InputError(
            "file-unwritable",
            f"The file cannot be written ({error.strerror}).",
            "Make sure that the disk has room and works, or name another file.",
        ) from None


def refuse_other(path: Path, magic: bytes) -> None:
    """Refuse a place where something stands that does not begin like what is to go there.

    Raises:
        InputError: ``file-exists``; ``file-unwritable``, there is no folder for it.
    """
    if not path.parent.is_dir():
        raise InputError(
            "file-unwritable", "There is no folder for this file.", "Make it, or name another."
        )
    if path.is_symlink() or (path.exists() and not path.is_file()):
        begins = b""
    elif path.exists():
        with path.open("rb") as file:
            begins = file.read(len(magic))
    else:
        return
    if begins != magic:
        raise InputError(
            "file-exists", "Something else stands where the file is to go.", "Name another file."
        )


def wipe(path: Path) -> None:
    """Overwrite a file's bytes where they stand, and remove it, durably."""
    descriptor = os.open(path, os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        _overwrite(descriptor)
    finally:
        os.close(descriptor)
    path.unlink()
    sync(path.parent)


def _overwrite(descriptor: int) -> None:
    """Zeros in the place of a file's bytes. Whether those are gone from the medium is up to file
    system and drive: some write elsewhere and keep what was there.
    """
    left = os.fstat(descriptor).st_size
    while left > 0:
        left -= os.write(descriptor, bytes(min(left, _BLOCK)))
    os.fsync(descriptor)
