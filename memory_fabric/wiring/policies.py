"""Policy bundles in a home: which one is in force, and which one is only installed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.cases import CaseReport, run_cases
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.cedar.findings import Finding, errors_in, invalid
from memory_fabric.adapters.cedar.lint import check
from memory_fabric.adapters.files import sync
from memory_fabric.adapters.prover.compare import Differences, compare
from memory_fabric.adapters.prover.doubts import proven_doubts
from memory_fabric.adapters.prover.properties import ProofReport, prove
from memory_fabric.core.errors import PolicyInvalid
from memory_fabric.gate.gate import Rulebook
from memory_fabric.wiring.paths import Paths


def starter_policies() -> Path:
    """The bundle that comes along: in a wheel beside the package, in a checkout at its root."""
    package = Path(__file__).resolve().parent.parent
    packaged = package / "starter_policies"
    return packaged if packaged.is_dir() else package.parent / "policies"


def installed_policies(home: Path) -> Path:
    """The bundle installed in a home, or ``home-missing``."""
    paths = Paths(home)
    paths.check_complete()
    return paths.policies


def check_policies(directory: Path) -> list[Finding]:
    """Everything that is wrong with a bundle; where it has no error, also what a proof finds."""
    findings = check(directory)
    if not errors_in(findings):
        policy = CedarEngine(read_bundle(directory)).policy
        findings += proven_doubts(policy, datetime.now(UTC))
    return findings


def test_policies(directory: Path) -> CaseReport:
    """The bundle's decision cases, run.

    Raises:
        PolicyInvalid: the bundle does not pass its checks.
    """
    return run_cases(directory)


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


def install_policies(source: Path, paths: Paths) -> CedarEngine:
    """Copy a bundle that passes every check into a home as the installed and validated one.

    Raises:
        PolicyInvalid: with what is wrong; nothing was copied.
    """
    engine = CedarEngine(read_bundle(source))
    for target in (paths.policies, paths.validated):
        _copy(source, target)
    return engine


def load_rulebook(paths: Paths) -> Rulebook:
    """The rules in force.

    While the installed bundle fails its checks, nothing crosses, and home use goes on under the
    last one that passed.

    Raises:
        PolicyInvalid: neither bundle is usable.
    """
    try:
        engine = CedarEngine(read_bundle(paths.policies))
    except PolicyInvalid as error:
        last = CedarEngine(read_bundle(paths.validated))
        return Rulebook(last, None, f"{error.what} {error.do}")
    if engine.digest != _digest(paths.validated):
        _copy(paths.policies, paths.validated)
    return Rulebook(engine, engine)


def _digest(directory: Path) -> str:
    try:
        return read_bundle(directory).digest
    except PolicyInvalid:
        return ""


def _copy(source: Path, target: Path) -> None:
    """Replace a directory by a copy; a crash leaves the old one, the new one, or none."""
    fresh, old = target.with_name(f"{target.name}.new"), target.with_name(f"{target.name}.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(source, fresh)
    for path in (*fresh.rglob("*"), fresh):
        sync(path)
    if target.exists():
        os.rename(target, old)
    os.rename(fresh, target)
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)
