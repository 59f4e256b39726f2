"""Keys: who can open them, what destroys them, what renewing leaves alone."""

from __future__ import annotations

import secrets
import threading
from dataclasses import replace

import pytest

from memory_fabric.core.errors import HomeError, IntegrityViolated, NotFound
from memory_fabric.vault.keyring import Keyring
from memory_fabric.vault.snapshot import SnapshotKey
from tests.fakes.keystore import MemoryKeyProvider, MemoryKeyStore
from tests.fakes.vault import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def code_of(bench: Bench, provider: MemoryKeyProvider | None = None, site: str = "fra-1") -> str:
    with pytest.raises((HomeError, IntegrityViolated)) as refused:
        Keyring.open(bench.store, provider or bench.provider, site)
    return refused.value.code


def test_keys_are_the_same_after_reopening(bench: Bench) -> None:
    made = bench.keyring.subject_keys("acme", ["ada", "bob"], create=True)
    tenant = bench.keyring.tenant_key("acme", create=True)
    bench.reopen()
    assert bench.keyring.subject_keys("acme", ["bob", "ada"]) == made
    assert bench.keyring.tenant_key("acme") == tenant
    assert bench.keyring.by_id(tenant.id) == tenant
    assert bench.keyring.subjects("acme") == ["ada", "bob"]
    assert bench.keyring.subjects("other") == []


def test_keys_come_in_the_order_of_their_ids(bench: Bench) -> None:
    keys = bench.keyring.subject_keys("acme", [f"s{i}" for i in range(20)], create=True)
    assert [key.id for key in keys] == sorted(key.id for key in keys)


def test_tenants_share_no_subject_s_key(bench: Bench) -> None:
    (ours,) = bench.keyring.subject_keys("acme", ["ada"], create=True)
    (theirs,) = bench.keyring.subject_keys("other", ["ada"], create=True)
    assert ours.key != theirs.key
    assert bench.keyring.knows("acme", "ada")
    assert not bench.keyring.knows("third", "ada")


def test_many_new_keys_are_one_durable_write(bench: Bench) -> None:
    before = bench.store.puts
    bench.keyring.ensure(("acme", f"s{i}") for i in range(500))
    bench.keyring.ensure(("acme", f"s{i}") for i in range(500))
    assert bench.store.puts == before + 1


def test_a_missing_key_is_not_made_in_passing(bench: Bench) -> None:
    with pytest.raises(NotFound) as refused:
        bench.keyring.subject_keys("acme", ["ada"])
    assert refused.value.code == "subject-unknown"
    assert not bench.keyring.knows("acme", "ada")


def test_threads_that_ask_at_once_get_one_key(bench: Bench) -> None:
    seen = []
    barrier = threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        seen.append(bench.keyring.subject_keys("acme", ["ada"], create=True))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 1
    bench.reopen()
    assert bench.keyring.subject_keys("acme", ["ada"]) == seen[0]


