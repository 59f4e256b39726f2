"""Other rules: what a candidate bundle would change, and the second officer's approval."""

from __future__ import annotations

import difflib
from http import HTTPStatus
from itertools import islice
from typing import Annotated, Any

from fastapi import APIRouter, File, Query, Request, Response, UploadFile
from starlette.responses import RedirectResponse

from memory_fabric import operations
from memory_fabric_api.console.guard import Officer, Posted, TheHome
from memory_fabric_api.console.render import page

router = APIRouter()

_EFFECTS = ("refused", "restricted", "widened", "let_out")
_WHOLE = 10_000
_HEAD = 3  # lines of a unified diff that name files and places


@router.get("/changes")
def changes(request: Request, home: TheHome, officer: Officer) -> Response:
    """Candidates, and the form that proposes one."""
    told = operations.candidates_list(home, officer)["candidates"]
    return page(request, "changes.html", candidates=told)


@router.post("/changes")
def propose(
    request: Request, home: TheHome, session: Posted, files: Annotated[list[UploadFile], File()]
) -> Response:
    """Propose the bundle in the folder that was sent."""
    sent = {item.filename or "": item.file.read() for item in files}
    made = operations.candidate_propose(home, session.app.requester, files=sent)
    return _to(made["digest"])


@router.get("/changes/{digest}")
def change(
    request: Request,
    home: TheHome,
    officer: Officer,
    digest: str,
    last: Annotated[int, Query(ge=1, le=_WHOLE)] = operations.RECENT,
    anew: bool = False,
) -> Response:
    """One candidate, rule by rule, and what it would change here."""
    told = operations.candidate_show(home, officer, digest=digest, last=last, anew=anew)
    return page(
        request,
        "change.html",
        told=told,
        rules=[{**rule, "lines": _lines(rule)} for rule in told["rules"]],
        declared=_grouped(told["impact"]["declared"]["changes"]),
        parts=_parts(told["impact"]["recent"]),
        whole=_WHOLE,
    )


@router.post("/changes/{digest}/approve")
def approve(request: Request, home: TheHome, session: Posted, digest: str) -> Response:
    """The second officer agrees to exactly this bundle."""
    operations.candidate_approve(home, session.app.requester, digest=digest)
    return _to(digest)


@router.post("/changes/{digest}/withdraw")
def withdraw(request: Request, home: TheHome, session: Posted, digest: str) -> Response:
    """A proposal is taken back or turned down."""
    operations.candidate_withdraw(home, session.app.requester, digest=digest)
    return RedirectResponse("/console/changes", HTTPStatus.SEE_OTHER)


def _to(digest: str) -> Response:
    return RedirectResponse(f"/console/changes/{digest}", HTTPStatus.SEE_OTHER)


def _lines(rule: dict[str, Any]) -> list[tuple[str, str]]:
    """The rule's lines, each with ``+``, ``-`` or a space before it."""
    before, after = ((rule[name] or "").splitlines() for name in ("before", "after"))
    whole = len(before) + len(after)
    # Not `ndiff`, which looks for likenesses within lines: that takes minutes for a long rule.
    compared = difflib.unified_diff(before, after, n=whole, lineterm="")
    return [(line[0], line[1:]) for line in islice(compared, _HEAD, None)]


def _grouped(changes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Classes that would be answered otherwise in the same way, together."""
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    for item in changes:
        before, after = item["before"], item["after"]
        key = (
            item["effect"], item["act"], item["site"], item["purpose"],
            str(before["form"]), str(after["form"]), *after["rules"],
        )  # fmt: skip
        group = groups.setdefault(key, {**item, "classes": []})
        group["classes"].append(item["class"]["text"])
    order = ("let_out", "widened", "plan", "narrowed", "refused")
    return sorted(groups.values(), key=lambda group: (order.index(group["effect"]), group["site"]))


def _parts(recent: dict[str, Any]) -> list[dict[str, Any]]:
    """Recorded requests by what would become of them, as parts of a bar that is 100 wide."""
    total, x, parts = recent["receipts"] or 1, 0.0, []
    counts = {name: recent[name] for name in _EFFECTS}
    for name, count in {**counts, "alike": recent["receipts"] - sum(counts.values())}.items():
        if count:
            width = 100 * count / total
            parts.append({"name": name, "count": count, "x": round(x, 2), "width": round(width, 2)})
            x += width
    return parts
