"""The translation to z3 says what Cedar says."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.cedar.findings import BundleError
from memory_fabric.adapters.cedar.lint import examine
from memory_fabric.adapters.prover.translate import Translation
from memory_fabric.adapters.prover.world import World
from memory_fabric.core.access import Act, Form
from tests.unit.policy.conftest import STARTER
from tests.unit.policy.requests import NOW, random_questions

FORMS_AND_ACTS = {*Form, *(act for act in Act if not act.has_forms)}

ODD = [
    "if resource is Sov::Query then context.plan.minCohort == 0 "
    'else principal.tier != Sov::Tier::"hub"',
    'context has breakGlass && context.breakGlass.approver2 == "ben"',
    'context has breakGlass.ticket && context.breakGlass.ticket like "*C-\\u{e9}"',
    'context has breakGlass && context.breakGlass.expires > datetime("2026-11-23T12:30:00Z")',
    'resource.purposes.containsAll([context.purpose, Sov::Purpose::"research"])',
    '[Sov::Purpose::"care", Sov::Purpose::"fraud"].containsAll(resource.purposes)',
    'resource.purposes == [Sov::Purpose::"fraud"]',
    "principal in resource.home || resource.home in principal.region",
    'context.origin in Sov::Region::"US" && principal.region == Sov::Region::"US-CA"',
    'principal in [Sov::Region::"DE-BY", Sov::Region::"FR"]',
    'resource is Sov::Memories in Sov::Bloc::"EEA" && !(resource.special.isEmpty())',
    'action in [Sov::Action::"full", Sov::Action::"share_masked"]',
    'action == Sov::Action::"redacted" || context.requester.role == Sov::Role::"operator"',
    "principal.tenants.contains(context.requester.tenant)",
    'context.now < datetime("2026-11-24") && context.plan.epsilon.lessThan(decimal("1.0"))',
    'context.origin == Sov::Region::"AU-NSW" || resource.home == Sov::Region::"AU-NSW"',
]


def agree(folder: Path, seed: int, count: int) -> Counter[str]:
    """Where both agree on random questions: how often each form and act was allowed."""
    bundle = read_bundle(folder)
    questions = random_questions(bundle, seed, count)
    policy, findings = examine(bundle)
    assert policy is not None, findings
    named = {q.origin for q in questions} | {q.destination.region for q in questions}
    world = World([policy], NOW, named | {q.state.label_class.home for q in questions})
    translation = Translation(policy, world)
    verdicts = CedarEngine(bundle).decide(questions, NOW)
    assert not any(verdict.errors for verdict in verdicts)
    said = [translation.says(question) for question in questions]
    differing = [q for q, v, z in zip(questions, verdicts, said, strict=True) if v.allowed != z]
    assert not differing, differing[0]
    assert {q.form or q.act for q in questions} == FORMS_AND_ACTS
    return Counter(q.form or q.act for q, z in zip(questions, said, strict=True) if z)


@pytest.mark.parametrize(
    ("seed", "count"),
    [(5, 1_500), pytest.param(29, 10_000, marks=[pytest.mark.slow, pytest.mark.timeout(900)])],
)
def test_z3_and_cedar_agree_on_the_starter_bundle(seed: int, count: int) -> None:
    assert set(agree(STARTER, seed, count)) == FORMS_AND_ACTS


@pytest.mark.parametrize("condition", ODD)
def test_they_agree_on_operators_that_the_starter_bundle_does_not_use(
    bundle: Path, condition: str
) -> None:
    for pack in (bundle / "packs").iterdir():
        pack.unlink()
    (bundle / "packs" / "odd.cedar").write_text(
        '@id("odd") @title("Odd") @basis("Test")\n'
        f'permit (principal, action in Sov::Action::"share", resource) when {{ {condition} }};\n'
    )
    allowed = agree(bundle, 7, 250).total()
    assert 0 < allowed < 250


def test_what_is_not_modelled_stops_with_rule_and_line(permissive: Path) -> None:
    (permissive / "packs" / "sum.cedar").write_text(
        '\n@id("sum") @title("Sum") @basis("Test")\n'
        'permit (principal, action == Sov::Action::"aggregate", resource)\n'
        "when { context.plan.minCohort + 1 > 50 };\n"
    )
    policy, _ = examine(read_bundle(permissive))
    assert policy is not None
    with pytest.raises(BundleError) as caught:
        Translation(policy, World([policy], NOW))
    finding = caught.value.finding
    assert (finding.file, finding.line, finding.rule) == ("packs/sum.cedar", 2, "sum")
    assert "`+` is not modelled" in finding.message
