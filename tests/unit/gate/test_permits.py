"""Capabilities: each link of the chain comes from the one before it, and from nowhere else."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from memory_fabric.core.access import Act, Decision, Form, Plan
from memory_fabric.core.labels import ClassState, Consent, DataClass, LabelClass
from memory_fabric.core.places import Region
from memory_fabric.gate import permits
from memory_fabric.gate.permits import (
    PERMIT_LIFETIME,
    Discharged,
    Mint,
    Opened,
    Permit,
    PermitVoid,
    Redeemed,
    Release,
)

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
STATE = ClassState(
    LabelClass(
        Region("DE"), "acme", DataClass.INTERNAL, False, frozenset(), frozenset({"care"}),
        Consent.NONE,
    )
)  # fmt: skip
GRANT = Decision(True, Form.REDACTED, Plan(), ())


def strike(mint: Mint, **more: Any) -> Permit:
    parts: dict[str, Any] = {
        "act": Act.RECALL, "origin": "fra", "tenant": "acme", "purpose": "care", "subject": None,
        "destination": "lon", "grants": {STATE: GRANT}, "now": NOW,
    }  # fmt: skip
    return mint.strike(**{**parts, **more})


def test_a_permit_is_used_once() -> None:
    mint = Mint()
    permit = strike(mint)
    assert mint.redeem(permit, NOW).permit is permit
    with pytest.raises(PermitVoid):
        mint.redeem(permit, NOW)


def test_a_permit_of_another_mint_is_void() -> None:
    with pytest.raises(PermitVoid):
        Mint().redeem(strike(Mint()), NOW)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("act", Act.EXPORT),
        ("origin", "par"),
        ("tenant", "other"),
        ("purpose", "research"),
        ("subject", "ben"),
        ("destination", "vir"),
        ("grants", {STATE: dataclasses.replace(GRANT, form=Form.FULL)}),
        ("grants", {}),
        ("expires_at", NOW + timedelta(days=1)),
    ],
)
def test_an_altered_permit_is_void(name: str, value: object) -> None:
    mint = Mint()
    permit = strike(mint)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(permit, name, value)
    object.__setattr__(permit, name, value)
    with pytest.raises(PermitVoid):
        mint.redeem(permit, NOW)


def test_a_permit_ends_by_itself() -> None:
    mint = Mint()
    late = strike(mint)
    with pytest.raises(PermitVoid):
        mint.redeem(late, NOW + PERMIT_LIFETIME)


def test_a_permit_ends_when_a_decision_in_it_does() -> None:
    mint = Mint()
    soon = dataclasses.replace(GRANT, changes_at=NOW + timedelta(seconds=5))
    with pytest.raises(PermitVoid):
        mint.redeem(strike(mint, grants={STATE: soon}), NOW + timedelta(seconds=5))


def test_refused_classes_are_not_in_a_permit() -> None:
    refused = dataclasses.replace(GRANT, allowed=False)
    assert not strike(Mint(), grants={STATE: refused}).grants


@pytest.mark.parametrize("kind", [Permit, Redeemed, Opened, Discharged, Release])
def test_no_link_is_made_from_outside(kind: type[Any]) -> None:
    fields = [field.name for field in dataclasses.fields(kind)]
    with pytest.raises(TypeError):
        kind(object(), **dict.fromkeys(fields))


def test_a_permit_is_neither_copied_nor_pickled_nor_replaced() -> None:
    permit = strike(Mint())
    for trick in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            trick(permit)
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(permit, destination="vir")


def test_each_step_takes_nothing_but_the_step_before_it() -> None:
    permit = strike(Mint())
    with pytest.raises(TypeError):
        permits.opened(permit, [])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        permits.taken_in(permit, [])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        permits.discharged(permit, [], [])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        permits.release([permit], object())  # type: ignore[arg-type, list-item]
    with pytest.raises(TypeError):
        permits.release([], object())  # type: ignore[arg-type]
