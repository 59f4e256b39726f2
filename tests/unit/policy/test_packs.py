"""What all packs do alike, and what they do when a fact changes that no case can show as yet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from memory_fabric.adapters.cedar.cases import run_cases
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.core.access import LADDER, BreakGlass, Form, Plan, Question
from memory_fabric.core.labels import Consent
from memory_fabric.core.places import Region

COUNTRIES = ("DE", "NO", "GB", "US", "IN", "CN", "HK", "SA", "BR", "JP", "ZA")
EVERYTHING = dict.fromkeys(
    (
        "eu-scc", "eu-bcr", "uk-idta", "in-contract", "br-scc", "sa-scc", "cn-standard-contract",
        "cn-security-assessment",
    ),
    "",
)  # fmt: skip

RESTRICTED = """entries:
      - regions: [DE]
        source: A notification under section 16(1)
        date: "2026-11-01"
"""
TO_GERMANY = """about: India restricts transfers to Germany
now: "2026-11-26T12:00:00Z"
sites:
  frankfurt: {region: DE, instruments: [in-contract]}
data:
  chart: {home: IN, class: confidential, about: people, special: [health], purposes: [care]}
  note: {home: IN, class: confidential, about: people, purposes: [care, research]}
cases:
  - case: Nothing goes, contract or not
    act: recall
    data: note
    to: frankfurt
    purpose: care
    answer: refused
    rules: [in-no-safeguards]
  - case: Not in an emergency either
    act: recall
    data: chart
    to: frankfurt
    emergency: {ticket: INC-4711, approvers: [anna, ben]}
    answer: refused
    rules: [in-no-safeguards]
  - case: Statistics identify nobody
    act: recall
    data: note
    to: frankfurt
    purpose: research
    plan: {min-cohort: "50"}
    answer: aggregate
    rules: [in-aggregate]
"""


def test_a_country_that_india_restricts_gets_nothing(bundle: Path) -> None:
    register = bundle / "register" / "regions.yaml"
    empty, full = register.read_text(), []
    for line in empty.splitlines():
        full.append(line.split("entries: []")[0] + RESTRICTED if "entries: []" in line else line)
    register.write_text("\n".join(full))
    for cases in (bundle / "cases").iterdir():
        cases.unlink()
    (bundle / "cases" / "germany.yaml").write_text(TO_GERMANY)
    report = run_cases(bundle)
    assert len(report.results) == 3
    assert [str(failure) for failure in report.failures] == []


def forms(
    starter: CedarEngine, ask: Callable[..., Question], now: datetime, **said: Any
) -> set[Form]:
    """The forms allowed to a site that signed everything, for data whose owner consented."""
    asked = [
        ask(
            consent=Consent.GIVEN,
            instruments=EVERYTHING,
            transfer_risk_assessed=True,
            form=form,
            **{"purposes": frozenset({"care", "research"}), "plan": Plan(24, 50, "1.0")} | said,
        )
        for form in LADDER
    ]
    verdicts = starter.decide(asked, now)
    return {form for form, verdict in zip(LADDER, verdicts, strict=True) if verdict.allowed}


@pytest.mark.parametrize("home", ["DE", "GB", "US", "IN", "CN", "SA", "BR"])
def test_what_is_sensitive_stays_save_masked_health_data_in_an_emergency(
    home: str, starter: CedarEngine, ask: Callable[..., Question], now: datetime
) -> None:
    """Without a category the same data goes, so it is the category that keeps it."""
    emergency = BreakGlass("INC-1", "anna", "ben", now.replace(hour=13))
    went: set[Form] = set()
    for country in COUNTRIES:
        if country == home or {country, home} <= {"DE", "NO"}:
            continue
        there = {"home": Region(home), "origin": Region(home), "region": Region(country)}
        went |= forms(starter, ask, now, **there)
        for special in starter.specials:
            about = there | {"special": frozenset({special})}
            assert not forms(starter, ask, now, **about)
            saved = forms(starter, ask, now, **about, break_glass=emergency)
            assert Form.FULL not in saved
            assert bool(saved) == (special == "health" and home not in ("GB", "US"))
            for limit in ({"purpose": "research"}, {"plan": Plan(25, 50, "1.0")}):
                assert not forms(starter, ask, now, **about | limit, break_glass=emergency)
    assert Form.REDACTED in went
    assert Form.FULL not in went
