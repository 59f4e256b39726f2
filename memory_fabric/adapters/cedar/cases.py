"""Decision cases: examples with the answer that the rules must give, written beside the rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from memory_fabric.adapters.cedar.bundle import Bundle, read_bundle
from memory_fabric.adapters.cedar.casefile import Case, parse_cases
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.cedar.findings import BundleError, Finding, invalid
from memory_fabric.adapters.cedar.wording import meant
from memory_fabric.core.access import LADDER, NOTHING_PERMITS, Form, Question

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
class Coverage:
    """What the cases show of one rule.

    Attributes:
        permits: whether it allows; else it forbids.
        named: cases that name it.
        applied: cases in which it gave the answer.
        left_alone: cases on its act and its data in which it did not.
    """

    rule: str
    permits: bool
    named: int
    applied: int
    left_alone: int


@dataclass(frozen=True)
class CaseReport:
    """All cases of a bundle, and what they show of each rule, in the bundle's order."""

    results: tuple[CaseResult, ...]
    coverage: tuple[Coverage, ...]

    @property
    def uncovered(self) -> tuple[str, ...]:
        """The rules that no case names."""
        return tuple(one.rule for one in self.coverage if not one.named)

    @property
    def one_sided(self) -> tuple[str, ...]:
        """The rules that are never shown where they do not apply: how far they reach is open."""
        return tuple(one.rule for one in self.coverage if one.named and not one.left_alone)

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
    return CaseReport(results, _coverage(engine, results))


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
                near = meant(rule, known)
                fix = f"Did you mean {near}?" if near else "Mend the id."
                findings.append(Finding(case.file, case.line, rule, "There is no such rule.", fix))
    if findings:
        raise invalid(findings)
    return cases


def _decide(engine: CedarEngine, case: Case) -> CaseResult:
    questions = _questions(case)
    verdicts = engine.decide(questions, case.now)
    errors = tuple(dict.fromkeys(error for verdict in verdicts for error in verdict.errors))
    refusing: set[str] = set()
    for question, verdict in zip(questions, verdicts, strict=True):
        ids = [rule.id for rule in verdict.rules]
        if verdict.allowed:
            return CaseResult(case, str(question.form or YES), tuple(sorted(ids)), errors)
        refusing.update(ids)
    rules = tuple(sorted(refusing)) or (NOTHING_PERMITS.id,)
    return CaseResult(case, REFUSED, rules, errors)


def _questions(case: Case) -> list[Question]:
    """One for each form, from the most to the least."""
    forms: Sequence[Form | None] = LADDER if case.question.act.has_forms else (None,)
    return [replace(case.question, form=form) for form in forms]


def _coverage(engine: CedarEngine, results: Sequence[CaseResult]) -> tuple[Coverage, ...]:
    named: Counter[str] = Counter()
    applied: Counter[str] = Counter()
    in_play: Counter[str] = Counter()
    seen: dict[tuple[object, ...], frozenset[str]] = {}  # many cases ask the same of a rule's scope
    for result in results:
        case = result.case
        named.update(set(case.rules))
        applied.update(result.rules)
        about = set(result.rules)
        for question in _questions(case) if not result.errors else ():
            key = (question.act, question.form, question.state.label_class.home, case.now)
            if key not in seen:
                (seen[key],) = engine.in_play([question], case.now)
            about |= seen[key]
        in_play.update(about)
    return tuple(
        Coverage(
            rule=parsed.rule.id,
            permits=parsed.tree["effect"] == "permit",
            named=named[parsed.rule.id],
            applied=applied[parsed.rule.id],
            left_alone=in_play[parsed.rule.id] - applied[parsed.rule.id],
        )
        for parsed in engine.policy.rules
    )
