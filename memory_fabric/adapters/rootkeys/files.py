"""A file beside the keyring for each root key, named by the id that it begins with.

While one root key takes the place of another there are two: ``root.key`` and ``root.next.key``.
Destroying the first gives its name to the second.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from memory_fabric.adapters.files import sync, wipe
from memory_fabric.core.errors import HomeError, Unavailable

_ID_BYTES = 8


class RootFiles:
    """The files of one kind of root key: ``root.SUFFIX``, its owner's alone (mode 0600)."""

    def __init__(self, folder: Path, suffix: str) -> None:
        self._first = folder / f"root.{suffix}"
        self._next = folder / f"root.next.{suffix}"

    def create(self, root_id: str, content: bytes) -> None:
        """A new file, durable before this returns.

        Raises:
            HomeError: ``root-key-exists``.
            Unavailable: ``root-key-unwritable``.
        """
        if any(_read(path)[:_ID_BYTES].hex() == root_id for path in self._there()):
            raise _exists(self._first)
        path = self._next if self._first.exists() else self._first
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with _writing(path):
            try:
                descriptor = os.open(path, flags, 0o600)
            except FileExistsError:
                raise _exists(path) from None
            with os.fdopen(descriptor, "wb") as file:
                file.write(bytes.fromhex(root_id) + content)
                file.flush()
                os.fsync(descriptor)
            sync(path.parent)

    def read(self, root_id: str) -> bytes:
        """What the root key's file holds after its id.

        Raises:
            HomeError: ``root-key-missing``, ``root-key-readable`` (by group or others),
                ``root-key-wrong``: there are only other root keys.
        """
        contents = [_read(path) for path in self._there()]
        if not contents:
            raise HomeError(
                "root-key-missing",
                f"The root key {self._first} cannot be read.",
                "Bring it back: without it the home cannot be opened.",
            )
        for content in contents:
            if content[:_ID_BYTES].hex() == root_id:
                return content[_ID_BYTES:]
        raise wrong()

    def destroy(self, root_id: str) -> None:
        """Overwrite and remove the root key's file, if it is there.

        Raises:
            Unavailable: ``root-key-unwritable``.
        """
        with _writing(self._first):
            self._destroy(root_id)

    def _destroy(self, root_id: str) -> None:
        for path in self._there():
            # What a crash cut short in the making, or after the overwriting, belongs to nobody.
            begins = _read(path)[:_ID_BYTES]
            if begins.hex() == root_id or len(begins) < _ID_BYTES or not any(begins):
                wipe(path)
        if self._next.exists() and not self._first.exists():
            self._next.rename(self._first)
            sync(self._first.parent)

    def _there(self) -> list[Path]:
        return [path for path in (self._first, self._next) if path.exists()]


def _read(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        raise HomeError(
            "root-key-missing",
            f"The root key {path} cannot be read.",
            "Bring it back: without it the home cannot be opened.",
        ) from None
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077:
            raise HomeError(
                "root-key-readable",
                f"Others than its owner can read the root key {path}.",
                f"Run `chmod 600 {path}`, and ask who may have read it.",
            )
        return file.read()


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            "root-key-unwritable",
            f"The root key {path} cannot be written ({error.strerror}).",
            "Make sure that the disk has room and that the folder may be written.",
        ) from None


def _exists(path: Path) -> HomeError:
    return HomeError(
        "root-key-exists",
        f"There is a root key {path} already.",
        "Keep it: whatever it wraps can be opened with nothing else.",
    )


def wrong() -> HomeError:
    """The root key is another home's, or the keyring is."""
    return HomeError(
        "root-key-wrong",
        "The root key does not open this home's keyring.",
        "Bring the root key that belongs to this home.",
    )
