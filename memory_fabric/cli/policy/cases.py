"""``policy test``: a bundle's decision cases."""

from __future__ import annotations

import typer

from memory_fabric import wiring
from memory_fabric.cli.policy.folder import Directory, folder
from memory_fabric.cli.session import session


def run_cases(context: typer.Context, directory: Directory = None) -> None:
    """Run a bundle's decision cases; exit 1 where one fails."""
    run = session(context)
    report = wiring.test_policies(folder(run, directory))
    if run.output.as_json:
        cases = [{"case": str(item), "passed": item.passed} for item in report.results]
        run.output.json({"cases": cases, "uncovered": list(report.uncovered)})
    else:
        for failure in report.failures:
            run.output.say(str(failure), "red")
        good = len(report.results) - len(report.failures)
        run.output.say(f"{good} of {len(report.results)} cases come out as written.")
        if report.uncovered:
            run.output.say(f"No case exercises: {', '.join(report.uncovered)}", "yellow")
    if not report.passed:
        raise typer.Exit(1)
