"""The snapshot's files: private, durable, and counting only from the manifest on."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from memory_fabric.adapters.snapshot_files import SnapshotFiles
from memory_fabric.core.errors import Unavailable


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "snapshot"


def content(files: SnapshotFiles, name: str) -> bytes:
    with files.reading(name) as read:
        return b"".join(iter(lambda: read(3), b""))


def test_what_was_published_is_read_back(folder: Path) -> None:
    files = SnapshotFiles(folder)
    assert files.manifest() is None
    files.write("one", [b"abcd", bytearray(b"ef")])
    assert files.manifest() is None
    files.publish(b"manifest")
    assert (files.manifest(), content(files, "one")) == (b"manifest", b"abcdef")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())]
    assert sorted(modes) == [0o600, 0o600, 0o700]


def test_old_chunks_go_when_new_ones_count(folder: Path) -> None:
    files = SnapshotFiles(folder)
    for name in ("one", "two"):
        files.write(name, [name.encode()])
        files.publish(b"of " + name.encode())
        files.drop(keep=name)
    assert sorted(path.name for path in folder.iterdir()) == ["manifest", "two"]
    files.drop()
    files.drop()
    assert list(folder.iterdir()) == []
    assert (files.manifest(), content(files, "two")) == (None, b"")


def test_a_write_that_breaks_off_leaves_the_old_snapshot(folder: Path) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    files = SnapshotFiles(folder)
    files.write("one", [b"whole"])
    files.publish(b"manifest")
    with pytest.raises(KeyboardInterrupt):
        files.write("two", broken())
    assert (files.manifest(), content(files, "one")) == (b"manifest", b"whole")
    files.drop(keep="one")
    assert sorted(path.name for path in folder.iterdir()) == ["manifest", "one"]


def test_a_disk_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "snapshot").write_text("a file where the folder should be")
    files = SnapshotFiles(tmp_path / "snapshot")
    with pytest.raises(Unavailable) as refused:
        files.write("one", [b"x"])
    assert refused.value.code == "snapshot-unwritable"
    assert files.manifest() is None
