"""Tightening a label is a partial order: what loosens is never taken for tightening."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from memory_fabric.core.labels import Consent, DataClass, Label, LabelChange, LabelClass, loosens
from memory_fabric.core.places import Region

DAY = datetime(2027, 1, 1, tzinfo=UTC)
special = st.frozensets(st.sampled_from(["health", "genetic"]))
labels = st.builds(
    lambda special, personal, **parts: Label(
        home=Region("DE"),
        tenant="acme",
        special=special,
        personal=personal or bool(special),
        **parts,
    ),
    special=special,
    personal=st.booleans(),
    data_class=st.sampled_from(DataClass),
    purposes=st.frozensets(st.sampled_from(["care", "research", "fraud"]), min_size=1),
    consent=st.sampled_from(Consent),
    legal_hold=st.booleans(),
    expires_at=st.none() | st.integers(0, 9).map(lambda n: DAY + timedelta(days=n)),
)


@given(labels)
def test_a_label_does_not_loosen_itself(label: Label) -> None:
    assert not loosens(label, label)
    assert LabelChange().apply(label) == label


@given(labels, labels)
def test_going_there_and_back_loosens_unless_nothing_changed(one: Label, other: Label) -> None:
    assert one == other or loosens(one, other) or loosens(other, one)


@given(labels, labels, labels)
def test_two_steps_that_tighten_tighten_together(one: Label, two: Label, three: Label) -> None:
    if not loosens(one, two) and not loosens(two, three):
        assert not loosens(one, three)


@given(labels)
def test_each_single_loosening_is_seen(label: Label) -> None:
    looser = [
        replace(label, purposes=label.purposes | {"support"}),
        replace(label, expires_at=None if label.expires_at else label.expires_at),
        replace(label, home=Region("FR")),
        replace(label, tenant="other"),
    ]
    if label.data_class is not DataClass.PUBLIC:
        looser.append(replace(label, data_class=DataClass.PUBLIC))
    if label.special:
        looser.append(replace(label, special=frozenset()))
    if label.personal and not label.special:
        looser.append(replace(label, personal=False))
    if label.consent is not Consent.GIVEN:
        looser.append(replace(label, consent=Consent.GIVEN))
    if label.legal_hold:
        looser.append(replace(label, legal_hold=False))
    assert all(loosens(label, new) for new in looser if new != label)


@given(labels)
def test_a_class_survives_json_and_its_bases_are_without_hold_and_withdrawal(label: Label) -> None:
    label_class = label.label_class
    assert LabelClass.from_json(label_class.to_json()) == label_class
    assert Label.from_json(label.to_json()) == label
    assert json.loads(label.json_text()) == label.to_json()
    for base in label_class.bases():
        assert not base.legal_hold
        assert base.consent is not Consent.WITHDRAWN
        same = replace(base, legal_hold=label.legal_hold, consent=label.consent)
        assert same == label_class
