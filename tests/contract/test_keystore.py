"""What every key store keeps, and what the one on disk leaves there."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from memory_fabric.adapters import keystore
from memory_fabric.adapters.keystore import SqliteKeyStore
from memory_fabric.core.errors import HomeError, IntegrityViolated, Unavailable
from memory_fabric.core.key_ports import KeyStore, WrappedKey
from tests.fakes.keystore import MemoryKeyStore


def a_key(epoch: int = 1) -> WrappedKey:
    return WrappedKey(secrets.token_bytes(16), "key", epoch, secrets.token_bytes(300))


def by_id(keys: list[WrappedKey]) -> dict[bytes, WrappedKey]:
    return {key.id: key for key in keys}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keyring.db"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, file: Path) -> KeyStore:
    return MemoryKeyStore() if request.param == "memory" else SqliteKeyStore.create(file)


class TestEveryStore:
    def test_keeps_what_was_put(self, store: KeyStore) -> None:
        keys = [a_key() for _ in range(5)]
        store.change(keys[:3])
        store.change(keys[3:])
        assert by_id(store.load()) == by_id(keys)

    def test_destroys_what_it_is_told_and_no_more(self, store: KeyStore) -> None:
        keys = [a_key() for _ in range(4)]
        store.change(keys)
        store.change([], [keys[1].id, secrets.token_bytes(16)])
        assert by_id(store.load()) == by_id([keys[0], *keys[2:]])

    def test_adds_and_removes_in_one_step_also_under_the_same_id(self, store: KeyStore) -> None:
        keys = [a_key() for _ in range(4)]
        store.change(keys)
        other, again = a_key(), replace(keys[0], epoch=2, wrapped=secrets.token_bytes(40))
        store.change([other, again], [keys[0].id, keys[1].id])
        assert by_id(store.load()) == by_id([again, other, *keys[2:]])

    def test_replaces_everything(self, store: KeyStore) -> None:
        keys = [a_key() for _ in range(3)]
        store.change(keys)
        renewed = [WrappedKey(key.id, key.kind, 2, secrets.token_bytes(300)) for key in keys]
        for rows in (renewed, [*keys, *renewed[:0]], renewed):
            store.replace(iter(rows))
            assert by_id(store.load()) == by_id(rows)
        store.change([a_key()], [keys[0].id])
        assert len(store.load()) == len(keys)


class TestSqlite:
    def test_is_there_again_after_reopening(self, file: Path) -> None:
        keys = [a_key() for _ in range(200)]
        SqliteKeyStore.create(file).change(keys)
        assert by_id(SqliteKeyStore(file).load()) == by_id(keys)

    def test_is_its_owner_s_alone(self, file: Path) -> None:
        SqliteKeyStore.create(file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    @pytest.mark.parametrize("way", ["destroy", "replace"])
    def test_leaves_no_byte_of_a_destroyed_key(self, file: Path, way: str) -> None:
        store = SqliteKeyStore.create(file)
        keys = [a_key() for _ in range(400)]
        store.change(keys)
        doomed = keys[::3]
        kept = [key for key in keys if key not in doomed]
        assert all(occurs(file.parent, key.wrapped[:24]) for key in keys)
        if way == "destroy":
            store.change([], [key.id for key in doomed])
        else:
            store.replace(kept)
        for key in doomed:
            pieces = [key.wrapped[at : at + 16] for at in range(0, 300, 50)]
            assert not any(occurs(file.parent, piece) for piece in [key.id, *pieces])
        assert by_id(store.load()) == by_id(kept)

    @pytest.mark.parametrize("step", ["link", "replace", "wipe"])
    def test_a_replacement_that_a_crash_cut_short_leaves_one_keyring(
        self, file: Path, monkeypatch: pytest.MonkeyPatch, step: str
    ) -> None:
        store = SqliteKeyStore.create(file)
        old, new = ([a_key(epoch) for _ in range(400)] for epoch in (1, 2))
        store.change(old)

        def die(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as crash:
            # A killed process clears nothing away either.
            crash.setattr(SqliteKeyStore, "_clear_away", lambda _: None)
            if step == "wipe":
                store.replace(new)
            else:
                crash.setattr(*{"link": (os, "link"), "replace": (Path, "replace")}[step], die)
                with pytest.raises(KeyboardInterrupt):
                    store.replace(new)
        in_force, other = (new, old) if step == "wipe" else (old, new)
        assert all(occurs(file.parent, key.wrapped[:24]) for key in other)
        assert by_id(SqliteKeyStore(file).load()) == by_id(in_force)
        assert not any(occurs(file.parent, key.wrapped[:24]) for key in other)
        assert [path.name for path in file.parent.iterdir()] == [file.name]

    def test_a_full_disk_changes_nothing_and_can_be_got_over(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = SqliteKeyStore.create(file)
        keys = [a_key() for _ in range(400)]
        store.change(keys)

        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with monkeypatch.context() as disk:
            disk.setattr(os, "link", full)
            with pytest.raises(Unavailable) as refused:
                store.replace([a_key(2)])
        assert refused.value.code == "keyring-unwritable"
        assert by_id(store.load()) == by_id(keys)
        assert [path.name for path in file.parent.iterdir()] == [file.name]
        store.replace(keys[:3])
        assert by_id(store.load()) == by_id(keys[:3])

    def test_nothing_is_built_on_a_replacement_whose_sync_failed(
        self, file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = SqliteKeyStore.create(file)
        store.change([a_key()])
        new = [a_key(2)]

        def fail(path: Path) -> None:
            if path == file.parent:
                raise OSError(errno.EIO, "Input/output error")

        with monkeypatch.context() as disk:
            disk.setattr(keystore, "sync", fail)
            with pytest.raises(Unavailable):
                store.replace(new)
        with pytest.raises(Unavailable):
            store.change([a_key(2)])
        assert by_id(SqliteKeyStore(file).load()) == by_id(new)

    def test_a_missing_or_second_file_is_an_error_of_the_home(self, file: Path) -> None:
        with pytest.raises(HomeError) as missing:
            SqliteKeyStore(file)
        assert missing.value.code == "keyring-missing"
        assert not file.exists()
        SqliteKeyStore.create(file)
        with pytest.raises(HomeError) as second:
            SqliteKeyStore.create(file)
        assert second.value.code == "keyring-exists"

    @pytest.mark.parametrize("at", [0, 20, 100, 4096, 4100, 9000])
    def test_damage_is_seen(self, file: Path, at: int) -> None:
        store = SqliteKeyStore.create(file)
        store.change([a_key() for _ in range(50)])
        store.close()
        data = bytearray(file.read_bytes())
        data[at : at + 16] = secrets.token_bytes(16)
        file.write_bytes(data)
        seen: IntegrityViolated | None = None
        changed: list[WrappedKey] = []
        try:
            changed = SqliteKeyStore(file).load()
        except IntegrityViolated as error:
            seen = error
        if seen is None:  # inside an entry: its own seal tells (tests/unit/vault)
            assert len(changed) == 50
        else:
            assert seen.code == "keyring-damaged"
            assert seen.details["damaged"] == [f"{file.parent.name}/{file.name}"]


def occurs(folder: Path, needle: bytes) -> bool:
    return any(needle in path.read_bytes() for path in folder.rglob("*") if path.is_file())