class TestOpening:
    def test_needs_the_right_root_key_and_site(self, bench: Bench) -> None:
        assert code_of(bench, MemoryKeyProvider()) == "root-key-wrong"
        assert code_of(bench, site="lon-1") == "root-key-wrong"

    def test_needs_a_keyring_and_makes_no_second_one(self, bench: Bench) -> None:
        with pytest.raises(HomeError) as missing:
            Keyring.open(MemoryKeyStore(), bench.provider, "fra-1")
        assert missing.value.code == "keyring-missing"
        with pytest.raises(HomeError) as second:
            Keyring.create(bench.store, bench.provider, "fra-1")
        assert second.value.code == "keyring-exists"

    @pytest.mark.parametrize("field", ["id", "kind", "epoch", "first", "last", "cut"])
    def test_sees_every_changed_entry(self, bench: Bench, field: str) -> None:
        bench.keyring.subject_keys("acme", ["ada"], create=True)
        for key_id, entry in list(bench.store.entries.items()):
            wrapped = entry.wrapped
            changed = {
                "id": replace(entry, id=secrets.token_bytes(16)),
                "kind": replace(entry, kind="epoch" if entry.kind == "key" else "key"),
                "epoch": replace(entry, epoch=entry.epoch + 1),
                "first": replace(entry, wrapped=bytes([wrapped[0] ^ 1]) + wrapped[1:]),
                "last": replace(entry, wrapped=wrapped[:-1] + bytes([wrapped[-1] ^ 1])),
                "cut": replace(entry, wrapped=wrapped[:9]),
            }[field]
            bench.store.entries[key_id] = changed
            assert code_of(bench) == "keyring-damaged"
            bench.store.entries[key_id] = entry
        bench.reopen()

    def test_sees_swapped_entries_and_a_missing_table_key(self, bench: Bench) -> None:
        (ada,) = bench.keyring.subject_keys("acme", ["ada"], create=True)
        table = next(
            entry for entry in bench.store.load() if entry.kind == "key" and entry.id != ada.id
        )
        both = dict(bench.store.entries)
        bench.store.entries[ada.id] = replace(both[ada.id], wrapped=table.wrapped)
        assert code_of(bench) == "keyring-damaged"
        bench.store.entries = both
        del bench.store.entries[table.id]
        assert code_of(bench) == "keyring-damaged"


class TestAtRest:
    def test_names_stand_nowhere_and_entries_look_alike(self, bench: Bench) -> None:
        bench.keyring.subject_keys("acme", ["zqx-subject", "z" * 60], create=True)
        bench.keyring.tenant_key("zqx-tenant", create=True)
        bench.keyring.destroy_keys(bench.keyring.key_ids("acme", "zqx-subject"))
        entries = bench.store.load()
        assert {entry.kind for entry in entries} == {"epoch", "key"}
        assert len({len(entry.wrapped) for entry in entries if entry.kind == "key"}) == 1
        assert not any(b"zqx" in entry.wrapped for entry in entries)

    def test_no_repr_shows_a_key_or_a_name(self, bench: Bench) -> None:
        (ada,) = bench.keyring.subject_keys("acme", ["ada"], create=True)
        shown = f"{ada} {ada!r} {bench.keyring!r} {[ada]}"
        assert "ada" not in shown
        assert ada.key.hex() not in shown
        assert repr(ada.key) not in shown


