"""What may be released, class by class and site by site, as a heat map."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field

from memory_fabric import operations
from memory_fabric.operations.heatmap import picture
from memory_fabric_api.console.guard import Officer, TheHome
from memory_fabric_api.console.render import page
from memory_fabric_api.console.words import FORMS

router = APIRouter()

ACTS = {"recall": "Recall", "export": "Export", "query": "Question"}
_PAGE = 100
_PICTURE_ROWS = 500


class Choice(BaseModel):
    """What is shown."""

    purpose: str = ""
    act: Literal["recall", "export", "query"] = "recall"
    offset: Annotated[int, Field(ge=0)] = 0


@router.get("/matrix")
def matrix(
    request: Request, home: TheHome, officer: Officer, chosen: Annotated[Choice, Query()]
) -> Response:
    """Classes against sites."""
    purposes = operations.policy_words(home, officer)["purposes"]
    purpose = chosen.purpose or purposes[0]
    told = operations.policy_matrix(
        home, officer, purpose=purpose, act=chosen.act, offset=chosen.offset, limit=_PAGE
    )
    later = chosen.offset + _PAGE
    return page(
        request,
        "matrix.html",
        told={**told, "rows": _merged(told["rows"])},
        forms=list(FORMS),
        acts=ACTS,
        purposes=purposes,
        offset=chosen.offset,
        drawn="/console/matrix.svg?" + urlencode({"purpose": purpose, "act": chosen.act}),
        earlier=_link(purpose, chosen.act, max(0, chosen.offset - _PAGE)),
        later=_link(purpose, chosen.act, later) if later < told["classes"] else None,
        question=_question,
    )


@router.get("/matrix.svg")
def matrix_picture(
    request: Request, home: TheHome, officer: Officer, chosen: Annotated[Choice, Query()]
) -> Response:
    """All classes of a purpose against sites, as a picture to keep or to print."""
    purpose = chosen.purpose or operations.policy_words(home, officer)["purposes"][0]
    rows: list[dict[str, Any]] = []
    while True:
        told = operations.policy_matrix(
            home, officer, purpose=purpose, act=chosen.act, offset=len(rows), limit=_PICTURE_ROWS
        )
        rows += told["rows"]
        if not told["rows"] or len(rows) >= told["classes"]:
            break
    title = f"{ACTS[chosen.act]} for {purpose}"
    drawn = picture({**told, "rows": rows}, title)
    return Response(drawn, media_type="image/svg+xml")


def _merged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Neighbours that differ in consent alone and are answered alike, as one row."""
    merged: list[dict[str, Any]] = []
    for row in rows:
        label = row["class"]
        key = {**label, "consent": "", "text": ""}, row["cells"]
        if merged and merged[-1]["key"] == key:
            merged[-1]["consents"].append(label["consent"])
        else:
            merged.append({**row, "key": key, "consents": [label["consent"]]})
    return merged


def _link(purpose: str, act: str, offset: int) -> str:
    return "/console/matrix?" + urlencode({"purpose": purpose, "act": act, "offset": offset})


def _question(told: dict[str, str], site: str, label: dict[str, object]) -> str:
    """The address that explains a cell."""
    return "/console/explain?" + urlencode(
        {
            "act": told["act"],
            "site": site,
            "purpose": told["purpose"],
            "data_class": label["data_class"],
            "personal": str(label["personal"]).lower(),
            "special": label["special"],
            "purposes": label["purposes"],
            "consent": label["consent"],
        },
        doseq=True,
    )
