"""Cedar, and the starter bundle read by hand, answer alike: whether, and by which rules."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path

import pytest

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.core.access import LADDER, Act
from tests.unit.policy import oracle
from tests.unit.policy.conftest import STARTER
from tests.unit.policy.likely import NOW, Asked, likely_questions
from tests.unit.policy.requests import random_questions

Answer = tuple[bool, frozenset[str]]
SEED = 20261126
AT_ONCE = 500


def answers(engine: CedarEngine, asked: Iterable[Asked]) -> list[tuple[Asked, Answer]]:
    """Cedar's answers, asked in batches of one moment each."""
    by_moment = defaultdict(list)
    for item in asked:
        by_moment[item.now].append(item)
    found: list[tuple[Asked, Answer]] = []
    for now, items in by_moment.items():
        for start in range(0, len(items), AT_ONCE):
            some = items[start : start + AT_ONCE]
            verdicts = engine.decide([item.question for item in some], now)
            found += [
                (item, (verdict.allowed, frozenset(rule.id for rule in verdict.rules)))
                for item, verdict in zip(some, verdicts, strict=True)
            ]
    return found


def check(engine: CedarEngine, count: int, seed: int) -> Counter[str]:
    """That both answer alike; how often each rule decided, and how many were allowed."""
    seen: Counter[str] = Counter()
    for item, cedar in answers(engine, likely_questions(seed, count)):
        by_hand = oracle.answer(item.question, item.now)
        assert by_hand == cedar, item
        seen.update(cedar[1])
        seen["(allowed)"] += cedar[0]
        seen[f"(act {item.question.act})"] += 1
        seen[f"(form {item.question.form})"] += 1
    return seen


def test_both_know_the_same_rules(starter: CedarEngine) -> None:
    assert {rule.id for rule in starter.rules} == oracle.PERMITS.keys() | oracle.FORBIDS.keys()
    assert not oracle.PERMITS.keys() & oracle.FORBIDS.keys()


def test_both_answer_alike(starter: CedarEngine) -> None:
    seen = check(starter, 1_500, SEED)
    assert seen["(allowed)"] >= 200


def test_a_slip_in_a_rule_is_noticed(bundle: Path) -> None:
    pack = bundle / "packs" / "guards.cedar"
    pack.write_text(
        pack.read_text().replace("resource.legalHold && principal.region", "principal.region")
    )
    with pytest.raises(AssertionError):
        check(CedarEngine(read_bundle(bundle)), 1_500, SEED)


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.slow)])
def test_both_answer_what_nobody_would_ask_alike(starter: CedarEngine, count: int) -> None:
    drawn = random_questions(read_bundle(STARTER), SEED + count, count)
    for item, cedar in answers(starter, [Asked(question, NOW) for question in drawn]):
        assert oracle.answer(item.question, item.now) == cedar, item


@pytest.mark.slow
def test_both_answer_ten_thousand_questions_alike(starter: CedarEngine) -> None:
    seen = check(starter, 10_000, SEED + 1)
    assert {rule.id: seen[rule.id] for rule in starter.rules if seen[rule.id] < 4} == {}
    assert 1_500 <= seen["(allowed)"] <= 8_000
    assert all(seen[f"(act {act})"] >= 100 for act in Act)
    assert all(seen[f"(form {form})"] >= 500 for form in LADDER)
