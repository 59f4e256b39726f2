"""Sealing, for any memory: it comes back whole, from its own place, with all its keys, or not."""

from __future__ import annotations

import secrets
import struct
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory_fabric.adapters.keystore import SqliteKeyStore
from memory_fabric.adapters.lance import LanceStack
from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.core.labels import Consent, DataClass, Label
from memory_fabric.core.memory import Memory, MemoryType
from memory_fabric.core.places import Region
from memory_fabric.core.records import SealedRecord
from memory_fabric.gate.permits import Mint
from memory_fabric.vault.keyring import Keyring
from memory_fabric.vault.vault import Vault
from tests.fakes.clock import ManualClock
from tests.fakes.keystore import ROOT, MemoryRootKeys
from tests.fakes.vault import Bench, a_memory

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=80)
moments = st.datetimes(timezones=st.just(UTC), min_value=datetime(2000, 1, 1))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts | st.floats(allow_nan=False, width=32,
                                                                  allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)  # fmt: skip


@st.composite
def memories(draw: st.DrawFn) -> Memory:
    subjects = draw(st.lists(texts, unique=True, max_size=20))
    label = Label(
        home=Region("DE"),
        tenant=draw(st.sampled_from(["acme", "other"])),
        data_class=draw(st.sampled_from(DataClass)),
        personal=True,
        purposes=frozenset(draw(st.lists(texts, min_size=1, max_size=3))),
        special=frozenset(draw(st.lists(texts, max_size=2))),
        consent=draw(st.sampled_from(Consent)),
        legal_hold=draw(st.booleans()),
        expires_at=draw(st.none() | moments),
        subjects=tuple(subjects),
    )
    numbers = draw(st.lists(st.floats(-1, 1, width=32), max_size=24))
    return Memory(
        id=draw(texts),
        text=draw(texts),
        vector=struct.pack(f"<{len(numbers)}f", *numbers),
        embedder="e" * 64,
        label=label,
        memory_type=draw(st.sampled_from(MemoryType)),
        created_at=draw(moments),
        valid_at=draw(st.none() | moments),
        metadata=draw(st.dictionaries(texts, json_values, max_size=3)),
    )


NOW = datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC)


@given(memories())
def test_what_was_sealed_comes_back_whole(memory: Memory) -> None:
    bench = Bench()
    (record,) = bench.vault.seal([memory])
    bench.reopen()
    permit = bench.permit(memory.label.state(NOW), tenant=memory.label.tenant)
    (item,) = bench.vault.open(permit, [record], now=NOW).items
    assert item.memory == memory
    assert item.memory.vector == memory.vector


@given(memories(), st.data())
def test_destroying_any_one_subject_s_key_closes_it(memory: Memory, data: st.DataObject) -> None:
    bench = Bench()
    record, other = bench.vault.seal([memory, a_memory("somebody else")])
    subjects = memory.label.subjects
    if not subjects:
        return
    bench.erase(data.draw(st.sampled_from(subjects)), memory.label.tenant)
    bench.reopen()
    indexed = bench.vault.index_rows([record, other])
    assert indexed.closed == [record.rid]
    assert [row.rid for row in indexed.rows] == [other.rid]


@given(st.lists(memories(), min_size=1, max_size=4))
def test_renewing_the_epoch_changes_no_record_and_closes_none(batch: list[Memory]) -> None:
    bench = Bench()
    before = bench.vault.seal(batch)
    bench.keyring.renew_epoch()
    after = bench.vault.seal(batch)
    bench.reopen()
    indexed = bench.vault.index_rows(before + after)
    assert indexed.closed == []
    assert [row.text for row in indexed.rows] == [memory.text for memory in batch] * 2
    assert {record.epoch for record in before} == {1}
    assert {record.epoch for record in after} == {2}


BENCH = Bench()
SEALED = BENCH.vault.seal([a_memory("ada", "bob"), a_memory("ada", "bob", text="tea at nine")])


def refused(record: SealedRecord) -> None:
    with pytest.raises(IntegrityViolated) as seen:
        BENCH.vault.index_rows([record])
    assert seen.value.code == "record-damaged"
    assert seen.value.details["damaged"] == [f"stack/{record.rid.hex()}"]


