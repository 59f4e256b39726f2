"""The chain of a model update: two permits, every class behind it, a committed receipt."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from memory_fabric.core.access import Act, Decision, Plan
from memory_fabric.core.labels import ClassState, Label
from memory_fabric.core.memory import Memory, MemoryType
from memory_fabric.gate import permits
from memory_fabric.gate.permits import (
    ClearedUpdate,
    Mint,
    Opened,
    OpenedMemory,
    PermitVoid,
    TakenUpdate,
    Trained,
    UpdateRelease,
)
from tests.unit.gate.test_permits import NOW, STATE, strike

YES = Decision(True, None, Plan(), ())
OTHER = ClassState(replace(STATE.label_class, special=frozenset({"health"}), personal=True))


def memory(state: ClassState = STATE) -> OpenedMemory:
    named = {
        name: value
        for name, value in vars(state.label_class).items()
        if name in {field.name for field in dataclasses.fields(Label)}
    }
    label = Label(**named)
    return OpenedMemory(
        Memory("m", "text", b"", "e", label, MemoryType.EPISODIC, datetime(2026, 1, 1, tzinfo=UTC)),
        YES,
    )


def opened(act: Act = Act.TRAIN, *items: OpenedMemory) -> Opened:
    mint = Mint()
    permit = strike(mint, act=act, grants={STATE: YES, OTHER: YES}, destination="fra")
    return permits.opened(mint.redeem(permit, NOW), items or (memory(),))


def update(*items: OpenedMemory) -> Trained:
    data = opened(Act.TRAIN, *items)
    return permits.trained(data, data.items, b"update", {}, NOW)


def clear(made: Trained, **more: Any) -> ClearedUpdate:
    mint = Mint()
    permit = strike(mint, **{"act": Act.SEND_UPDATE, "grants": {STATE: YES}, **more})
    return permits.cleared(mint.redeem(permit, NOW), made)


def test_an_update_is_cleared_by_a_permit_that_covers_all_of_it() -> None:
    cleared = clear(update())
    assert (cleared.arrays, cleared.permit.destination) == (b"update", "lon")


def test_a_permit_for_part_of_what_was_trained_on_clears_nothing() -> None:
    with pytest.raises(PermitVoid):
        clear(update(memory(), memory(OTHER)))


@pytest.mark.parametrize("other", [{"tenant": "globex"}, {"origin": "par"}])
def test_a_permit_of_another_scope_clears_nothing(other: dict[str, str]) -> None:
    with pytest.raises(PermitVoid):
        clear(update(), **other)


def test_only_a_permit_to_send_clears_an_update() -> None:
    with pytest.raises(TypeError):
        clear(update(), act=Act.RECALL)


def test_memories_opened_for_something_else_are_not_trained_on() -> None:
    data = opened(Act.RECALL)
    with pytest.raises(TypeError):
        permits.trained(data, data.items, b"", {}, NOW)


def test_an_update_is_made_from_what_was_opened_and_nothing_else() -> None:
    with pytest.raises(TypeError):
        permits.trained(opened(), [memory()], b"", {}, NOW)


def test_an_update_does_not_leave_without_a_receipt() -> None:
    with pytest.raises(TypeError):
        permits.release_update(clear(update()), object())  # type: ignore[arg-type]


def test_an_update_is_taken_in_whole_or_not_at_all() -> None:
    mint = Mint()
    redeemed = mint.redeem(strike(mint, act=Act.TAKE_IN, grants={STATE: YES}), NOW)
    assert permits.update_taken_in(redeemed, frozenset({STATE}), b"x").arrays == b"x"
    with pytest.raises(TypeError):
        permits.update_taken_in(redeemed, frozenset({STATE, OTHER}), b"x")


@pytest.mark.parametrize("kind", [Trained, TakenUpdate, ClearedUpdate, UpdateRelease])
def test_no_link_is_made_from_outside(kind: type[Any]) -> None:
    fields = [field.name for field in dataclasses.fields(kind)]
    with pytest.raises(TypeError):
        kind(object(), **dict.fromkeys(fields))
