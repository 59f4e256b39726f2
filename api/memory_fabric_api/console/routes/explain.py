"""One question to policy, as a form; the answer in sentences."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from memory_fabric import operations
from memory_fabric.core.labels import Consent, DataClass
from memory_fabric_api.console.guard import Officer, TheHome
from memory_fabric_api.console.render import page

router = APIRouter()

ACTS = {
    "recall": "Answer a recall from there",
    "query": "Send a question there",
    "export": "Export embeddings there",
    "take_in": "Take in results from there",
    "train": "Train a model here",
    "erase": "Erase here",
    "relabel": "Change a label here",
}


class Question(BaseModel):
    """The form's fields; what was not chosen is decided strictly."""

    act: str = ""
    site: str = ""
    purpose: str = ""
    data_class: DataClass = DataClass.CONFIDENTIAL
    personal: bool = True
    special: list[str] = []
    purposes: list[str] = []
    consent: Consent = Consent.NONE


@router.get("/explain")
def explain(
    request: Request, home: TheHome, officer: Officer, asked: Annotated[Question, Query()]
) -> Response:
    """The form, and below it the answer where something was asked."""
    status = operations.status(home, officer)
    words = operations.policy_words(home, officer)
    answer = None
    if asked.act:
        answer = operations.explain_policy(
            home,
            officer,
            act=asked.act,
            purpose=asked.purpose or None,
            site=asked.site or None,
            label={
                "data_class": asked.data_class,
                "personal": asked.personal or bool(asked.special),
                "special": [name for name in asked.special if name],
                "consent": asked.consent,
                **({"purposes": asked.purposes} if asked.purposes else {}),
            },
        )
    return page(
        request,
        "explain.html",
        acts=ACTS,
        sites=status["sites"],
        purposes=words["purposes"],
        specials=words["specials"],
        data_classes=list(DataClass),
        consents=list(Consent),
        asked=asked,
        answer=answer,
    )
