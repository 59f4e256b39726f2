"""Properties: proved, or refuted by a question that Cedar itself allows."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memory_fabric.adapters.cedar.casefile import parse_cases
from memory_fabric.adapters.cedar.cases import run_cases
from memory_fabric.adapters.prover.properties import prove
from memory_fabric.cli import main
from memory_fabric.core.errors import PolicyInvalid
from memory_fabric.wiring.create import create_home
from memory_fabric.wiring.proofs import check_whole
from tests.unit.policy.conftest import STARTER

NOW = datetime(2026, 11, 26, tzinfo=UTC)


def own(folder: Path, never: str, more: str = "") -> None:
    (folder / "properties" / "own.yaml").write_text(
        f"about: Ours\nproperties:\n  - property: Ours\n    basis: Test\n    never: {never}\n{more}"
    )


def test_every_property_of_the_starter_bundle_is_proved_within_a_second() -> None:
    report = prove(STARTER, NOW)
    assert len(report.proofs) >= 12
    assert not report.refuted
    assert max(proof.seconds for proof in report.proofs) < 1
    assert any("2026-11-26" in assumption for assumption in report.assumptions)


@pytest.mark.parametrize(
    "never",
    [
        "{act: [query, recall, export], data: {home: EEA, about: people}, to: {outside: EEA}}",
        "{act: recall, data: {home: EEA, special: health}, to: {outside: EEA}, emergency: open}",
        "{act: send_update, data: {home: US, about: people}, to: {outside: home}}",
        "{act: erase}",
        "{act: relabel, loosens: 'yes'}",
        "{act: train, data: {special: any}}",
        "{act: take_in, to: {outside: home}}",
        "{form: aggregate, data: {home: GB, about: people}, to: {inside: AU}}",
        "{form: redacted, data: {home: EEA}, to: {inside: US-CA, memberships: EU-US-DPF}}",
        "{rules: eu-scc, plan: {ttl-hours: above 100}, to: {outside: [EEA, GDPR-adequate]}}",
        "{act: recall, from: {outside: [DE, FR]}, data: {home: DE}, to: {outside: home}}",
    ],
)
def test_what_does_not_hold_is_refuted_by_a_case_that_passes(bundle: Path, never: str) -> None:
    own(bundle, never)
    (proof,) = prove(bundle, NOW).refuted
    assert proof.example is not None
    assert proof.example.verdict.allowed
    (case,) = parse_cases(proof.example.case, "case")
    assert case.question.destination.region == proof.example.question.destination.region
    for other in (bundle / "cases").iterdir():
        other.unlink()
    (bundle / "cases" / "found.yaml").write_text(proof.example.case)
    assert run_cases(bundle).passed


def test_an_exception_makes_a_property_hold(bundle: Path) -> None:
    never = "{act: recall, data: {home: GB, about: people}, to: {outside: GB}}"
    own(bundle, never)
    assert prove(bundle, NOW).refuted
    own(
        bundle, never, "    unless: [{form: [redacted, vectors_only, noised_vectors, aggregate]}]\n"
    )
    assert not prove(bundle, NOW).refuted


@pytest.mark.parametrize(
    ("never", "message"),
    [
        ("{rules: eu-sc}", "'eu-sc' is no rule of this bundle"),
        ("{to: {outside: EAA}}", "'EAA' is no region, and no bloc"),
        ("{data: {special: helth}}", "'helth' is no special"),
        ("{plan: {ttl-hours: 720}}", "720 without quotes"),
        ("{plan: {ttl-hours: over 720}}", "'over 720' is no bound"),
        ("{plan: {ttl-hours: above 7.5}}", "'above 7.5' is no bound"),
        ("{acts: recall}", "has no 'acts'"),
        ("{}", "A condition says something"),
    ],
)
def test_what_cannot_be_read_is_named_with_file_and_line(
    bundle: Path, never: str, message: str
) -> None:
    own(bundle, never)
    with pytest.raises(PolicyInvalid) as caught:
        prove(bundle, NOW)
    (finding,) = caught.value.details["findings"]
    assert message in finding["message"]
    assert (finding["file"], finding["line"]) == ("properties/own.yaml", 5)


def test_a_bundle_with_a_refuted_property_is_not_whole(bundle: Path) -> None:
    check_whole(bundle)
    own(bundle, "{act: erase}")
    with pytest.raises(PolicyInvalid, match="This does not hold: Ours"):
        check_whole(bundle)


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    with pytest.raises(SystemExit) as ended:
        main(["policy", *words, "--json"])
    return int(ended.value.code or 0), json.loads(capsys.readouterr().out)


def test_the_program_proves_refutes_and_refuses(
    bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, said = run(capsys, "prove", str(bundle))
    assert code == 0
    assert all(item["proved"] for item in said["properties"])
    assert said["assumptions"]
    own(bundle, "{act: erase}")
    code, said = run(capsys, "prove", str(bundle))
    (refuted,) = [item for item in said["properties"] if not item["proved"]]
    assert (code, refuted["property"], refuted["example"]["allowed"]) == (1, "Ours", True)
    own(bundle, "{rules: no-such}")
    code, said = run(capsys, "prove", str(bundle))
    assert (code, said["code"]) == (4, "policy-invalid")


def test_the_program_compares(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said = run(capsys, "diff", str(STARTER), str(bundle))
    assert (code, said["same"], said["newly_allowed"]) == (0, True, [])
    pack = bundle / "packs" / "guards.cedar"
    pack.write_text(pack.read_text().replace("when { resource.legalHold };", "when { false };"))
    code, said = run(capsys, "diff", str(STARTER), str(bundle))
    assert (code, said["same"]) == (0, False)
    assert {change["act"] for change in said["newly_allowed"]} == {"erase"}
    assert said["newly_allowed"][0]["after"]["allowed"]


def test_an_example_carries_the_moment_at_which_its_emergency_ends(permissive: Path) -> None:
    for other in ("properties", "cases"):
        for file in (permissive / other).iterdir():
            file.unlink()
    (permissive / "packs" / "all.cedar").write_text(
        '@id("all") @title("All") @basis("Test") permit (principal, action, resource)\n'
        'when { context has breakGlass && context.breakGlass.ticket like "INC-*" &&\n'
        "context.breakGlass.approver1 != context.breakGlass.approver2 &&\n"
        'context.breakGlass.expires > datetime("2027-01-01") };\n'
    )
    own(permissive, "{act: recall}")
    (proof,) = prove(permissive, NOW).refuted
    assert proof.example is not None
    glass = proof.example.question.break_glass
    assert glass is not None
    assert glass.expires > datetime(2027, 1, 1, tzinfo=UTC)


def test_no_home_is_made_from_a_bundle_with_a_refuted_property(
    bundle: Path, tmp_path: Path
) -> None:
    own(bundle, "{act: erase}")
    home = tmp_path / "home"
    with pytest.raises(PolicyInvalid, match="This does not hold: Ours"):
        create_home(home, site_id="fra-1", region="DE", tenants=["acme"], policies=bundle)
    assert not home.exists()
