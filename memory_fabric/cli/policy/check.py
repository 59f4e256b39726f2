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
    """Parse, validate and lint a bundle; exit 4 where anything has to be mended."""
    run = session(context)
    findings = wiring.check_policies(folder(run, directory))
    errors = [finding for finding in findings if finding.severity == "error"]
    if run.output.as_json:
        run.output.json({"findings": [asdict(finding) for finding in findings]})
    else:
        for title, shown in (
            ("What is wrong", errors),
            ("What to think about", [found for found in findings if found not in errors]),
        ):
            if shown:
                run.output.say(f"{title}: {len(shown)}", "bold")
            for one in shown:
                run.output.paragraph(f"{one.place} {one.rule}".strip(), f"{one.message} {one.fix}")
        if not errors:
            run.output.say("The bundle is sound: it parses, validates and passes every check.")
    if errors:
        raise typer.Exit(INVALID)
