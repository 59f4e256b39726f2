"""What the starter bundle never does, whatever is asked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.core.access import LADDER, Act, BreakGlass, Plan, Question, Requester, Role
from memory_fabric.core.labels import ClassState, Consent, DataClass, LabelClass
from memory_fabric.core.places import Region, Site, Tier

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENGINE = CedarEngine(read_bundle(Path(__file__).parents[2] / "policies"))
REGIONS = st.sampled_from(
    [
        Region(code)
        for code in "DE NO GB US US-CA IN IN-MH CN CN-SH HK SA SA-01 BR BR-SP JP ZA".split()
    ]
)
INSTRUMENTS = (
    "eu-scc", "eu-bcr", "uk-idta", "hipaa-baa", "in-contract", "br-scc", "sa-scc",
    "cn-security-assessment", "cn-standard-contract",
)  # fmt: skip
TENANTS = st.sampled_from(["acme", "globex"])


def some(words: tuple[str, ...], least: int = 0) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(words), min_size=least, max_size=3)


@st.composite
def sites(draw: st.DrawFn) -> Site:
    region = draw(REGIONS)
    clubs = ("EU-US-DPF", "UK-US-bridge") if region.country == "US" else ()
    return Site(
        "site",
        region,
        draw(st.sampled_from(Tier)),
        draw(st.frozensets(TENANTS, min_size=1)),
        embedder="",
        signing_key=b"",
        sealing_key=b"",
        address="",
        instruments=dict.fromkeys(draw(some(INSTRUMENTS)), ""),
        memberships=dict.fromkeys(draw(some(clubs)) if clubs else (), ""),
        transfer_risk_assessed=draw(st.booleans()),
    )


@st.composite
def shares(draw: st.DrawFn) -> list[Question]:
    """One question in every form."""
    personal = draw(st.booleans())
    label = LabelClass(
        home=draw(REGIONS),
        tenant=draw(TENANTS),
        data_class=draw(st.sampled_from(DataClass)),
        personal=personal,
        special=draw(some(ENGINE.specials)) if personal else frozenset(),
        purposes=draw(some(ENGINE.purposes, 1)),
        consent=draw(st.sampled_from(Consent)),
        legal_hold=draw(st.booleans()),
    )
    question = Question(
        act=draw(st.sampled_from([Act.QUERY, Act.RECALL, Act.EXPORT])),
        origin=label.home,
        destination=draw(sites()),
        requester=Requester("app", draw(TENANTS), draw(st.sampled_from(Role))),
        purpose=draw(st.sampled_from(sorted(label.purposes))),
        state=ClassState(label, draw(st.booleans())),
        plan=Plan(draw(st.integers(0, 10_000)), draw(st.integers(0, 500)), "1.0"),
        break_glass=draw(
            st.none() | st.just(BreakGlass("INC-1", "anna", "ben", NOW.replace(hour=13)))
        ),
    )
    return [replace(question, form=form) for form in LADDER]


def label_of(questions: list[Question], **changed: object) -> list[Question]:
    return [
        replace(q, state=replace(q.state, label_class=replace(q.state.label_class, **changed)))
        for q in questions
    ]


def allowed(questions: list[Question]) -> list[bool]:
    verdicts = ENGINE.decide(questions, NOW)
    assert not any(verdict.errors for verdict in verdicts)
    return [verdict.allowed for verdict in verdicts]


@given(shares())
@settings(max_examples=150)
def test_withdrawn_consent_is_shared_in_no_form(questions: list[Question]) -> None:
    assert not any(allowed(label_of(questions, consent=Consent.WITHDRAWN)))


@given(shares())
@settings(max_examples=150)
def test_a_secret_never_crosses(questions: list[Question]) -> None:
    secret = label_of(questions, data_class=DataClass.SECRET)
    if secret[0].destination.region != secret[0].state.label_class.home:
        assert not any(allowed(secret))


@given(shares())
@settings(max_examples=150)
def test_the_tenant_wall_holds(questions: list[Question]) -> None:
    tenant = questions[0].state.label_class.tenant
    inside = tenant == questions[0].requester.tenant and tenant in questions[0].destination.tenants
    if not inside:
        assert not any(allowed(questions))


@given(shares())
@settings(max_examples=150)
def test_whoever_gets_a_form_gets_every_lesser_vector_form_too(questions: list[Question]) -> None:
    """The ladder is monotone from ``full`` down to ``noised_vectors``, save in an emergency."""
    calm = [replace(question, break_glass=None) for question in questions]
    forms = allowed(calm)[:4]
    assert forms == sorted(forms)


@given(st.lists(shares(), min_size=1, max_size=4))
@settings(max_examples=40)
def test_a_batch_answers_as_one_by_one(batches: list[list[Question]]) -> None:
    together = [question for batch in batches for question in batch]
    alone = [ENGINE.decide([question], NOW)[0] for question in together]
    assert ENGINE.decide(together, NOW) == alone
