"""``ask``: an answer from the site's language model and its memory."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from memory_fabric.cli.output import Output
from memory_fabric.cli.session import session


def ask(
    context: typer.Context,
    question: Annotated[str, typer.Argument(help="The question.")],
    purpose: Annotated[str | None, typer.Option(help="What for; policy decides by it.")] = None,
    subject: Annotated[str | None, typer.Option(help="About whom.")] = None,
    all_subjects: Annotated[
        bool, typer.Option("--all-subjects", help="About everybody, where that is granted.")
    ] = False,
    reach: Annotated[str, typer.Option(help="site, region or grid.")] = "site",
    top_k: Annotated[int, typer.Option(help="Memories looked at, at most.")] = 5,
    special: Annotated[
        list[str] | None, typer.Option(help="Special category that the question itself reveals.")
    ] = None,
    budget: Annotated[int, typer.Option(help="Tokens of the prompt at most.")] = 512,
    tenant: Annotated[str | None, typer.Option(help="Where the site has several.")] = None,
) -> None:
    """Answer a question from memory, with its sources, or say that it is not known."""
    run = session(context)
    with run.output.waiting("[dim]asking the language model"):
        answer = run.run(
            "ask", tenant, question=question, purpose=purpose, subject=subject,
            all_subjects=all_subjects, reach=reach, top_k=top_k, special=special or [],
            budget=budget,
        )  # fmt: skip
    if run.output.as_json:
        run.output.json(answer)
    else:
        show(run.output, answer)


def show(output: Output, answer: dict[str, Any]) -> None:
    """An answer for people."""
    output.say(answer["answer"], "bold" if answer["known"] else "yellow")
    for source in answer["citations"]:
        output.say(f"  from {source['id']} at {source['site']} ({source['form']})")
    for held in answer["withheld"]:
        output.rules(f"Withheld at {held['site']} ({held['region']})", held["rules"])
    for gone in answer.get("unreachable", ()):
        output.say(f"{gone['site']} did not answer: {gone['code']}", "yellow")
    spent = answer["tokens"]
    output.say(
        f"{answer['model']}: {spent['prompt']} tokens read, {spent['answer']} written; all "
        f"memories in scope would be {spent['all_memories']}",
        "dim",
    )
    output.say(f"receipt {answer['receipt']}", "dim")
