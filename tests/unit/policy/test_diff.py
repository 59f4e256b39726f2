"""Two bundles are compared in meaning, and every difference is shown by a question put to Cedar."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from memory_fabric.adapters.prover.compare import Differences, compare
from tests.unit.policy.conftest import STARTER

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def edited(bundle: Path, file: str, old: str, new: str) -> Differences:
    path = bundle / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    return compare(STARTER, bundle, NOW)


def test_a_renamed_and_reordered_rule_is_no_difference(bundle: Path) -> None:
    found = edited(bundle, "packs/eu.cedar", '@id("eu-scc")', '@id("eu-clauses")')
    assert found.none
    (bundle / "packs" / "eu.cedar").rename(bundle / "packs" / "a.cedar")
    assert compare(STARTER, bundle, NOW).none


@pytest.mark.parametrize(
    ("file", "old", "new", "groups"),
    [
        (
            "packs/eu.cedar", "context.plan.minCohort >= 50", "context.plan.minCohort >= 20",
            {"aggregate"},
        ),
        ("packs/guards.cedar", "when { resource.legalHold };", "when { false };", {"erase"}),
        (
            "packs/us.cedar", "principal in Sov::Bloc::\"US-countries-of-concern\",\n  action ==",
            "principal in Sov::Bloc::\"EEA\",\n  action ==", {"send_update"},
        ),
    ],
)  # fmt: skip
def test_what_is_let_out_is_shown(
    bundle: Path, file: str, old: str, new: str, groups: set[str]
) -> None:
    found = edited(bundle, file, old, new)
    assert groups <= {change.group[1] or change.group[0] for change in found.allowed}
    for change in (*found.allowed, *found.refused):
        newly = change in found.allowed
        assert change.after.verdict.allowed == newly
        assert change.before.verdict.allowed != newly


def test_a_country_added_to_a_bloc_is_told_as_fact_and_by_what_it_lets_out(bundle: Path) -> None:
    found = edited(bundle, "register/regions.yaml", "- regions: [UY]", "- regions: [AU, UY]")
    assert found.words == ("Register: AU in GDPR-adequate (countries) from 2012-08-21.",)
    assert {change.after.question.destination.region[:2] for change in found.allowed} == {"AU"}
    assert found.refused == ()


def test_a_new_word_is_told(bundle: Path) -> None:
    found = edited(bundle, "schema.cedarschema", '"training"]', '"training", "marketing"]')
    assert found.words == ("New purpose: marketing. Questions with it were refused until now.",)
    assert found.allowed
    assert found.refused == ()
