"""The closest rule: whatever is asked, its parts hold exactly where Cedar says that it permits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from memory_fabric.adapters.cedar.bundle import Bundle, read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.cedar.rules import parse_rule, split_rules
from memory_fabric.core.access import LADDER, Act, Form, Question
from memory_fabric.core.places import Region
from tests.unit.policy.requests import NOW, random_questions

STARTER = read_bundle(Path(__file__).parents[3] / "policies")
MakeQuestion = Callable[..., Question]


def permits_alone() -> CedarEngine:
    """The starter bundle without its prohibitions: Cedar then names every permit that holds."""
    files = dict(STARTER.files)
    for path, text in STARTER.under("packs/").items():
        rules = [(line, rule) for line, rule in split_rules(text)]
        kept = [
            rule for line, rule in rules if parse_rule(path, line, rule).tree["effect"] == "permit"
        ]
        if kept:
            files[path] = "\n".join(kept)
        else:
            del files[path]
    return CedarEngine(Bundle(files))


def test_a_rule_misses_nothing_exactly_where_cedar_says_that_it_permits(
    starter: CedarEngine,
) -> None:
    alone, permitted, missed = permits_alone(), 0, 0
    for question in random_questions(STARTER, seed=28, count=1500):
        (verdict,) = alone.decide([question], NOW)
        holding = {rule.id for rule in verdict.rules}
        near = starter.closest([question], NOW)
        if holding:
            permitted += 1
            assert len(near) == min(3, len(holding))
            assert {one.rule.id for one in near} <= holding
            assert all(one.missing == () for one in near)
        else:
            missed += bool(near)
            assert all(one.missing for one in near)
        assert all(one.form == question.form for one in near)
    assert permitted > 100
    assert missed > 100


def test_of_several_forms_the_one_that_misses_least_is_told(
    starter: CedarEngine, ask: MakeQuestion, now: datetime
) -> None:
    forms = [replace(ask(), form=form) for form in LADDER]
    (near, *_) = starter.closest(forms, now)
    assert (near.rule.id, near.form, near.missing) == ("eu-adequacy", Form.REDACTED, ())


def test_what_is_missing_is_said_in_english(
    starter: CedarEngine, ask: MakeQuestion, now: datetime
) -> None:
    told = [
        clause
        for question in random_questions(STARTER, seed=29, count=600)
        for near in starter.closest([question], NOW)
        for clause in near.missing
    ]
    assert told
    assert {clause for clause in told if "`" in clause} == set()


def test_a_condition_without_words_is_shown_as_written(bundle: Path, ask: MakeQuestion) -> None:
    for pack in (bundle / "packs").iterdir():
        pack.unlink()
    (bundle / "packs" / "one.cedar").write_text(
        '@id("one") @title("One") @basis("Test") permit (principal, action, resource)\n'
        "when { [1, 2].contains(3) };\n"
    )
    (near,) = CedarEngine(read_bundle(bundle)).closest([ask()], NOW)
    assert near.missing == ("`[1, 2].contains(3)` does not hold",)


def test_an_unknown_word_comes_close_to_nothing(
    starter: CedarEngine, ask: MakeQuestion, now: datetime
) -> None:
    assert starter.closest([ask(act=Act.RECALL, purpose="marketing")], now) == []
    assert starter.closest([ask(origin=Region("ZZ"))], now) == []
