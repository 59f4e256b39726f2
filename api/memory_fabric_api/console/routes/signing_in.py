"""Signing in with a key of role compliance, and out again."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from memory_fabric import operations
from memory_fabric.core.errors import NotGranted, Unauthenticated
from memory_fabric_api.console.guard import (
    COOKIE,
    Posted,
    TheHome,
    local_path,
    same_origin,
    sessions,
)
from memory_fabric_api.console.render import page
from memory_fabric_api.console.sessions import TooManyTries

router = APIRouter()


@router.get("/sign-in")
def ask_for_key(request: Request, next: str = "") -> Response:  # noqa: A002 - as users read it
    """The form."""
    return page(request, "sign_in.html", next=local_path(next), problem=None)


@router.post("/sign-in")
def sign_in(
    request: Request,
    home: TheHome,
    key: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = "",  # noqa: A002
) -> Response:
    """A session for whoever holds the key; what the browser had before counts for nothing."""
    same_origin(request)
    held, address = sessions(request), request.client.host if request.client else ""
    try:
        held.check_tries(address)
        app = operations.sign_in(home, key.strip())
    except (Unauthenticated, NotGranted, TooManyTries) as error:
        if isinstance(error, Unauthenticated):
            held.note_failure(address)
        return page(
            request, "sign_in.html", error.http_status, next=local_path(next), problem=error
        )
    held.end(request.cookies.get(COOKIE, ""))
    answer = RedirectResponse(local_path(next), HTTPStatus.SEE_OTHER)
    answer.set_cookie(
        COOKIE,
        held.begin(app),
        path="/console",
        httponly=True,
        samesite="strict",
        secure=request.headers.get("origin", "").startswith("https:"),
    )
    return answer


@router.post("/sign-out")
def sign_out(request: Request, _: Posted) -> Response:
    """The session ends here, and not only in the browser."""
    sessions(request).end(request.cookies.get(COOKIE, ""))
    answer = RedirectResponse("/console/sign-in", HTTPStatus.SEE_OTHER)
    answer.delete_cookie(COOKIE, path="/console", httponly=True, samesite="strict")
    return answer
