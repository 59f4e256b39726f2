"""The scene in which a site's language model answers from memory; one line where there is none."""

from __future__ import annotations

from functools import partial
from typing import Any

from memory_fabric.core.errors import Unavailable
from memory_fabric.demo.grid import HOME, UNSAFE, Grid
from memory_fabric.demo.records import Supply
from memory_fabric.demo.report import Chapter, Outcome, Summary, Table

_ASKED = (
    ("Who drives Lieselotte Amrhein to physiotherapy?", "Lieselotte Amrhein"),
    ("Which car does Emre Tahiroğlu drive?", "Emre Tahiroğlu"),
)
"""One that the demo's records answer, and one that they do not."""
_DRIVER = "Benedikt Oyelaran"


def chapter(grid: Grid, supply: Supply) -> Chapter:
    """The scene, with what a user would type for it."""
    question, subject = _questions(supply)[0]
    return Chapter(
        "Ask",
        "The site's own language model answers from what recall releases and nothing else, names "
        "its source, and says when memory has no answer.",
        (
            f'memory-fabric --home {HOME} ask "{question}" --subject "{subject}" '
            f"--purpose {supply.care}",
        ),
        partial(ask, grid, supply),
    )


def ask(grid: Grid, supply: Supply) -> Outcome:
    """Frankfurt asks what it knows and what it does not; Virginia asks and is refused as before."""
    asked = _questions(supply)
    try:
        with grid.at(HOME) as site:
            answers = [
                site.ask("ask", question=question, subject=subject, purpose=supply.care)
                for question, subject in asked
            ]
        scope = {"subject": supply.person, "purpose": supply.support, "reach": "grid"}
        with grid.at(UNSAFE) as site:
            recalled = site.ask("search", query=supply.question, **scope)
            abroad = site.ask("ask", question=supply.question, **scope)
    except Unavailable as missing:
        return Outcome(Summary("Ask the language model", f"{missing.what} {missing.do}"))
    outcome = Outcome(
        Summary("Ask the language model", _count(answers)),
        [
            _table(
                [*((HOME, question) for question, _ in asked), (UNSAFE, supply.question)],
                [*answers, abroad],
            )
        ],
    )
    outcome.facts = {"asked": [*answers, abroad]}
    outcome.expect(
        "an answer names its memories, and a missing one names none",
        all(bool(answer["citations"]) == answer["known"] for answer in (*answers, abroad)),
    )
    outcome.expect(
        "what is withheld from Virginia's recall is withheld from its question, by the same rules",
        abroad["withheld"] == recalled["withheld"]
        and {source["site"] for source in abroad["citations"]}
        <= {item["site"] for item in recalled["results"]},
    )
    if not supply.own:
        outcome.expect(
            "what the records say is answered, and what they do not say is not",
            [answer["known"] for answer in answers] == [True, False]
            and _DRIVER in answers[0]["answer"],
        )
    return outcome


def _count(answers: list[dict[str, Any]]) -> str:
    known = sum(answer["known"] for answer in answers)
    return f"{known} answered with their source, {len(answers) - known} not known"


def _questions(supply: Supply) -> tuple[tuple[str, str], ...]:
    return ((supply.question, supply.person),) if supply.own else _ASKED


def _table(asked: list[tuple[str, str]], answers: list[dict[str, Any]]) -> Table:
    rows = [
        (
            site,
            question,
            answer["answer"],
            ", ".join(source["id"] for source in answer["citations"]),
            f"{answer['tokens']['prompt']} of {answer['tokens']['all_memories']}",
        )
        for (site, question), answer in zip(asked, answers, strict=True)
    ]
    columns = ("at", "question", "answer", "from memory", "tokens read, of all")
    return Table("What it says", columns, rows)
