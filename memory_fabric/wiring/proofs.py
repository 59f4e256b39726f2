"""What takes a prover: a bundle checked, proved, compared, and all of it before it is taken in.

A module of its own, so that nobody waits for the prover's library who proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.cases import run_cases
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.cedar.findings import Finding, errors_in, invalid
from memory_fabric.adapters.cedar.lint import check
from memory_fabric.adapters.prover.compare import Differences, compare
from memory_fabric.adapters.prover.doubts import proven_doubts
from memory_fabric.adapters.prover.properties import ProofReport, prove


def check_policies(directory: Path) -> list[Finding]:
    """Everything that is wrong with a bundle; where it has no error, also what a proof finds."""
    findings = check(directory)
    if not errors_in(findings):
        policy = CedarEngine(read_bundle(directory)).policy
        findings += proven_doubts(policy, datetime.now(UTC))
    return findings


def prove_policies(
    directory: Path, now: datetime, step: Callable[[int, int], None] = lambda done, total: None
) -> ProofReport:
    """The bundle's properties, each proved or refuted with a concrete case.

    Raises:
        PolicyInvalid: the bundle or a property has findings, or a rule is beyond the proofs.
    """
    return prove(directory, now, step)


def compare_policies(
    old: Path,
    new: Path,
    now: datetime,
    step: Callable[[int, int], None] = lambda done, total: None,
) -> Differences:
    """What one bundle newly allows and newly refuses, compared with another.

    Raises:
        PolicyInvalid: one of them has findings, or a rule is beyond the proofs.
    """
    return compare(old, new, now, step)


def check_whole(directory: Path, now: datetime | None = None) -> None:
    """Everything that a bundle must pass before it may be installed: checks, cases, properties.

    Raises:
        PolicyInvalid: with every finding of the first of them that fails.
    """
    if wrong := errors_in(check_policies(directory)):
        raise invalid(wrong)
    failures = run_cases(directory).failures
    if failures:
        raise invalid(
            [
                Finding(one.case.file, one.case.line, "", f"This case fails: {one}.", "Mend one.")
                for one in failures
            ]
        )
    refuted = prove(directory, now or datetime.now(UTC)).refuted
    if refuted:
        raise invalid(
            [
                Finding(
                    one.file, one.line, "", f"This does not hold: {one.name}.",
                    f"The rules allow: {one.example.sentence if one.example else ''}",
                )
                for one in refuted
            ]
        )  # fmt: skip
