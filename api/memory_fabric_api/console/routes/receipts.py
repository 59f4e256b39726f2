"""The log: search, one receipt, its proof, and reading the whole of it."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from memory_fabric import operations
from memory_fabric.core.receipt import Outcome
from memory_fabric_api.console.climb import climb
from memory_fabric_api.console.guard import Officer, Posted, TheHome
from memory_fabric_api.console.render import page

router = APIRouter()

_PAGE = 50


class Search(BaseModel):
    """What is looked for; an empty field is anything. Days are UTC, both included."""

    text: str = ""
    act: str = ""
    outcome: Literal["", "done", "partly_withheld", "denied"] = ""
    rule: str = ""
    since: date | Literal[""] = ""
    until: date | Literal[""] = ""
    before: Annotated[int | None, Field(ge=0)] = None


@router.get("/receipts")
def receipts(
    request: Request, home: TheHome, officer: Officer, asked: Annotated[Search, Query()]
) -> Response:
    """Receipts, newest first."""
    told = operations.receipts_list(
        home,
        officer,
        before=asked.before,
        limit=_PAGE,
        act=asked.act or None,
        outcome=asked.outcome or None,
        rule=asked.rule or None,
        text=asked.text or None,
        since=_midnight(asked.since),
        until=_midnight(_day_after(asked.until)),
    )
    fields = asked.model_dump(mode="json", exclude={"before"})
    return page(
        request,
        "receipts.html",
        acts=sorted(operations.receipts_tally(home, officer)["acts"]),
        outcomes=list(Outcome),
        asked=asked,
        query=urlencode({name: value for name, value in fields.items() if value}),
        told=told,
        size=operations.checkpoint(home, officer)["size"],
    )


def _day_after(day: date | Literal[""]) -> date | Literal[""]:
    """The next day; none after the last that there is."""
    return day + timedelta(days=1) if day and day < date.max else ""


def _midnight(day: date | Literal[""]) -> str | None:
    return f"{day}T00:00:00Z" if day else None


@router.post("/receipts/verify")
def verify(request: Request, home: TheHome, session: Posted) -> Response:
    """Read the whole log against its hashes and signatures."""
    officer = session.app.requester
    return page(
        request,
        "verified.html",
        verified=operations.receipts_verify(home, officer),
        checkpoint=operations.checkpoint(home, officer),
    )


@router.get("/receipts/{id}")
def receipt(request: Request, home: TheHome, officer: Officer, id: str) -> Response:
    """One decision, and the proof that it stands in the log."""
    proof = operations.receipt_proof(home, officer, id=id)
    rules = operations.policy_rules(home, officer)
    return page(
        request,
        "receipt.html",
        receipt=operations.receipt_show(home, officer, id=id),
        proof=proof,
        climbed=climb(proof),
        known={*rules["own"], *(rule["id"] for rule in rules["rules"])},
    )
