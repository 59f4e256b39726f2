"""``policy``: check, test and explain rules, on plain files or on the installed bundle."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from memory_fabric import wiring
from memory_fabric.cli.session import Session, session

commands = typer.Typer(help="The policy bundle.", no_args_is_help=True)

INVALID = 4
"""Exit code of a bundle that cannot be used."""

Directory = Annotated[
    Path | None, typer.Argument(help="A bundle's folder; the installed bundle if left out.")
]


@commands.command("check")
def check(context: typer.Context, directory: Directory = None) -> None:
    """Parse, validate and lint a bundle; exit 4 where a site could not use it."""
    run = session(context)
    findings = wiring.check_policies(_directory(run, directory))
    if run.output.as_json:
        run.output.json({"findings": [asdict(finding) for finding in findings]})
    elif findings:
        rows = [(f"{f.file}:{f.line}", f.rule, f.message, f.fix) for f in findings]
        run.output.table("What is wrong", ("where", "rule", "what", "what to do"), rows)
    else:
        run.output.say("The bundle is sound: it parses, validates and passes every check.")
    if findings:
        raise typer.Exit(INVALID)


@commands.command("test")
def run_cases(context: typer.Context, directory: Directory = None) -> None:
    """Run a bundle's decision cases; exit 1 where one fails."""
    run = session(context)
    report = wiring.test_policies(_directory(run, directory))
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


@commands.command("explain")
def explain(
    context: typer.Context,
    act: Annotated[
        str, typer.Option(help="recall, query, take_in, export, train, erase, relabel.")
    ] = "recall",
    to: Annotated[str | None, typer.Option(help="The other site; this one if left out.")] = None,
    purpose: Annotated[str | None, typer.Option(help="What for.")] = None,
    home_region: Annotated[
        str | None, typer.Option(help="Home region, if not this site's.")
    ] = None,
    data_class: Annotated[str | None, typer.Option(help="public ... secret.")] = None,
    personal: Annotated[bool | None, typer.Option(help="Whether it is about people.")] = None,
    special: Annotated[list[str] | None, typer.Option(help="Special categories.")] = None,
    consent: Annotated[str | None, typer.Option(help="none, given or withdrawn.")] = None,
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
) -> None:
    """Put one question to the rules without doing anything."""
    run = session(context)
    label = {
        "data_class": data_class, "personal": personal, "special": special, "consent": consent,
    }  # fmt: skip
    given = {name: value for name, value in label.items() if value is not None}
    told = run.run(
        "explain_policy",
        tenant,
        act=act,
        purpose=purpose,
        site=to,
        label=given,
        home_region=home_region,
    )
    if run.output.as_json:
        run.output.json(told)
        return
    for sentence in told["sentences"][:2]:
        run.output.say(sentence)
    run.output.rules("Decided by", told["rules"])


def _directory(run: Session, directory: Path | None) -> Path:
    return directory if directory is not None else wiring.installed_policies(run.path)
