"""The gate: most permissive form first, errors deny, answers are kept only while they hold."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from memory_fabric.config import DEFAULT_PLANS
from memory_fabric.core.access import (
    BUILDABLE,
    BUNDLE_UNUSABLE,
    FORM_NOT_AVAILABLE,
    LADDER,
    NOTHING_PERMITS,
    UNDECIDABLE,
    Act,
    Form,
    Plan,
    Question,
    Requester,
    Role,
    Rule,
    Verdict,
)
from memory_fabric.core.labels import ClassState, Consent, DataClass, LabelClass
from memory_fabric.core.places import Region, Roster, Site, Tier
from memory_fabric.gate.gate import Ask, Gate, Rulebook
from memory_fabric.gate.permits import Mint
from tests.fakes.clock import ManualClock
from tests.fakes.policy import FunctionEngine, Rules

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ALLOW, FORBID = Rule("allow", "Allowed", "Basis A"), Rule("forbid", "Forbidden", "Basis F")


def site(name: str, region: str, **more: object) -> Site:
    plain = Site(
        name,
        Region(region),
        Tier.EDGE,
        frozenset({"acme"}),
        "e",
        b"\1" * 32,
        b"\2" * 32,
        f"/{name}",
    )
    return replace(plain, **more)


FRA, LON = site("fra", "DE"), site("lon", "GB")
APP = Requester("app", "acme", Role.APP, frozenset({"care"}))
STATE = ClassState(
    LabelClass(
        Region("DE"), "acme", DataClass.CONFIDENTIAL, True, frozenset(), frozenset({"care"}),
        Consent.NONE,
    )
)  # fmt: skip


def permits(*forms: Form) -> Rules:
    """Rules that allow these forms and forbid the others by name."""

    def rules(question: Question, now: datetime) -> Verdict:
        if question.form in forms:
            return Verdict(True, (ALLOW,))
        return Verdict(False, (FORBID,))

    return rules


def gate(engine: FunctionEngine, clock: ManualClock | None = None, **more: object) -> Gate:
    parts = {
        "rulebook": Rulebook(engine, engine),
        "roster": Roster(1, {"fra": FRA, "lon": LON}),
        "plans": DEFAULT_PLANS,
        "available": BUILDABLE,
        "clock": clock or ManualClock(NOW),
        "mint": Mint(),
    }
    return Gate(**{**parts, **more})


def recall(destination: Site = LON, **more: object) -> Ask:
    return replace(Ask(Act.RECALL, APP, "care", FRA, destination), **more)


@pytest.mark.parametrize("form", sorted(BUILDABLE))
def test_the_most_permissive_form_that_policy_allows_is_granted(form: Form) -> None:
    below = LADDER[LADDER.index(form) :]
    decision = gate(FunctionEngine(permits(*below))).decide(recall(), [STATE])[STATE]
    assert (decision.form, decision.plan, decision.rules) == (form, DEFAULT_PLANS[form], (ALLOW,))


def test_a_form_that_cannot_be_made_is_refused_by_name_beside_what_forbids_the_others() -> None:
    engine = FunctionEngine(permits(Form.NOISED_VECTORS, Form.AGGREGATE))
    decision = gate(engine).decide(recall(), [STATE])[STATE]
    assert not decision.allowed
    assert decision.rules == (FORBID, FORM_NOT_AVAILABLE)


def test_what_no_rule_permits_is_refused_with_a_reason() -> None:
    decision = gate(FunctionEngine(lambda q, now: Verdict(False))).decide(recall(), [STATE])[STATE]
    assert (decision.allowed, decision.rules) == (False, (NOTHING_PERMITS,))


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict(True, (ALLOW,), ("a rule failed",)),
        Verdict(False, (FORBID,), ("a rule failed",)),
        Verdict(True, ()),
    ],
    ids=["allowed with an error", "denied with an error", "allowed by no rule"],
)
def test_an_answer_with_an_error_or_without_a_rule_denies_and_ends_the_ladder(
    verdict: Verdict,
) -> None:
    engine = FunctionEngine(
        lambda q, now: verdict if q.form is Form.FULL else Verdict(True, (ALLOW,))
    )
    decision = gate(engine).decide(recall(), [STATE])[STATE]
    assert (decision.allowed, decision.rules) == (False, (UNDECIDABLE,))
    assert len(engine.asked) == 1


def test_acts_without_forms_are_asked_once() -> None:
    engine = FunctionEngine(lambda q, now: Verdict(q.form is None, (ALLOW,)))
    decision = gate(engine).decide(recall(FRA, act=Act.ERASE), [STATE])[STATE]
    assert (decision.allowed, decision.form, len(engine.asked)) == (True, None, 1)


def test_an_unusable_bundle_stops_crossings_and_leaves_home_use_to_the_last_good_one() -> None:
    engine = FunctionEngine(permits(*LADDER))
    closed = gate(engine, rulebook=Rulebook(engine, None, "broken"))
    assert closed.decide(recall(LON), [STATE])[STATE].rules == (BUNDLE_UNUSABLE,)
    assert closed.decide(recall(FRA), [STATE])[STATE].form is Form.FULL


def test_a_decision_is_asked_for_once() -> None:
    engine = FunctionEngine(permits(*LADDER))
    asked = gate(engine)
    first = asked.decide(recall(), [STATE])
    assert asked.decide(recall(), [STATE]) == first
    assert len(engine.asked) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"purpose": "research"},
        {"destination": FRA},
        {"act": Act.QUERY},
        {"requester": replace(APP, role=Role.COMPLIANCE)},
        {"requester": replace(APP, tenant="other")},
        {"loosens": True},
    ],
    ids=str,
)
def test_everything_a_decision_depends_on_is_in_its_key(change: dict[str, object]) -> None:
    engine = FunctionEngine(permits(*LADDER))
    asked = gate(engine)
    asked.decide(recall(), [STATE])
    asked.decide(replace(recall(), **change), [STATE])
    assert len(engine.asked) == 2


def test_a_new_bundle_or_roster_is_asked_anew() -> None:
    engine = FunctionEngine(permits(*LADDER))
    asked = gate(engine)
    asked.decide(recall(), [STATE])
    asked.roster = asked.roster.with_site(site("lon", "GB", transfer_risk_assessed=True))
    asked.decide(recall(), [STATE])
    other = FunctionEngine(permits(Form.REDACTED), digest="rules-2")
    asked.rulebook = Rulebook(other, other)
    assert asked.decide(recall(), [STATE])[STATE].form is Form.REDACTED
    assert len(engine.asked) == 2


def test_a_cached_decision_ends_when_time_can_change_it() -> None:
    moment = NOW + timedelta(hours=1)
    clock = ManualClock(NOW)

    def rules(question: Question, now: datetime) -> Verdict:
        return Verdict(now < moment, (ALLOW if now < moment else FORBID,))

    asked = gate(FunctionEngine(rules, changes_at=moment), clock)
    assert asked.decide(recall(), [STATE])[STATE].changes_at == moment
    clock.set(moment - timedelta(seconds=1))
    assert asked.decide(recall(), [STATE])[STATE].allowed
    clock.set(moment)
    assert not asked.decide(recall(), [STATE])[STATE].allowed


def test_an_instrument_of_the_receiver_that_ends_ends_the_decision() -> None:
    ending = site("lon", "GB", instruments={"eu-scc": "2026-11-23"})
    asked = gate(FunctionEngine(permits(*LADDER)))
    decision = asked.decide(recall(ending), [STATE])[STATE]
    assert decision.changes_at == datetime(2026, 11, 24, tzinfo=UTC)


def test_a_clock_that_goes_back_is_no_reason_to_trust_a_later_answer() -> None:
    clock = ManualClock(NOW)
    engine = FunctionEngine(permits(*LADDER))
    asked = gate(engine, clock)
    asked.decide(recall(), [STATE])
    clock.set(NOW - timedelta(days=1))
    asked.decide(recall(), [STATE])
    assert len(engine.asked) == 2


def test_a_permit_covers_what_was_allowed_and_nothing_else() -> None:
    secret = replace(STATE, label_class=replace(STATE.label_class, data_class=DataClass.SECRET))

    def rules(question: Question, now: datetime) -> Verdict:
        allowed = question.state != secret and question.form is Form.REDACTED
        return Verdict(allowed, (ALLOW if allowed else FORBID,))

    asked = gate(FunctionEngine(rules))
    permit = asked.permit(recall(), asked.decide(recall(), [STATE, secret]), "anna")
    assert {state: grant.form for state, grant in permit.grants.items()} == {STATE: Form.REDACTED}
    assert (permit.origin, permit.destination, permit.subject) == ("fra", "lon", "anna")


def test_plans_stand_in_the_question() -> None:
    plans = {**DEFAULT_PLANS, Form.FULL: Plan(ttl_hours=5)}
    engine = FunctionEngine(permits(*LADDER))
    decision = gate(engine, plans=plans).decide(recall(), [STATE])[STATE]
    assert engine.asked[0].plan.ttl_hours == decision.plan.ttl_hours == 5
