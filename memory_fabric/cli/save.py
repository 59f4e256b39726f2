"""``save``: one's own memories as a file that ``remember --from`` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memory_fabric import wiring
from memory_fabric.cli.session import session


def save(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A new .jsonl, .csv, .parquet or .arrow file.")],
    purpose: Annotated[str, typer.Option(help="What for; policy decides by it.")],
    subject: Annotated[str | None, typer.Option(help="About whom.")] = None,
    all_subjects: Annotated[
        bool, typer.Option("--all-subjects", help="About everybody, where that is granted.")
    ] = False,
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
) -> None:
    """Write memories, with their labels, into a file that nobody protects any more: yours alone to
    read (mode 0600). An interrupted run goes on where it was.
    """
    run = session(context)
    made = wiring.RowFile(file)
    left_out, receipts = 0, []
    with run.calls(tenant) as call, run.output.progress("Saving") as bar:
        total = call("status")["memories"]
        try:
            while made.mark != _END:
                page = call(
                    "own_page", purpose=purpose, subject=subject, all_subjects=all_subjects,
                    cursor=made.mark,
                )  # fmt: skip
                made.add(page["rows"], page["cursor"] or _END)
                left_out += page["left_out"]
                receipts.append(page["receipt"])
                bar.step(made.rows, max(total, made.rows))
        finally:
            made.close()
    made.finish()
    told = {"file": str(file), "rows": made.rows, "left_out": left_out, "receipts": receipts}
    if run.output.as_json:
        run.output.json(told)
        return
    run.output.say(f"Saved {made.rows:,} memories to {file}. They are plain text there.")
    if left_out:
        run.output.say(
            f"{left_out:,} are not in it: policy does not release them in full.", "yellow"
        )


_END = "end"
