"""What every key store and key provider keeps, and what the ones on disk leave there."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from memory_fabric.adapters.keystore import SqliteKeyStore
from memory_fabric.adapters.rootkey import FileKeyProvider
from memory_fabric.core.errors import HomeError, IntegrityViolated
from memory_fabric.core.ports import KeyProvider, KeyStore, WrappedKey
from tests.fakes.keystore import MemoryKeyProvider, MemoryKeyStore


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
        store.put(keys[:3])
        store.put(keys[3:])
        assert by_id(store.load()) == by_id(keys)

    def test_destroys_what_it_is_told_and_no_more(self, store: KeyStore) -> None:
        keys = [a_key() for _ in range(4)]
        store.put(keys)
        store.destroy([keys[1].id, secrets.token_bytes(16)])
        assert by_id(store.load()) == by_id([keys[0], *keys[2:]])

    def test_replaces_everything(self, store: KeyStore) -> None:
        keys = [a_key() for _ in range(3)]
        store.put(keys)
        renewed = [WrappedKey(key.id, key.kind, 2, secrets.token_bytes(300)) for key in keys]
        store.replace(renewed)
        assert by_id(store.load()) == by_id(renewed)


class TestSqlite:
    def test_is_there_again_after_reopening(self, file: Path) -> None:
        keys = [a_key() for _ in range(200)]
        SqliteKeyStore.create(file).put(keys)
        assert by_id(SqliteKeyStore(file).load()) == by_id(keys)

    def test_is_its_owner_s_alone(self, file: Path) -> None:
        SqliteKeyStore.create(file)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600

    @pytest.mark.parametrize("way", ["destroy", "replace"])
    def test_leaves_no_byte_of_a_destroyed_key(self, file: Path, way: str) -> None:
        store = SqliteKeyStore.create(file)
        keys = [a_key() for _ in range(400)]
        store.put(keys)
        doomed = keys[::3]
        kept = [key for key in keys if key not in doomed]
        assert all(occurs(file.parent, key.wrapped[:24]) for key in keys)
        if way == "destroy":
            store.destroy([key.id for key in doomed])
        else:
            store.replace(kept)
        for key in doomed:
            pieces = [key.wrapped[at : at + 16] for at in range(0, 300, 50)]
            assert not any(occurs(file.parent, piece) for piece in [key.id, *pieces])
        assert by_id(store.load()) == by_id(kept)

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
        store.put([a_key() for _ in range(50)])
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


@pytest.fixture(params=["memory", "file"])
def new_provider(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], KeyProvider]:
    def make() -> KeyProvider:
        if request.param == "memory":
            return MemoryKeyProvider()
        return FileKeyProvider.create(tmp_path / secrets.token_hex(4))

    return make


class TestEveryProvider:
    def test_unwraps_what_it_wrapped(self, new_provider: Callable[[], KeyProvider]) -> None:
        provider, key = new_provider(), secrets.token_bytes(32)
        wrapped = provider.wrap(key, b"context")
        assert key not in wrapped
        assert provider.unwrap(wrapped, b"context") == key

    def test_refuses_everything_else(self, new_provider: Callable[[], KeyProvider]) -> None:
        provider, key = new_provider(), secrets.token_bytes(32)
        wrapped = provider.wrap(key, b"context")
        tampered = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
        for holder, sealed, context in [
            (new_provider(), wrapped, b"context"),
            (provider, wrapped, b"elsewhere"),
            (provider, tampered, b"context"),
        ]:
            with pytest.raises(HomeError) as wrong:
                holder.unwrap(sealed, context)
            assert wrong.value.code == "root-key-wrong"


class TestRootKeyFile:
    def test_is_its_owner_s_alone_and_opens_again(self, tmp_path: Path) -> None:
        path = tmp_path / "root.key"
        wrapped = FileKeyProvider.create(path).wrap(bytes(32), b"")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert FileKeyProvider(path).unwrap(wrapped, b"") == bytes(32)

    @pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
    def test_is_refused_when_others_can_read_it(self, tmp_path: Path, mode: int) -> None:
        path = tmp_path / "root.key"
        FileKeyProvider.create(path)
        path.chmod(mode)
        assert code_of(path) == "root-key-readable"

    def test_is_never_overwritten(self, tmp_path: Path) -> None:
        path = tmp_path / "root.key"
        FileKeyProvider.create(path)
        before = path.read_bytes()
        with pytest.raises(HomeError) as second:
            FileKeyProvider.create(path)
        assert second.value.code == "root-key-exists"
        assert path.read_bytes() == before

    def test_missing_linked_or_cut_is_an_error(self, tmp_path: Path) -> None:
        path, link = tmp_path / "root.key", tmp_path / "link"
        assert code_of(path) == "root-key-missing"
        FileKeyProvider.create(path)
        link.symlink_to(path)
        assert code_of(link) == "root-key-missing"
        os.truncate(path, 31)
        assert code_of(path) == "root-key-wrong"


def code_of(path: Path) -> str:
    with pytest.raises(HomeError) as refused:
        FileKeyProvider(path)
    return refused.value.code


def occurs(folder: Path, needle: bytes) -> bool:
    return any(needle in path.read_bytes() for path in folder.rglob("*") if path.is_file())
