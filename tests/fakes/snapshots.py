"""The sealed snapshot in memory, as plain as its port."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager


class MemorySnapshots:
    """Port ``SnapshotStore``."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}

    def manifest(self) -> bytes | None:
        return self.files.get("manifest")

    @contextmanager
    def reading(self, name: str) -> Iterator[Callable[[int], bytes]]:
        yield io.BytesIO(self.files.get(name, b"")).read

    def write(self, name: str, chunks: Iterable[bytes | bytearray]) -> None:
        self.files[name] = b""
        for chunk in chunks:
            self.files[name] += chunk

    def publish(self, manifest: bytes) -> None:
        self.files["manifest"] = manifest

    def drop(self, keep: str | None = None) -> None:
        kept = {"manifest", keep} if keep else set()
        self.files = {name: content for name, content in self.files.items() if name in kept}
