"""The port ``SnapshotStore``, on disk and as a fake: what counts, and from when on."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from memory_fabric.adapters.snapshot_files import SnapshotFiles
from memory_fabric.core.errors import Unavailable
from memory_fabric.core.ports import SnapshotStore
from tests.fakes.snapshots import MemorySnapshots


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "snapshot"


@pytest.fixture(params=["files", "memory"])
def store(request: pytest.FixtureRequest, folder: Path) -> SnapshotStore:
    return SnapshotFiles(folder) if request.param == "files" else MemorySnapshots()


def content(store: SnapshotStore, name: str) -> bytes:
    with store.reading(name) as read:
        return b"".join(iter(lambda: read(3), b""))


def test_what_was_published_is_read_back(store: SnapshotStore) -> None:
    assert store.manifest() is None
    store.write("one", [b"abcd", bytearray(b"ef")])
    assert store.manifest() is None
    store.publish(b"manifest")
    assert (store.manifest(), content(store, "one")) == (b"manifest", b"abcdef")


def test_a_chunk_may_be_overwritten_by_the_next(store: SnapshotStore) -> None:
    def chunks() -> Iterator[bytearray]:
        chunk = bytearray(b"first")
        yield chunk
        chunk[:] = b"other"
        yield chunk

    store.write("one", chunks())
    assert content(store, "one") == b"firstother"


def test_old_chunks_go_when_new_ones_count(store: SnapshotStore) -> None:
    for name in ("one", "two"):
        store.write(name, [name.encode()])
        store.publish(b"of " + name.encode())
        store.drop(keep=name)
    assert (store.manifest(), content(store, "one"), content(store, "two")) == (
        b"of two", b"", b"two",
    )  # fmt: skip
    store.drop()
    store.drop()
    assert (store.manifest(), content(store, "two")) == (None, b"")


def test_a_write_that_breaks_off_leaves_the_old_snapshot(store: SnapshotStore) -> None:
    def broken() -> Iterator[bytes]:
        yield b"half"
        raise KeyboardInterrupt

    store.write("one", [b"whole"])
    store.publish(b"manifest")
    with pytest.raises(KeyboardInterrupt):
        store.write("two", broken())
    assert (store.manifest(), content(store, "one")) == (b"manifest", b"whole")
    store.drop(keep="one")
    assert content(store, "two") == b""


def test_the_files_are_their_owner_s_alone_and_leave_nothing(folder: Path) -> None:
    files = SnapshotFiles(folder)
    files.write("one", [b"x"])
    files.publish(b"manifest")
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())]
    assert sorted(modes) == [0o600, 0o600, 0o700]
    files.drop()
    assert list(folder.iterdir()) == []


def test_a_disk_in_the_way_is_said(folder: Path) -> None:
    folder.write_text("a file where the folder should be")
    files = SnapshotFiles(folder)
    with pytest.raises(Unavailable) as refused:
        files.write("one", [b"x"])
    assert refused.value.code == "snapshot-unwritable"
    assert files.manifest() is None