@given(st.integers(0, len(SEALED[0].blob) - 1), st.integers(1, 255))
@settings(max_examples=400)
def test_any_changed_byte_is_refused(at: int, by: int) -> None:
    blob = bytearray(SEALED[0].blob)
    blob[at] ^= by
    refused(replace(SEALED[0], blob=bytes(blob)))


def test_every_flipped_bit_is_refused() -> None:
    for at in range(len(SEALED[0].blob)):
        blob = bytearray(SEALED[0].blob)
        blob[at] ^= 1 << at % 8
        refused(replace(SEALED[0], blob=bytes(blob)))


@given(st.integers(0, len(SEALED[0].blob) - 1))
def test_a_cut_blob_is_refused(length: int) -> None:
    refused(replace(SEALED[0], blob=SEALED[0].blob[:length]))


@given(st.integers(0, 15), st.integers(1, 255), st.integers(-(2**63), 2**63 - 1))
def test_another_id_version_or_epoch_is_refused(at: int, by: int, number: int) -> None:
    rid = bytearray(SEALED[0].rid)
    rid[at] ^= by
    refused(replace(SEALED[0], rid=bytes(rid)))
    if number != SEALED[0].version:
        refused(replace(SEALED[0], version=number))
        refused(replace(SEALED[0], epoch=number))


@given(st.integers(1, len(SEALED[0].blob)))
def test_parts_swapped_between_records_are_refused(at: int) -> None:
    mine, other = SEALED
    refused(replace(mine, blob=other.blob))
    if other.blob[:at] != mine.blob[:at]:
        refused(replace(mine, blob=other.blob[:at] + mine.blob[at:]))


def test_an_old_version_under_a_new_number_is_refused() -> None:
    (new,) = BENCH.vault.reseal([(SEALED[0], a_memory("ada", "bob", text="tea at ten"))])
    refused(replace(new, blob=SEALED[0].blob))


@given(st.lists(st.sampled_from(["add", "change", "erase", "renew"]), min_size=3, max_size=8))
@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow])
def test_no_file_of_a_home_shows_text_subject_or_vector(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    home = tmp_path_factory.mktemp("home")
    mint = Mint()
    keyring = Keyring.create(
        SqliteKeyStore.create(home / "keyring.db"),
        MemoryRootKeys(),
        ROOT,
        "fra-1",
        ManualClock(),
    )
    vault, stack = Vault(keyring, mint), LanceStack.create(home / "stack")
    needles: list[bytes] = []
    live: dict[str, tuple[SealedRecord, Memory]] = {}

    def marked(subject: str) -> Memory:
        text, vector = secrets.token_hex(24), secrets.token_bytes(64)
        needles.extend([text.encode(), subject.encode(), vector, vector[:16]])
        return replace(a_memory(subject, text=text), vector=vector)

    def erase(subject: str) -> None:
        record, _ = live.pop(subject)
        keyring.destroy_keys(vault.key_ids("acme", subject))
        stack.remove([record.rid])
        stack.compact()
        assert not occurs(home, record.blob[-32:])

    for step in ["add", *steps]:
        if step == "add" or not live:
            subject = secrets.token_hex(12)
            memory = marked(subject)
            (record,) = vault.seal([memory])
            live[subject] = record, memory
            stack.write([record])
        elif step == "change":
            subject, (record, _) = next(iter(live.items()))
            memory = marked(subject)
            (record,) = vault.reseal([(record, memory)])
            live[subject] = record, memory
            stack.write([record])
        elif step == "erase":
            erase(next(iter(live)))
        else:
            keyring.renew_epoch()
        assert not any(occurs(home, needle) for needle in needles)
    records = [record for batch in stack.scan() for record in batch]
    texts_now = {row.text for row in vault.index_rows(records).rows}
    assert texts_now == {memory.text for _, memory in live.values()}


def occurs(home: Path, needle: bytes) -> bool:
    return any(needle in path.read_bytes() for path in home.rglob("*") if path.is_file())
