"""Packages in a file, for carrying by hand: each behind its length (8 bytes, big-endian)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from memory_fabric.adapters.files import sync
from memory_fabric.core.errors import InputError

SUFFIX = ".mfpkg"
"""How such a file's name ends."""

_LENGTH = 8
_LARGEST = 64 * 1024 * 1024


class PackageWriter:
    """Writes packages to a new file, each on stable storage before the next.

    The file is made with the first package.

    Raises:
        InputError: ``file-exists``.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._made = False
        if path.exists():
            raise _exists()

    def write(self, package: bytes) -> None:
        """Append a package."""
        flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
        flags |= 0 if self._made else os.O_CREAT | os.O_EXCL
        try:
            descriptor = os.open(self._path, flags, 0o600)
        except FileExistsError:
            raise _exists() from None
        except OSError as error:
            raise InputError(
                "file-unwritable",
                f"The file cannot be written ({error.strerror}).",
                "Name a place where there is room.",
            ) from None
        with os.fdopen(descriptor, "wb") as file:
            file.write(len(package).to_bytes(_LENGTH, "big") + package)
            file.flush()
            os.fsync(file.fileno())
        if not self._made:
            sync(self._path.parent)
        self._made = True


def read_packages(path: Path) -> Iterator[bytes]:
    """The packages of a file, in order.

    Raises:
        InputError: ``file-unreadable``: there is none, or it is cut short.
    """
    try:
        with path.open("rb") as file:
            while head := file.read(_LENGTH):
                length = int.from_bytes(head, "big")
                package = file.read(min(length, _LARGEST))
                if len(head) < _LENGTH or len(package) < length:
                    raise InputError(
                        "file-unreadable",
                        "The file does not hold whole packages.",
                        "What came before is taken in; copy the file anew and take it in again.",
                    )
                yield package
    except OSError:
        raise InputError("file-unreadable", "There is no such file.", "Check the path.") from None


def _exists() -> InputError:
    return InputError("file-exists", "There is a file of this name already.", "Name a new file.")
