"""``policy prove``: what must never be allowed, proved, or refuted with a concrete case."""

from __future__ import annotations

from datetime import UTC, datetime

import typer

from memory_fabric import wiring
from memory_fabric.cli.policy.folder import Directory, folder
from memory_fabric.cli.session import session


def prove(context: typer.Context, directory: Directory = None) -> None:
    """Prove a bundle's properties of every question there is; exit 1 where one does not hold."""
    run = session(context)
    with run.output.progress("Proving") as bar:
        report = wiring.prove_policies(folder(run, directory), datetime.now(UTC), bar.step)
    if run.output.as_json:
        run.output.json(
            {
                "properties": [proof.to_json() for proof in report.proofs],
                "assumptions": list(report.assumptions),
            }
        )
    else:
        rows = [
            ("refuted" if proof.example else "proved", proof.name, f"{proof.seconds:.2f} s")
            for proof in report.proofs
        ]
        run.output.table("Properties", ("", "what must hold", "took"), rows)
        for proof in report.refuted:
            if proof.example:
                run.output.say(f"\nRefuted: {proof.name} ({proof.file}:{proof.line})", "red")
                run.output.say(f"The rules allow: {proof.example.sentence}")
                run.output.say("As a case file, with what the rules say today:\n")
                run.output.say(proof.example.case)
        good = len(report.proofs) - len(report.refuted)
        run.output.say(f"{good} of {len(report.proofs)} properties are proved. Taken for granted:")
        for assumption in report.assumptions:
            run.output.say(f"- {assumption}", "dim")
    if report.refuted:
        raise typer.Exit(1)
