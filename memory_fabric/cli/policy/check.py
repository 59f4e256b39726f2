"""``policy check``: parse, validate and lint a bundle."""

from __future__ import annotations

from dataclasses import asdict

import typer

from memory_fabric import wiring
from memory_fabric.cli.policy.folder import Directory, folder
from memory_fabric.cli.session import session

INVALID = 4
"""Exit code of a bundle that cannot be used."""


def check(context: typer.Context, directory: Directory = None) -> None:
    """Parse, validate and lint a bundle; exit 4 where a site could not use it."""
    run = session(context)
    findings = wiring.check_policies(folder(run, directory))
    if run.output.as_json:
        run.output.json({"findings": [asdict(finding) for finding in findings]})
    elif findings:
        rows = [(f"{f.file}:{f.line}", f.rule, f.message, f.fix) for f in findings]
        run.output.table("What is wrong", ("where", "rule", "what", "what to do"), rows)
    else:
        run.output.say("The bundle is sound: it parses, validates and passes every check.")
    if findings:
        raise typer.Exit(INVALID)
