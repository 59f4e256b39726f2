"""The sealed snapshot on disk: one file of chunks, and the manifest that makes it count."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from memory_fabric.adapters.files import replace_file, sync
from memory_fabric.core.errors import Unavailable

_MANIFEST = "manifest"


class SnapshotFiles:
    """Port ``SnapshotStore`` over a folder of its owner's alone. Holds ciphertext only.

    Chunks are written under a name of their own and are durable before the manifest names them;
    the manifest is exchanged as a whole. So a crash leaves the old snapshot, or the new one.

    Raises:
        Unavailable: ``snapshot-unwritable``, from methods that write.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def manifest(self) -> bytes | None:
        """The sealed manifest; ``None`` where there is no snapshot."""
        try:
            return (self._folder / _MANIFEST).read_bytes()
        except OSError:
            return None

    @contextmanager
    def reading(self, name: str) -> Iterator[Callable[[int], bytes]]:
        """A function that gives the next so many bytes of a file of chunks; none at its end."""
        try:
            file = (self._folder / name).open("rb", buffering=0)
        except OSError:
            yield lambda _: b""
            return

        def read(count: int) -> bytes:
            try:
                return file.read(count) or b""
            except OSError:  # what cannot be read is missing, and seen to be by its seal
                return b""

        with file:
            yield read

    def write(self, name: str, chunks: Iterable[bytes | bytearray]) -> None:
        """Write a file of chunks, durably; it counts for nothing yet."""
        with _errors():
            self._folder.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
            descriptor = os.open(self._folder / name, flags, 0o600)
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                for chunk in chunks:
                    file.write(chunk)
                os.fsync(descriptor)
            sync(self._folder)

    def publish(self, manifest: bytes) -> None:
        """Put the manifest in place, durably: now the chunks that it names count."""
        with _errors():
            replace_file(self._folder / _MANIFEST, manifest, durable=True)

    def drop(self, keep: str | None = None) -> None:
        """Remove everything; with ``keep`` all but the manifest and that file of chunks."""
        kept = {_MANIFEST, keep} if keep else set()
        with _errors():
            if not self._folder.is_dir():
                return
            doomed = [path for path in self._folder.iterdir() if path.name not in kept]
            for path in doomed:
                path.unlink(missing_ok=True)
            if doomed:
                sync(self._folder)


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            "snapshot-unwritable",
            f"The snapshot of the searchable copy cannot be written ({error.strerror}).",
            "Make sure that the disk has room; until then opening rebuilds the copy.",
        ) from None
