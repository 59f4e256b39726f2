"""What every searchable copy does: runs on the real one and on the fake."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from memory_fabric.adapters.search import MemorySearchCopy
from memory_fabric.core.errors import InputError
from memory_fabric.core.labels import ClassState
from memory_fabric.core.memory import Leased, MemoryType
from memory_fabric.core.ports import SearchCopy
from memory_fabric.core.records import IndexRow
from tests.fakes.search import DIM, NOON, BruteSearchCopy, label, row, scope, unit


@pytest.fixture(params=[MemorySearchCopy, BruteSearchCopy], ids=["memory", "fake"])
def copy(request: pytest.FixtureRequest) -> SearchCopy:
    make: Callable[[int], SearchCopy] = request.param
    return make(DIM)


def rids(copy: SearchCopy, text: str | None, vector: bytes | None, where=None) -> list[bytes]:
    return [hit.rid for hit in copy.search(text, vector, where or scope(), 10)]


def test_an_empty_copy_finds_nothing(copy):
    assert len(copy) == 0
    assert copy.search("anything", unit(1), scope(), 10) == []
    assert copy.states("acme", NOON) == frozenset()
    assert copy.find("acme", "m") is None
    assert copy.of_subject("acme", "ada") == []
    assert copy.page(scope(), None, 10) == []


def test_text_finds_rows_that_hold_its_words_and_only_those(copy):
    apples, pears = row("apples ripen"), row("pears ripen")
    copy.add([apples, pears, row("plums fall")])
    assert rids(copy, "apples", None) == [apples.rid]
    assert set(rids(copy, "ripen", None)) == {apples.rid, pears.rid}
    assert rids(copy, "quinces", None) == []


def test_vectors_rank_by_cosine(copy):
    near, far, opposite = row(vector=unit(1, 0.1)), row(vector=unit(1, 2)), row(vector=unit(-1))
    copy.add([far, opposite, near])
    hits = copy.search(None, unit(1), scope(), 10)
    assert [hit.rid for hit in hits] == [near.rid, far.rid, opposite.rid]
    assert hits[0].score == pytest.approx(1 / 1.01**0.5, abs=1e-6)
    assert hits[-1].score == 0


def test_hybrid_prefers_what_both_find(copy):
    both, text, vector = (
        row("apples", unit(1)), row("apples", unit(0, 1)), row("pears", unit(1)),
    )  # fmt: skip
    copy.add([text, vector, both])
    hits = copy.search("apples", unit(1), scope(), 10)
    assert hits[0].rid == both.rid
    assert {hit.rid for hit in hits} == {both.rid, text.rid, vector.rid}
    assert all(0 <= hit.score <= 1 for hit in hits)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_the_limit_keeps_the_best(copy):
    rows = [row(vector=unit(1, angle / 10)) for angle in range(30)]
    copy.add(rows)
    assert [hit.rid for hit in copy.search(None, unit(1), scope(), 3)] == [r.rid for r in rows[:3]]


def test_only_permitted_classes_of_the_tenant_are_searched(copy):
    care, billing = label(), label(purpose="billing")
    foreign = label(tenant="other")
    mine = row("apples", labelled=care)
    copy.add([mine, row("apples", labelled=billing), row("apples", labelled=foreign)])
    assert rids(copy, "apples", unit(1)) == [mine.rid]
    mixed = replace(scope(care), states=scope(care).states | scope(foreign).states)
    assert rids(copy, "apples", unit(1), mixed) == [mine.rid]
    assert rids(copy, "apples", unit(1), replace(scope(), states=frozenset())) == []


def test_one_subject_sees_only_memories_about_it(copy):
    about_both = row("apples", labelled=label("ada", "bob"))
    about_bob = row("apples", labelled=label("bob"))
    copy.add([about_both, about_bob, row("apples")])
    assert rids(copy, "apples", None, scope(subject="ada")) == [about_both.rid]
    assert set(rids(copy, "apples", None, scope(subject="bob"))) == {about_both.rid, about_bob.rid}
    assert rids(copy, "apples", None, scope(subject="eve")) == []
    assert len(rids(copy, "apples", None)) == 3


def test_time_moves_a_row_into_the_state_past_retention(copy):
    ends = NOON + timedelta(hours=1)
    expiring = row("apples", labelled=label(expires_at=ends))
    copy.add([expiring])
    live, over = ClassState(label().label_class), ClassState(label().label_class, True)
    assert copy.states("acme", NOON) == {live}
    assert copy.states("acme", ends) == {over}
    assert rids(copy, "apples", None, scope(now=ends - timedelta(microseconds=1)))
    assert rids(copy, "apples", None, scope(now=ends)) == []
    past = replace(scope(now=ends), states=frozenset({over}))
    assert rids(copy, "apples", None, past) == [expiring.rid]


def test_types_and_times_narrow_the_scope(copy):
    old = row("apples", created_at=NOON - timedelta(days=2))
    new = row("apples", created_at=NOON, memory_type=MemoryType.SEMANTIC)
    copy.add([old, new])
    semantic = replace(scope(), memory_types=frozenset({MemoryType.SEMANTIC}))
    assert rids(copy, "apples", None, semantic) == [new.rid]
    assert rids(copy, "apples", None, replace(scope(), created_after=NOON)) == [new.rid]
    assert rids(copy, "apples", None, replace(scope(), created_before=NOON)) == [old.rid]


def test_adding_a_known_record_replaces_it(copy):
    first = row("apples", unit(1), label("ada"), memory_id="m")
    copy.add([first])
    copy.add([replace(first, text="pears", vector=unit(0, 1), label=label("bob"))])
    assert len(copy) == 1
    assert rids(copy, "apples", None) == []
    assert rids(copy, "pears", None) == [first.rid]
    assert copy.search(None, unit(0, 1), scope(), 1)[0].score == pytest.approx(1)
    assert copy.of_subject("acme", "ada") == []
    assert [one.rid for one in copy.of_subject("acme", "bob")] == [first.rid]


def test_within_one_batch_the_last_of_a_record_counts(copy):
    first = row("apples")
    copy.add([first, replace(first, text="pears")])
    assert len(copy) == 1
    assert rids(copy, "pears", None) == [first.rid]


def test_removed_rows_are_gone_and_unknown_ones_ignored(copy):
    rows = [row("apples", labelled=label("ada"), memory_id=f"m{n}") for n in range(10)]
    copy.add(rows)
    copy.remove([*(one.rid for one in rows[:7]), b"unknown"])
    kept = [one.rid for one in rows[7:]]
    assert len(copy) == 3
    assert rids(copy, "apples", unit(1)) == kept
    assert [one.rid for one in copy.of_subject("acme", "ada")] == kept
    assert copy.page(scope(), None, 10) == kept
    assert copy.find("acme", "m0") is None
    copy.add([rows[0]])
    assert rows[0].rid in rids(copy, "apples", None)


def test_tells_which_ids_are_taken(copy: SearchCopy) -> None:
    assert copy.named("acme", ["m1"]) == set()
    rows = [row(memory_id=f"m{number}") for number in range(100)]
    copy.add([*rows, row(labelled=label("Bela", tenant="other"), memory_id="m500")])
    copy.remove([rows[7].rid])
    asked = [f"m{number}" for number in range(5, 1000, 2)]
    assert copy.named("acme", asked) == {f"m{number}" for number in range(5, 100, 2)} - {"m7"}
    assert copy.named("acme", ["m6", "m7", "m6"]) == {"m6"}
    assert copy.named("other", ["m500", "m6"]) == {"m500"}
    assert copy.named("acme", []) == copy.named("nobody", ["m6"]) == set()


def test_find_knows_the_row_but_holds_no_text_or_vector(copy):
    one = row("apples", labelled=label("ada"), memory_id="m")
    copy.add([one])
    assert copy.find("acme", "m") == replace(one, text="", vector=b"")
    assert copy.find("other", "m") is None


def test_subjects_of_different_tenants_are_different(copy):
    mine, theirs = row(labelled=label("ada")), row(labelled=label("ada", tenant="other"))
    copy.add([mine, theirs])
    assert copy.of_subject("acme", "ada") == [replace(mine, text="", vector=b"")]
    assert copy.states("other", NOON) == {ClassState(theirs.label.label_class)}


def test_paging_goes_through_the_scope_in_the_order_of_writing(copy):
    rows = [row(created_at=NOON + timedelta(seconds=n // 2)) for n in range(7)]
    copy.add([*rows, row(labelled=label(purpose="billing"))])
    seen: list[bytes] = []
    while page := copy.page(scope(), seen[-1] if seen else None, 3):
        seen += page
    assert seen == [one.rid for one in rows]


def test_paging_survives_that_a_row_is_replaced(copy):
    rows = [row() for _ in range(4)]
    copy.add(rows)
    copy.add([replace(rows[0], text="changed")])
    assert copy.page(scope(), rows[0].rid, 10) == [one.rid for one in rows[1:]]


def test_a_cursor_whose_row_is_gone_is_an_error(copy):
    rows = [row(), row()]
    copy.add(rows)
    copy.remove([rows[0].rid])
    with pytest.raises(InputError) as raised:
        copy.page(scope(), rows[0].rid, 10)
    assert raised.value.code == "cursor-unknown"


@pytest.mark.parametrize(
    ("vector", "code"),
    [
        (b"", "vector-dimension"),
        (unit(1, dim=DIM + 1), "vector-dimension"),
        (struct.pack("<f", float("nan")) * DIM, "vector-not-finite"),
        (struct.pack("<f", float("inf")) * DIM, "vector-not-finite"),
    ],
    ids=["empty", "longer", "nan", "infinite"],
)
def test_a_vector_that_does_not_fit_changes_nothing(copy, vector, code):
    with pytest.raises(InputError) as raised:
        copy.add([row("apples"), replace(row("pears"), vector=vector)])
    assert raised.value.code == code
    assert len(copy) == 0
    with pytest.raises(InputError) as raised:
        copy.search(None, vector, scope(), 10)
    assert raised.value.code == code


def test_a_search_for_nothing_is_an_error(copy):
    with pytest.raises(InputError) as raised:
        copy.search(None, None, scope(), 10)
    assert raised.value.code == "query-missing"


def thawed(copy: SearchCopy, parts=None) -> SearchCopy:
    fresh = type(copy)(DIM)
    fresh.thaw(parts or [(name, bytes(part)) for name, part in copy.freeze()])
    return fresh


def several() -> list[IndexRow]:
    """Rows that differ in everything."""
    lease = Leased("lyo-1", "lease-1", "row-1", "redacted")
    return [
        row("apples ripen", unit(1), label("ada", "bob"), memory_id="first"),
        row("我喜欢猫 pears", unit(0, 1), label("Zoë", tenant="other", purpose="billing")),
        row("pears", unit(1, 1), label("bob", expires_at=NOON + timedelta(days=1))),
        row("plums\nfall", unit(-1), created_at=NOON - timedelta(1), memory_id="Ü\n\x1f'"),
        replace(row("apples", memory_type=MemoryType.WORKING), leased=lease),
    ]


def test_a_thawed_copy_answers_as_the_frozen_one(copy):
    rows = several()
    copy.add([*rows, row("quinces")])
    copy.add([replace(rows[2], text="figs")])
    copy.remove([rows[0].rid])
    again = thawed(copy)
    assert len(again) == len(copy)
    late = row("late figs")
    for other in (copy, again):
        other.add([late])
    asked = [("apples figs", unit(1, 0.5)), (None, unit(1)), ("pears 猫", None), ("apples", None)]
    for one in [*rows, late]:
        assert again.row(one.rid) == copy.row(one.rid)
        assert again.find(one.label.tenant, one.memory_id) == copy.row(one.rid)
        where = scope(one.label)
        assert again.page(where, None, 9) == copy.page(where, None, 9)
        assert again.states(one.label.tenant, NOON) == copy.states(one.label.tenant, NOON)
        for subject in one.label.subjects:
            assert again.of_subject(one.label.tenant, subject) == copy.of_subject(
                one.label.tenant, subject
            )
        for query in asked:
            assert again.search(*query, where, 9) == copy.search(*query, where, 9)


def test_an_empty_copy_can_be_frozen_and_thawed(copy):
    again = thawed(copy)
    assert len(again) == 0
    again.add([row("apples")])
    assert len(rids(again, "apples", None)) == 1


def test_what_is_frozen_is_one_moment(copy):
    rows = [row(f"apples t{n}", unit(1, n)) for n in range(300)]
    copy.add(rows)
    before = {one.rid: copy.search(None, one.vector, scope(), 1)[0].score for one in rows}
    parts = copy.freeze()
    held = [(name, bytes(part)) for name, part in [next(parts)]]
    copy.remove([one.rid for one in rows[:100]])
    copy.add([replace(rows[200], text="pears", vector=unit(0, 0, 1)), row("apples late")])
    held += [(name, bytes(part)) for name, part in parts]
    again = thawed(copy, held)
    assert len(again) == 300
    assert len(again.search("apples", None, scope(), 500)) == 300
    for one in rows:
        assert again.search(None, one.vector, scope(), 1)[0].score == before[one.rid]


def test_parts_that_do_not_fit_leave_the_copy_empty(copy):
    copy.add(several())
    parts = [(name, bytes(part)) for name, part in copy.freeze()]
    for at, (name, part) in enumerate(parts):
        for wrong in ([], [(name, part[:-1])]):
            fresh = type(copy)(DIM)
            with pytest.raises(ValueError):  # noqa: PT011  whatever is wrong with them
                fresh.thaw([*parts[:at], *wrong, *parts[at + 1 :]])
            assert len(fresh) == 0
    with pytest.raises(ValueError):  # noqa: PT011
        type(copy)(DIM + 1).thaw(parts)
