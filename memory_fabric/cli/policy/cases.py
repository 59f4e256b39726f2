"""``policy test``: a bundle's decision cases, and what they show of each rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from memory_fabric import wiring
from memory_fabric.cli.policy.folder import Directory, folder
from memory_fabric.cli.session import session

_SHOWN = 20
"""Rules named in one line at most; ``--json`` names all of them."""


def run_cases(
    context: typer.Context,
    directory: Directory = None,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Show for each rule what the cases show of it.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail also where a rule has no case.")
    ] = False,
) -> None:
    """Run a bundle's decision cases; exit 1 where one comes out otherwise."""
    run = session(context)
    with run.output.waiting("Running the cases"):
        report = wiring.test_policies(folder(run, directory))
    passed = report.passed and not (strict and report.uncovered)
    if run.output.as_json:
        cases = [
            {
                "case": str(result),
                "name": result.case.name,
                "file": result.case.file,
                "line": result.case.line,
                "passed": result.passed,
                "expected": {"answer": result.case.answer, "rules": sorted(result.case.rules)},
                "got": {"answer": result.answer, "rules": list(result.rules)},
                "errors": list(result.errors),
            }
            for result in report.results
        ]
        run.output.json(
            {
                "passed": passed,
                "cases": cases,
                "uncovered": list(report.uncovered),
                "one_sided": list(report.one_sided),
                "coverage": [asdict(one) for one in report.coverage],
            }
        )
    else:
        if report.failures:
            run.output.say(f"Cases that come out otherwise: {len(report.failures)}", "bold")
        for result in report.failures:
            run.output.paragraph(
                f"{result.case.file}:{result.case.line} {result.case.name}",
                f"Expected: {_answer(result.case.answer, result.case.rules)}",
                f"The rules say: {_answer(result.answer, result.rules, result.errors)}",
            )
        if coverage:
            shown = [
                (one.rule, "permit" if one.permits else "forbid", one.named, one.applied,
                 one.left_alone)
                for one in report.coverage
            ]  # fmt: skip
            titles_of = ("rule", "effect", "named in", "gave the answer in", "left alone in")
            run.output.table("Cases for each rule", titles_of, shown)
        good = len(report.results) - len(report.failures)
        run.output.say(f"{good} of {len(report.results)} cases come out as written.")
        if report.uncovered:
            run.output.say(f"No case exercises: {_few(report.uncovered)}", "yellow")
        if report.one_sided:
            told = _few(report.one_sided)
            run.output.say(f"No case shows what these leave alone: {told}", "yellow")
    if not passed:
        raise typer.Exit(1)


def _answer(answer: str, rules: Iterable[str], errors: Iterable[str] = ()) -> str:
    return "\n".join([f"{answer} by {', '.join(sorted(rules))}", *errors])


def _few(rules: Sequence[str]) -> str:
    more = f" and {len(rules) - _SHOWN:,} more" if len(rules) > _SHOWN else ""
    return f"{', '.join(rules[:_SHOWN])}{more}"
