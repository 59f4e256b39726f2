"""Decision cases: examples with the answer that the rules must give, written beside the rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from memory_fabric.adapters.cedar.bundle import Bundle, read_bundle
from memory_fabric.adapters.cedar.casefile import Case, parse_cases
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.cedar.findings import BundleError, Finding, invalid
from memory_fabric.core.access import LADDER, NOTHING_PERMITS, Form

YES, REFUSED = "yes", "refused"


@dataclass(frozen=True)
class CaseResult:
    """How one case came out.

    Attributes:
        answer: a form, ``yes`` or ``refused``.
        rules: ids of the rules that gave the answer, sorted.
        errors: evaluation errors; a case with any has failed.
    """

    case: Case
    answer: str
    rules: tuple[str, ...]
    errors: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether the answer and its rules are as written."""
        as_written = (self.case.answer, tuple(sorted(self.case.rules)))
        return not self.errors and (self.answer, self.rules) == as_written

    def __str__(self) -> str:
        case = self.case
        wanted = f"{case.answer} by {', '.join(sorted(case.rules))}"
        got = f"{self.answer} by {', '.join(self.rules)}"
        verdict = "as written" if self.passed else f"expected {wanted}; the rules say {got}"
        trouble = f" ({'; '.join(self.errors)})" if self.errors else ""
        return f"{case.file}:{case.line} {case.name}: {verdict}{trouble}"


@dataclass(frozen=True)
class CaseReport:
    """All cases of a bundle, and the rules that none of them names."""

    results: tuple[CaseResult, ...]
    uncovered: tuple[str, ...]

    @property
    def failures(self) -> tuple[CaseResult, ...]:
        """The cases that came out otherwise than written."""
        return tuple(result for result in self.results if not result.passed)

    @property
    def passed(self) -> bool:
        """Whether there are cases and every one came out as written."""
        return bool(self.results) and not self.failures


def run_cases(directory: Path) -> CaseReport:
    """Decide every case of the bundle in a directory.

    Raises:
        PolicyInvalid: the bundle or a case file has findings.
    """
    bundle = read_bundle(directory)
    engine = CedarEngine(bundle)
    results = tuple(_decide(engine, case) for case in _cases(bundle, engine))
    named = {rule for result in results for rule in result.case.rules}
    uncovered = tuple(rule.id for rule in engine.rules if rule.id not in named)
    return CaseReport(results, uncovered)


def _cases(bundle: Bundle, engine: CedarEngine) -> list[Case]:
    findings: list[Finding] = []
    cases: list[Case] = []
    known = {rule.id for rule in engine.rules} | {NOTHING_PERMITS.id}
    for path, text in bundle.under("cases/").items():
        try:
            cases += parse_cases(text, path)
        except BundleError as error:
            findings.append(error.finding)
    for case in cases:
        for rule in case.rules:
            if rule not in known:
                findings.append(
                    Finding(case.file, case.line, rule, "There is no such rule.", "Mend the id.")
                )
    if findings:
        raise invalid(findings)
    return cases


def _decide(engine: CedarEngine, case: Case) -> CaseResult:
    forms: Sequence[Form | None] = LADDER if case.question.act.has_forms else (None,)
    questions = [replace(case.question, form=form) for form in forms]
    verdicts = engine.decide(questions, case.now)
    errors = tuple(dict.fromkeys(error for verdict in verdicts for error in verdict.errors))
    refusing: set[str] = set()
    for form, verdict in zip(forms, verdicts, strict=True):
        ids = [rule.id for rule in verdict.rules]
        if verdict.allowed:
            return CaseResult(case, str(form or YES), tuple(sorted(ids)), errors)
        refusing.update(ids)
    rules = tuple(sorted(refusing)) or (NOTHING_PERMITS.id,)
    return CaseResult(case, REFUSED, rules, errors)
