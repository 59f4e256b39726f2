"""The decision cases of the starter bundle, and what happens to one that does not come out."""

from __future__ import annotations

from pathlib import Path

import pytest

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.cases import CaseResult, run_cases
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.core.errors import PolicyInvalid

STARTER = Path(__file__).parents[3] / "policies"
REPORT = run_cases(STARTER)


@pytest.mark.parametrize("result", REPORT.results, ids=lambda result: result.case.name)
def test_every_case_comes_out_as_written(result: CaseResult) -> None:
    assert result.passed, str(result)


def test_every_rule_has_a_case() -> None:
    assert REPORT.uncovered == ()


@pytest.mark.parametrize("file", sorted(STARTER.rglob("*.*")), ids=lambda file: file.name)
def test_every_file_says_on_its_face_what_it_is(file: Path) -> None:
    assert "template for counsel, not legal advice" in file.read_text()[:200].lower()


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_a_changed_rule_is_caught_by_its_cases(bundle: Path) -> None:
    edit(
        bundle / "packs" / "eu.cedar",
        "context.plan.minCohort >= 50",
        "context.plan.minCohort >= 10",
    )
    (failure,) = run_cases(bundle).failures
    assert failure.case.name == "Over 49 they may not"
    assert "expected refused by eu-no-safeguards" in str(failure)
    assert "the rules say aggregate by eu-aggregate" in str(failure)


def test_the_right_answer_for_the_wrong_reason_fails(bundle: Path) -> None:
    edit(bundle / "cases" / "eu.yaml", "rules: [eu-us-dpf]", "rules: [eu-scc]")
    assert len(run_cases(bundle).failures) == 1


def test_a_rule_without_a_case_is_named(bundle: Path) -> None:
    (bundle / "packs" / "extra.cedar").write_text(
        '@id("extra") @title("Extra") @basis("Test")\n'
        'forbid (principal in Sov::Region::"CN", action in Sov::Action::"share", resource);'
    )
    report = run_cases(bundle)
    assert report.uncovered == ("extra",)


def test_every_rule_is_shown_on_both_sides() -> None:
    assert REPORT.one_sided == ()
    counts = {one.rule: one for one in REPORT.coverage}
    assert set(counts) == {rule.id for rule in CedarEngine(read_bundle(STARTER)).rules}
    assert all(one.named == one.applied for one in counts.values()), "all come out as written"
    assert counts["home-use"].permits
    assert not counts["secret-stays"].permits


def test_a_rule_is_left_alone_only_by_cases_on_its_act_and_its_data(bundle: Path) -> None:
    (bundle / "packs" / "extra.cedar").write_text(
        '@id("extra") @title("Extra") @basis("Test")\n'
        'forbid (principal, action in Sov::Action::"share", resource in Sov::Region::"BE");'
    )
    (bundle / "cases" / "extra.yaml").write_text(
        "about: Belgium\n"
        'now: "2026-11-23T12:00:00Z"\n'
        "sites: {gent: {region: BE}}\n"
        "data: {note: {home: BE, class: internal, about: people, purposes: [care]}}\n"
        "cases:\n"
        "  - {case: It stays, act: recall, data: note, to: gent, answer: refused, rules: [extra]}\n"
    )
    report = run_cases(bundle)
    assert report.passed
    (extra,) = [one for one in report.coverage if one.rule == "extra"]
    assert (extra.named, extra.applied, extra.left_alone) == (1, 1, 0)
    assert report.one_sided == ("extra",)


def test_no_cases_is_not_a_pass(bundle: Path) -> None:
    for file in (bundle / "cases").iterdir():
        file.unlink()
    assert not run_cases(bundle).passed


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("rules: [eu-us-dpf]", "rules: [eu-us-dfp]", "no such rule"),
        ("to: oslo", "to: olso", "'olso'"),
        ("answer: full", "answer: ful", "'ful'"),
        ('{region: "NO"}', "{region: NO}", 'Write "NO"'),
        ("data: note", "date: note", "'date'"),
        ('masked: "no"', "masked: no", 'Write "no"'),
        ('people: "3"', 'people: "three"', "whole number"),
        ("approvers: [anna, ben]", "approvers: [anna]", "two approvers"),
        ("class: confidential", "class: privat", "'privat'"),
        ("purposes: [fraud]", "purposes: []", "at least one purpose"),
        (
            "about: people, special: [criminal]",
            "about: nobody, special: [criminal]",
            "about people",
        ),
    ],
)
def test_a_mistake_in_a_case_names_its_line(bundle: Path, old: str, new: str, word: str) -> None:
    edit(bundle / "cases" / "eu.yaml", old, new)
    with pytest.raises(PolicyInvalid) as caught:
        run_cases(bundle)
    (finding,) = caught.value.details["findings"]
    assert word in finding["message"] + finding["fix"]
    assert finding["file"] == "cases/eu.yaml"
    assert finding["line"] > 0
