"""Keys: who can open them, what destroys them, what renewing leaves alone."""

from __future__ import annotations

import hashlib
import secrets
import threading
from dataclasses import replace

import pytest

from memory_fabric.core.errors import HomeError, IntegrityViolated, NotFound
from memory_fabric.vault.binding import bind, u64
from memory_fabric.vault.keyring import Keyring
from memory_fabric.vault.snapshot import SnapshotKey
from tests.fakes.keystore import ROOT, MemoryKeyStore, MemoryRootKeys
from tests.fakes.vault import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()


def code_of(bench: Bench, roots: MemoryRootKeys | None = None, site: str = "fra-1") -> str:
    with pytest.raises((HomeError, IntegrityViolated)) as refused:
        Keyring.open(bench.store, roots or bench.roots, site, bench.clock)
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
    before = bench.store.changes
    bench.keyring.ensure(("acme", f"s{i}") for i in range(500))
    bench.keyring.ensure(("acme", f"s{i}") for i in range(500))
    assert bench.store.changes == before + 1


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
        assert code_of(bench, MemoryRootKeys()) == "root-key-wrong"
        assert code_of(bench, site="lon-1") == "root-key-wrong"

    def test_needs_a_keyring_and_makes_no_second_one(self, bench: Bench) -> None:
        with pytest.raises(HomeError) as missing:
            Keyring.open(MemoryKeyStore(), bench.roots, "fra-1", bench.clock)
        assert missing.value.code == "keyring-missing"
        with pytest.raises(HomeError) as second:
            Keyring.create(bench.store, bench.roots, ROOT, "fra-1", bench.clock)
        assert second.value.code == "keyring-exists"

    @pytest.mark.parametrize("field", ["id", "kind", "epoch", "first", "last", "cut"])
    def test_sees_every_changed_entry(self, bench: Bench, field: str) -> None:
        bench.keyring.subject_keys("acme", ["ada"], create=True)
        for key_id, entry in list(bench.store.entries.items()):
            wrapped = entry.wrapped
            changed = {
                "id": replace(entry, id=secrets.token_bytes(16)),
                "kind": replace(entry, kind="epoch" if entry.kind != "epoch" else "keys"),
                "epoch": replace(entry, epoch=entry.epoch + 1),
                "first": replace(entry, wrapped=bytes([wrapped[0] ^ 1]) + wrapped[1:]),
                "last": replace(entry, wrapped=wrapped[:-1] + bytes([wrapped[-1] ^ 1])),
                "cut": replace(entry, wrapped=wrapped[:9]),
            }[field]
            bench.store.entries[key_id] = changed
            assert code_of(bench) == "keyring-damaged"
            bench.store.entries[key_id] = entry
        bench.reopen()

    def test_sees_swapped_missing_and_repeated_rows(self, bench: Bench) -> None:
        bench.keyring.subject_keys("acme", ["ada"], create=True)
        bench.keyring.subject_keys("acme", ["bob"], create=True)
        both = dict(bench.store.entries)
        ada, bob = (entry for entry in both.values() if entry.kind == "keys")
        own = next(entry for entry in both.values() if entry.kind == "secrets")
        for changed in (
            both | {ada.id: replace(ada, wrapped=bob.wrapped)},
            both | {ada.id: replace(ada, wrapped=own.wrapped)},
            {key_id: entry for key_id, entry in both.items() if key_id != own.id},
        ):
            bench.store.entries = changed
            assert code_of(bench) == "keyring-damaged"

    def test_sees_a_row_of_before_an_erasure_beside_the_one_of_after(self, bench: Bench) -> None:
        (ada,) = bench.keyring.subject_keys("acme", ["ada"], create=True)
        before = dict(bench.store.entries)
        bench.keyring.destroy_keys([ada.id])
        bench.store.entries |= before
        assert code_of(bench) == "keyring-damaged"

    def test_refuses_a_keyring_of_another_format(self, bench: Bench) -> None:
        (entry,) = (entry for entry in bench.store.load() if entry.kind == "epoch")
        older = entry.wrapped[-92:-32]  # as version 1 had it: no header
        checksum = hashlib.sha256(bind(entry.id, u64(entry.epoch), older)).digest()
        bench.store.entries = {entry.id: replace(entry, wrapped=older + checksum)}
        assert code_of(bench) == "keyring-format"


