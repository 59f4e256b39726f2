"""What the packs do when a fact changes that no case can show while it is not so."""

from __future__ import annotations

from pathlib import Path

from memory_fabric.adapters.cedar.cases import run_cases

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
