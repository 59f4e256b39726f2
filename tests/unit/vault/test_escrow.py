"""The escrow: what it brings back, and what does not open it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_fabric.core.errors import InputError, IntegrityViolated
from memory_fabric.vault.escrow import Escrow, open_escrow, seal_escrow
from memory_fabric.vault.keyring import Keyring
from memory_fabric.vault.snapshot import SnapshotKey
from tests.fakes.keystore import ROOT, MemoryKeyStore, MemoryRootKeys
from tests.fakes.vault import NOON, Bench, a_memory


def escrow_of(bench: Bench) -> Escrow:
    return Escrow(bench.site_id, NOON, 7, bench.keyring.contents())


def restored(escrow: Escrow, bench: Bench) -> Bench:
    again = Bench(escrow.site_id)
    again.store, again.roots = MemoryKeyStore(), MemoryRootKeys()
    Keyring.create(
        again.store, again.roots, ROOT, escrow.site_id, bench.clock, contents=escrow.contents
    )
    again.reopen()
    return again


def test_brings_back_every_key_without_the_root_key() -> None:
    bench = Bench()
    bench.keyring.add_secret("signing", b"s" * 96)
    bench.keyring.add_snapshot_key(SnapshotKey.new())
    records = bench.vault.seal([a_memory("ada"), a_memory("bob"), a_memory()])
    bench.erase("bob")
    bench.keyring.renew_epoch()
    sealed, key = seal_escrow(escrow_of(bench))
    opened = open_escrow(sealed, key)
    assert (opened.site_id, opened.made_at, opened.log_size) == ("fra-1", NOON, 7)
    again = restored(opened, bench)
    assert again.keyring.table_key == bench.keyring.table_key
    assert again.keyring.secret("signing") == b"s" * 96
    assert not again.keyring.holds_snapshot_key
    assert again.keyring.epoch == 3
    indexed = again.vault.index_rows(records)
    assert indexed.closed == [records[1].rid]
    assert len(indexed.rows) == 2


def test_that_is_empty_and_one_of_many_rows() -> None:
    bench = Bench()
    for names in ([], [f"s{number}" for number in range(3000)]):
        bench.keyring.ensure(("acme", name) for name in names)
        opened = open_escrow(*seal_escrow(escrow_of(bench)))
        again = restored(opened, bench)
        assert again.keyring.subjects("acme") == sorted(names)


def test_the_key_may_be_copied_by_hand() -> None:
    sealed, key = seal_escrow(escrow_of(Bench()))
    assert len(key.split("-")) == 14
    assert open_escrow(sealed, key.lower().replace("-", " ") + "\n").site_id == "fra-1"
    for wrong in (key[:-1], key[1:] + key[0], "", "hello", key.replace(key[3], "1")):
        with pytest.raises(InputError) as refused:
            open_escrow(sealed, wrong)
        assert refused.value.code == "escrow-key-malformed"


def test_each_has_a_key_of_its_own_and_shows_no_name() -> None:
    bench = Bench()
    bench.keyring.ensure([("acme", "zqx-subject")])
    (first, one), (second, two) = seal_escrow(escrow_of(bench)), seal_escrow(escrow_of(bench))
    assert one != two
    assert b"zqx" not in first
    with pytest.raises(IntegrityViolated):
        open_escrow(second, one)


SEALED, KEY = seal_escrow(escrow_of(Bench()))


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_any_changed_byte_is_refused(at: int, by: int) -> None:
    with pytest.raises(IntegrityViolated) as refused:
        open_escrow(SEALED[:at] + bytes([SEALED[at] ^ by]) + SEALED[at + 1 :], KEY)
    assert refused.value.code == "escrow-damaged"


@given(st.integers(0, len(SEALED) - 1))
def test_a_cut_one_is_refused(length: int) -> None:
    with pytest.raises(IntegrityViolated):
        open_escrow(SEALED[:length], KEY)
