"""The vault opens what a permit covers, once, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from memory_fabric.core.access import Act, Form
from memory_fabric.core.errors import IntegrityViolated, NotFound
from memory_fabric.core.labels import ClassState, Consent
from memory_fabric.gate.permits import PERMIT_LIFETIME, Permit, PermitVoid, Shown
from tests.fakes.vault import FULL, LATER, NOON, Bench, a_label, a_memory


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_opens_what_it_sealed(bench: Bench) -> None:
    about_ada, about_nobody = a_memory("ada", "bob"), a_memory(name="m-2", text="the well is dry")
    records = bench.vault.seal([about_ada, about_nobody])
    bench.reopen()
    permit = bench.permit(about_ada.label, about_nobody.label)
    found = bench.vault.open(permit, records, {records[1].rid: 0.5}, now=LATER)
    assert found.permit is permit
    assert [item.memory for item in found.items] == [about_ada, about_nobody]
    assert [item.score for item in found.items] == [None, 0.5]
    assert all(item.decision is FULL for item in found.items)


def test_a_batch_makes_all_its_keys_in_one_write(bench: Bench) -> None:
    before = bench.store.changes
    bench.vault.seal([a_memory(f"s{i}", tenant=f"t{i % 3}") for i in range(50)] + [a_memory()])
    assert bench.store.changes == before + 1


def test_a_changed_memory_keeps_its_id_and_takes_the_next_version(bench: Bench) -> None:
    (old,) = bench.vault.seal([a_memory("ada")])
    changed = replace(a_memory("ada"), text="tea at five")
    (new,) = bench.vault.reseal([(old, changed)])
    assert (new.rid, new.version) == (old.rid, 2)
    assert [item.memory for item in bench.open([new], changed.label).items] == [changed]


def test_resealing_revives_nobody(bench: Bench) -> None:
    memory = a_memory("ada")
    (old,) = bench.vault.seal([memory])
    bench.erase("ada")
    with pytest.raises(NotFound):
        bench.vault.reseal([(old, memory)])
    assert not bench.keyring.knows("acme", "ada")


def test_an_erasure_closes_at_once_what_was_just_read(bench: Bench) -> None:
    memory, other = a_memory("ada", "bob"), a_memory("bob", name="m-2")
    records = bench.vault.seal([memory, other])
    keys = bench.keyring.keys("acme", ["ada", "bob"])
    assert len(bench.open(records, memory.label, other.label).items) == 2
    bench.erase("ada")
    assert [item.memory for item in bench.open(records, memory.label).items] == [other]
    with pytest.raises(NotFound):  # nor do the keys help whoever held them meanwhile
        bench.keyring.cipher(keys, b"memory-fabric/body")


def test_records_about_the_same_subjects_look_nothing_alike(bench: Bench) -> None:
    one, other = bench.vault.seal([a_memory("ada"), a_memory("ada")])
    same = [
        at for at, pair in enumerate(zip(one.blob, other.blob, strict=True)) if len({*pair}) == 1
    ]
    assert len(same) < len(one.blob) / 16


class TestIndexRows:
    def test_hold_what_search_needs(self, bench: Bench) -> None:
        memory = a_memory("ada")
        (record,) = bench.vault.seal([memory])
        (row,) = bench.vault.index_rows([record]).rows
        assert (row.rid, row.memory_id, row.text) == (record.rid, memory.id, memory.text)
        assert (row.vector, row.label) == (memory.vector, memory.label)
        assert (row.memory_type, row.created_at) == (memory.memory_type, memory.created_at)

    def test_skip_and_name_what_an_erasure_closed(self, bench: Bench) -> None:
        records = bench.vault.seal([a_memory("ada", "bob"), a_memory("bob", name="m-2")])
        bench.erase("ada")
        for _ in range(2):
            indexed = bench.vault.index_rows(records)
            assert indexed.closed == [records[0].rid]
            assert [row.memory_id for row in indexed.rows] == ["m-2"]
            bench.reopen()

    def test_tell_a_shortened_keyring_from_an_erasure(self, bench: Bench) -> None:
        (record,) = bench.vault.seal([a_memory("ada")])
        (row,) = (entry for entry in bench.store.load() if entry.kind == "keys")
        del bench.store.entries[row.id]
        bench.reopen()
        with pytest.raises(IntegrityViolated) as lost:
            bench.vault.index_rows([record])
        assert lost.value.code == "keyring-damaged"

    def test_a_record_of_another_site_or_keyring_is_refused(self, bench: Bench) -> None:
        (record,) = Bench("fra-1").vault.seal([a_memory("ada")])
        with pytest.raises(IntegrityViolated) as foreign:
            bench.vault.index_rows([record])
        assert record.rid.hex() in foreign.value.details["damaged"][0]


class TestScope:
    """What the permit does not cover is left out, without a word."""

    def opened_names(self, bench: Bench, permit: Permit) -> set[str]:
        memories = [
            a_memory("ada", name="ours"),
            a_memory("ada", name="theirs", tenant="other"),
            a_memory("bob", name="bob's"),
            a_memory("ada", name="withdrawn", consent=Consent.WITHDRAWN),
            a_memory("ada", name="over", expires_at=NOON),
        ]
        found = bench.vault.open(permit, bench.vault.seal(memories), now=LATER)
        return {item.memory.id for item in found.items}

    def test_tenant_and_class(self, bench: Bench) -> None:
        theirs = a_label("ada", tenant="other")
        permit = bench.permit(a_label("ada"), theirs)
        assert self.opened_names(bench, permit) == {"ours", "bob's"}

    def test_subject(self, bench: Bench) -> None:
        permit = bench.permit(a_label("ada"), subject="ada")
        assert self.opened_names(bench, permit) == {"ours"}

    def test_retention(self, bench: Bench) -> None:
        permit = bench.permit(ClassState(a_label("ada").label_class, retention_over=True))
        assert self.opened_names(bench, permit) == {"over"}

    def test_retention_that_ends_between_decision_and_opening(self, bench: Bench) -> None:
        memory = a_memory("ada", expires_at=NOON + timedelta(seconds=3))
        records = bench.vault.seal([memory])
        assert bench.open(records, memory.label).items == ()

    def test_nothing_granted(self, bench: Bench) -> None:
        assert self.opened_names(bench, bench.permit()) == set()

    def test_erased(self, bench: Bench) -> None:
        records = bench.vault.seal([a_memory("ada", "bob")])
        assert bench.erase("bob") == 1
        assert bench.open(records, a_label("ada")).items == ()


def narrower(permit: Permit) -> dict[ClassState, object]:
    return {**permit.grants, ClassState(a_label("ada", tenant="other").label_class): FULL}


class TestPermits:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("id", lambda permit: "0" * 32),
            ("act", lambda permit: Act.EXPORT),
            ("tenant", lambda permit: "other"),
            ("subject", lambda permit: None),
            ("destination", lambda permit: "iad-1"),
            ("purpose", lambda permit: "billing"),
            ("grants", narrower),
            ("expires_at", lambda permit: permit.expires_at + timedelta(days=1)),
        ],
    )
    def test_altered(self, bench: Bench, name: str, value: Callable[[Permit], Any]) -> None:
        records = bench.vault.seal([a_memory("ada")])
        permit = bench.permit(a_label("ada"), subject="ada")
        object.__setattr__(permit, name, value(permit))
        with pytest.raises(PermitVoid):
            bench.vault.open(permit, records, now=LATER)

    def test_used_twice(self, bench: Bench) -> None:
        records = bench.vault.seal([a_memory("ada")])
        permit = bench.permit(a_label("ada"))
        bench.vault.open(permit, records, now=LATER)
        with pytest.raises(PermitVoid):
            bench.vault.open(permit, records, now=LATER)

    def test_expired(self, bench: Bench) -> None:
        permit = bench.permit(a_label("ada"))
        with pytest.raises(PermitVoid):
            bench.vault.open(permit, [], now=NOON + PERMIT_LIFETIME)

    def test_of_another_gate(self, bench: Bench) -> None:
        with pytest.raises(PermitVoid):
            bench.vault.open(Bench().permit(a_label("ada")), [], now=LATER)

    @pytest.mark.parametrize("act", [Act.ERASE, Act.QUERY, Act.TAKE_IN, Act.SEND_UPDATE])
    def test_for_an_act_that_reads_nothing(self, bench: Bench, act: Act) -> None:
        records = bench.vault.seal([a_memory("ada")])
        permit = bench.permit(a_label("ada"), act=act, subject="ada")
        with pytest.raises(PermitVoid):
            bench.vault.open(permit, records, now=LATER)


class TestVouching:
    def test_takes_a_query_that_the_permit_covers(self, bench: Bench) -> None:
        query = a_memory("ada", text="what does she drink?")
        permit = bench.permit(query.label, act=Act.QUERY, subject="ada")
        (item,) = bench.vault.vouch(permit, query, LATER).items
        assert item.memory is query

    def test_leaves_out_what_it_does_not_cover(self, bench: Bench) -> None:
        permit = bench.permit(a_label("ada"), act=Act.QUERY, subject="ada")
        assert bench.vault.vouch(permit, a_memory("bob"), LATER).items == ()

    def test_needs_a_permit_for_a_query(self, bench: Bench) -> None:
        with pytest.raises(PermitVoid):
            bench.vault.vouch(bench.permit(a_label("ada")), a_memory("ada"), LATER)


class TestTakingIn:
    def shown(self, name: str, **label: Any) -> Shown:
        label_class = a_label("ada", **label).label_class
        return Shown(name, Form.FULL, label_class, "tea", None, "e" * 64, 0.5, (), {})

    def test_keeps_the_granted_classes(self, bench: Bench) -> None:
        items = [self.shown("a"), self.shown("b", consent=Consent.NONE)]
        permit = bench.permit(a_label("ada"), act=Act.TAKE_IN)
        taken = bench.vault.take_in(permit, items, LATER)
        assert [item.id for item in taken.items] == ["a"]

    def test_needs_a_permit_for_it(self, bench: Bench) -> None:
        with pytest.raises(PermitVoid):
            bench.vault.take_in(bench.permit(a_label("ada")), [self.shown("a")], LATER)


class TestErasing:
    @pytest.mark.parametrize(
        "scope",
        [
            {"act": Act.RECALL, "subject": "ada"},
            {"act": Act.ERASE, "subject": "bob"},
            {"act": Act.ERASE, "subject": None},
            {"act": Act.ERASE, "subject": "ada", "tenant": "other"},
        ],
    )
    def test_needs_a_permit_for_this_subject(self, bench: Bench, scope: dict[str, Any]) -> None:
        bench.vault.seal([a_memory("ada"), a_memory("bob")])
        with pytest.raises(PermitVoid):
            bench.vault.destroy(bench.permit(**scope), bench.vault.key_ids("acme", "ada"), LATER)
        assert bench.keyring.knows("acme", "ada")

    def test_without_keys_is_no_error(self, bench: Bench) -> None:
        assert bench.erase("nobody") == 0


def test_no_error_and_no_repr_quotes_text_or_subject(bench: Bench) -> None:
    (record,) = bench.vault.seal([a_memory("zqx-subject", text="zqx-text")])
    broken = replace(record, blob=record.blob[:-1] + b"\0")
    with pytest.raises(IntegrityViolated) as refused:
        bench.vault.index_rows([broken, record])
    assert "zqx" not in f"{refused.value} {refused.value.details} {bench.vault!r} {record!r}"