class TestDestroying:
    def test_is_for_good_and_told_apart_from_a_lost_key(self, bench: Bench) -> None:
        ada, bob = (
            bench.keyring.subject_keys("acme", [name], create=True)[0] for name in ("ada", "bob")
        )
        assert bench.keyring.destroy_keys([ada.id, ada.id, secrets.token_bytes(16)]) == 1
        for _ in range(2):
            assert bench.keyring.by_id(ada.id) is None
            assert not bench.keyring.holds(ada.id)
            assert not bench.keyring.knows("acme", "ada")
            assert bench.keyring.subjects("acme") == ["bob"]
            bench.reopen()
        assert ada.id not in bench.store.entries
        del bench.store.entries[bob.id]
        bench.reopen()
        with pytest.raises(IntegrityViolated) as lost:
            bench.keyring.by_id(bob.id)
        assert lost.value.code == "keyring-damaged"

    def test_that_a_crash_cut_short_is_ended_by_opening(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (ada,) = bench.keyring.subject_keys("acme", ["ada"], create=True)

        def die(ids: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as crash:
            crash.setattr(bench.store, "destroy", die)
            with pytest.raises(KeyboardInterrupt):
                bench.keyring.destroy_keys([ada.id])
        assert ada.id in bench.store.entries
        bench.keyring.subject_keys("acme", ["ada"], create=True)
        bench.reopen()
        assert bench.keyring.by_id(ada.id) is None
        assert bench.keyring.key_ids("acme", "ada") != [ada.id]
        assert ada.id not in bench.store.entries

    def test_takes_subjects_keys_only(self, bench: Bench) -> None:
        tenant = bench.keyring.tenant_key("acme", create=True)
        with pytest.raises(ValueError, match="subject"):
            bench.keyring.destroy_keys([tenant.id])
        assert bench.keyring.tenant_key("acme") == tenant

    def test_leaves_a_new_start_possible(self, bench: Bench) -> None:
        (old,) = bench.keyring.subject_keys("acme", ["ada"], create=True)
        bench.keyring.destroy_keys([old.id])
        (new,) = bench.keyring.subject_keys("acme", ["ada"], create=True)
        assert new.id != old.id
        assert new.key != old.key


class TestCommitments:
    def test_link_a_subject_s_receipts_until_erasure(self, bench: Bench) -> None:
        bench.keyring.subject_keys("acme", ["ada", "bob"], create=True)
        commitment = bench.keyring.commitment("acme", "ada")
        assert len(bytes.fromhex(commitment)) == 32
        bench.reopen()
        assert bench.keyring.commitment("acme", "ada") == commitment
        assert bench.keyring.commitment("acme", "bob") != commitment
        bench.keyring.destroy_keys(bench.keyring.key_ids("acme", "ada"))
        bench.keyring.subject_keys("acme", ["ada"], create=True)
        assert bench.keyring.commitment("acme", "ada") != commitment

    def test_of_strangers_never_link(self, bench: Bench) -> None:
        seen = {bench.keyring.commitment("acme", "nobody") for _ in range(10)}
        assert len(seen) == 10
        assert {len(item) for item in seen} == {64}


class TestSecrets:
    def test_are_kept_and_never_overwritten(self, bench: Bench) -> None:
        bench.keyring.add_secret("signing", b"s" * 96)
        bench.reopen()
        assert bench.keyring.secret("signing") == b"s" * 96
        with pytest.raises(HomeError) as second:
            bench.keyring.add_secret("signing", b"t")
        assert second.value.code == "secret-exists"
        with pytest.raises(HomeError) as missing:
            bench.keyring.secret("grid")
        assert missing.value.code == "secret-missing"


class TestRenewing:
    def test_keeps_every_key_and_no_wrapped_byte(self, bench: Bench) -> None:
        keys = bench.keyring.subject_keys("acme", ["ada", "bob", "cy"], create=True)
        bench.keyring.add_secret("signing", b"s" * 32)
        bench.keyring.destroy_keys(bench.keyring.key_ids("acme", "cy"))
        table, before = bench.keyring.table_key, bench.store.load()
        assert bench.keyring.renew_epoch() == bench.keyring.epoch == 2
        after = bench.store.load()
        assert {entry.epoch for entry in after} == {2}
        assert not {entry.wrapped for entry in before} & {entry.wrapped for entry in after}
        bench.reopen()
        assert bench.keyring.table_key == table
        assert bench.keyring.secret("signing") == b"s" * 32
        for key in keys:
            assert bench.keyring.by_id(key.id) == (None if key.name == "cy" else key)

    def test_that_fails_changes_nothing(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(keys: object) -> None:
            raise OSError("no room")

        with monkeypatch.context() as full:
            full.setattr(bench.store, "replace", fail)
            with pytest.raises(OSError, match="room"):
                bench.keyring.renew_epoch()
        bench.keyring.subject_keys("acme", ["ada"], create=True)
        bench.reopen()
        assert bench.keyring.epoch == 1
        assert bench.keyring.knows("acme", "ada")


def test_the_key_of_a_snapshot_is_kept_replaced_and_destroyed(bench: Bench) -> None:
    one, two = SnapshotKey.new(), SnapshotKey.new()
    bench.keyring.add_snapshot_key(one)
    bench.keyring.add_snapshot_key(two)
    bench.keyring.renew_epoch()
    bench.reopen()
    assert bench.keyring.snapshot_key(one.id) == one
    bench.keyring.drop_snapshot_keys(keep=two.id)
    bench.reopen()
    assert bench.keyring.snapshot_key(one.id) is None
    assert bench.keyring.snapshot_key(two.id) == two
    bench.keyring.drop_snapshot_keys()
    bench.keyring.drop_snapshot_keys()
    bench.reopen()
    assert bench.keyring.snapshot_key(two.id) is None
    assert two.key.hex() not in repr(two)
