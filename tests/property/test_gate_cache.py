"""What the gate has decided before changes no answer: not by set, purpose, receiver, or time."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from memory_fabric.config import DEFAULT_PLANS
from memory_fabric.core.access import LADDER, Act, Question, Requester, Role, Rule, Verdict
from memory_fabric.core.labels import ClassState, Consent, DataClass, LabelClass
from memory_fabric.core.places import Region, Roster, Site, Tier
from memory_fabric.gate.gate import Ask, Gate, Rulebook
from memory_fabric.gate.permits import Mint
from tests.fakes.clock import ManualClock

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
RULES = [Rule(f"rule-{number}", "", "") for number in range(3)]
SITES = [
    Site(name, Region("DE"), Tier.EDGE, frozenset({"acme"}), "e", b"\1" * 32, b"\2" * 32, "")
    for name in ("fra", "ber", "muc")
]


def a_class(number: int) -> LabelClass:
    return LabelClass(
        Region("DE"), "acme", list(DataClass)[number % 4], True, frozenset(),
        frozenset({"care"}), list(Consent)[number // 4],
    )  # fmt: skip


class Moods:
    """A policy engine whose answers look like chance, and are others in every hour."""

    digest = "moods"
    purposes = ("care", "research")
    specials = ()

    def decide(self, questions: list[Question], now: datetime) -> list[Verdict]:
        return [self._answer(question, now) for question in questions]

    def changes_at(self, now: datetime) -> datetime:
        return now.replace(minute=0, second=0) + timedelta(hours=1)

    def _answer(self, question: Question, now: datetime) -> Verdict:
        state = question.state
        said = (
            state.label_class.key, state.retention_over, question.form, question.purpose,
            question.destination.site_id, now.replace(minute=0, second=0),
        )  # fmt: skip
        drawn = hashlib.sha256(repr(said).encode()).digest()
        return Verdict(drawn[0] % 3 == 0, (RULES[drawn[1] % 3],))


def a_gate(clock: ManualClock) -> Gate:
    engine = Moods()
    roster = Roster(1, {site.site_id: site for site in SITES})
    return Gate(
        Rulebook(engine, engine), roster, DEFAULT_PLANS, frozenset(LADDER), clock, Mint()
    )  # fmt: skip


STATES = st.builds(ClassState, st.integers(0, 11).map(a_class), st.booleans())
ASKS = st.builds(
    Ask,
    st.just(Act.RECALL),
    st.just(Requester("app", "acme", Role.APP)),
    st.sampled_from(Moods.purposes),
    st.just(SITES[0]),
    st.sampled_from(SITES),
)
STEPS = st.lists(
    st.tuples(ASKS, st.frozensets(STATES, max_size=8), st.integers(-90, 90)), max_size=12
)


@given(STEPS)
def test_an_answer_from_the_cache_is_the_one_policy_gives_now(
    steps: list[tuple[Ask, frozenset[ClassState], int]],
) -> None:
    clock = ManualClock(NOON)
    kept = a_gate(clock)
    for ask, states, minutes in steps:
        clock.advance(minutes=minutes)
        found, fresh = kept.decide(ask, states), a_gate(clock).decide(ask, states)
        assert found == fresh
        assert found.granted == {state: item for state, item in fresh.items() if item.allowed}
        assert found.permitted == frozenset(found.granted)
        refusing = {rule for item in fresh.values() if not item.allowed for rule in item.rules}
        assert set(found.refusing) == refusing
        part = frozenset(sorted(states, key=repr)[::2])
        assert found.only(part) == {state: fresh[state] for state in part}
        told = {
            ClassState(label_class, over): decision
            for decision, over, classes in found.alike
            for label_class in classes
        }
        assert told == fresh
        permit = kept.permit(ask, found, None)
        assert permit.grants == found.granted
        assert clock.now() < permit.expires_at <= clock.now() + timedelta(minutes=1)
