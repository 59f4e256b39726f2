"""``recall``: what the site, its region or the grid remembers and policy lets out."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from memory_fabric.cli.output import Output
from memory_fabric.cli.session import session

_NO_TEXT = "(no text in this form)"


def recall(
    context: typer.Context,
    query: Annotated[str, typer.Argument(help="The question.")],
    purpose: Annotated[str | None, typer.Option(help="What for; policy decides by it.")] = None,
    subject: Annotated[str | None, typer.Option(help="About whom.")] = None,
    all_subjects: Annotated[
        bool, typer.Option("--all-subjects", help="About everybody, where that is granted.")
    ] = False,
    reach: Annotated[str, typer.Option(help="site, region or grid.")] = "site",
    top_k: Annotated[int, typer.Option(help="Results at most.")] = 10,
    special: Annotated[
        list[str] | None, typer.Option(help="Special category that the question itself reveals.")
    ] = None,
    memory_type: Annotated[list[str] | None, typer.Option(help="Only these; repeat it.")] = None,
    threshold: Annotated[float, typer.Option(help="Leave out scores below, 0 to 1.")] = 0.0,
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
) -> None:
    """Recall memories, at home and within reach."""
    run = session(context)
    answer = run.run(
        "search", tenant, query=query, purpose=purpose, subject=subject,
        all_subjects=all_subjects, reach=reach, top_k=top_k, special=special or [],
        filters={"memory_type": memory_type} if memory_type else None, threshold=threshold,
    )  # fmt: skip
    if run.output.as_json:
        run.output.json(answer)
    else:
        show(run.output, answer)


def show(output: Output, answer: dict[str, Any]) -> None:
    """A recall's answer for people."""
    rows = [
        (
            f"{item['score']:.2f}",
            item["site"],
            item["region"],
            item["form"],
            item["memory"] or _NO_TEXT,
            ", ".join(item["rules"]),
        )
        for item in answer["results"]
    ]
    title = f"{len(rows)} result{'' if len(rows) == 1 else 's'}"
    output.table(title, ("score", "site", "region", "form", "memory", "allowed by"), rows)
    for held in answer["withheld"]:
        output.rules(f"Withheld, or not asked: {held['site']} ({held['region']})", held["rules"])
    for gone in answer.get("unreachable", ()):
        output.say(f"{gone['site']} did not answer: {gone['code']}", "yellow")
    output.say(f"receipt {answer['receipt']}", "dim")