class TestAtRest:
    def test_names_stand_nowhere_and_entries_look_alike(self, bench: Bench) -> None:
        bench.keyring.subject_keys("acme", ["zqx-subject", "z" * 60], create=True)
        bench.keyring.tenant_key("zqx-tenant", create=True)
        bench.keyring.destroy_keys(bench.keyring.key_ids("acme", "zqx-subject"))
        entries = bench.store.load()
        assert {entry.kind for entry in entries} == {"epoch", "secrets", "keys"}
        assert len({len(entry.wrapped) for entry in entries if entry.kind == "keys"}) == 1
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
        lost = next(entry for entry in bench.store.load() if entry.kind == "keys")
        del bench.store.entries[lost.id]
        bench.reopen()
        with pytest.raises(IntegrityViolated) as damaged:
            [bench.keyring.by_id(key.id) for key in (ada, bob)]
        assert damaged.value.code == "keyring-damaged"

    def test_that_cannot_be_written_changes_nothing(
        self, bench: Bench, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (ada,) = bench.keyring.subject_keys("acme", ["ada"], create=True)

        def fail(*_: object) -> None:
            raise OSError("no room")

        with monkeypatch.context() as full:
            full.setattr(bench.store, "change", fail)
            with pytest.raises(OSError, match="room"):
                bench.keyring.destroy_keys([ada.id])
        assert bench.keyring.by_id(ada.id) == ada
        bench.reopen()
        assert bench.keyring.by_id(ada.id) == ada

    @pytest.mark.parametrize("renewed", [False, True])
    def test_takes_one_of_many_in_a_row(self, bench: Bench, renewed: bool) -> None:
        names = [f"s{number}" for number in range(2500)]
        keys = {key.name: key for key in bench.keyring.subject_keys("acme", names, create=True)}
        if renewed:
            bench.keyring.renew_epoch()
        gone = {"s0", "s1023", "s1024", "s2499"}
        assert bench.keyring.destroy_keys(keys[name].id for name in gone) == 4
        for _ in range(2):
            assert bench.keyring.subjects("acme") == sorted(set(names) - gone)
            for name, key in keys.items():
                assert bench.keyring.by_id(key.id) == (None if name in gone else key)
            bench.reopen()

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
    def test_of_snapshots_can_be_replaced_and_destroyed(self, bench: Bench) -> None:
        first, second = SnapshotKey.new(), SnapshotKey.new()
        bench.keyring.add_snapshot_key(first)
        bench.keyring.add_snapshot_key(second)
        bench.reopen()
        assert bench.keyring.snapshot_key(first.id) == first
        bench.keyring.drop_snapshot_keys(keep=second.id)
        bench.keyring.renew_epoch()
        bench.reopen()
        assert bench.keyring.snapshot_key(first.id) is None
        assert bench.keyring.snapshot_key(second.id) == second
        bench.keyring.drop_snapshot_keys()
        bench.keyring.drop_snapshot_keys()
        bench.reopen()
        assert bench.keyring.snapshot_key(second.id) is None
        assert second.key.hex() not in repr(second)

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

    def test_brings_many_single_writes_together(self, bench: Bench) -> None:
        for number in range(300):
            bench.keyring.ensure([("acme", f"s{number}")])
        assert len(bench.store.entries) < 100
        bench.reopen()
        bench.keyring.renew_epoch()
        assert len(bench.store.entries) == 3
        bench.reopen()
        assert len(bench.keyring.subjects("acme")) == 300

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
