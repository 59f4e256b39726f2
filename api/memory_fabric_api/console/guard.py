"""What stands before each page: the session, and for forms that they come from the console."""

from __future__ import annotations

import re
import secrets
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends, Form, Request

from memory_fabric import operations
from memory_fabric.core.access import Requester
from memory_fabric.core.errors import NotGranted
from memory_fabric.wiring import Home
from memory_fabric_api.console.sessions import Session, Sessions

COOKIE = "memory-fabric-console"
_LOCAL_PATH = re.compile(r"(?!.*\.\.)/console/[A-Za-z0-9/_.~-]*(\?[A-Za-z0-9/_.~&=%+:,-]*)?")


class SignedOut(Exception):
    """There is no session; the page is asked for again after signing in."""


class Forged(NotGranted):
    """A form that the console did not hand out."""


def site(request: Request) -> Home:
    """The site's open home."""
    home: Home = request.app.state.home
    return home


def sessions(request: Request) -> Sessions:
    """The process's sessions."""
    held: Sessions = request.app.state.sessions
    return held


def _session(request: Request) -> Session:
    found = sessions(request).find(request.cookies.get(COOKIE, ""))
    if found is None or not operations.still_valid(site(request), found.app):
        raise SignedOut
    request.state.session = found
    return found


def same_origin(request: Request) -> None:
    """Refuse a form that another origin sent, and one whose sender is not told.

    Raises:
        Forged: ``form-foreign``.
    """
    told = urlsplit(request.headers.get("origin", ""))
    fetched = request.headers.get("sec-fetch-site", "same-origin")
    host = request.headers.get("host", "")
    if not host or told.netloc != host or fetched != "same-origin":
        raise _forged()


def _posted(
    request: Request,
    session: Annotated[Session, Depends(_session)],
    token: Annotated[str, Form()] = "",
) -> Session:
    same_origin(request)
    if not secrets.compare_digest(token.encode(), session.token.encode()):
        raise _forged()
    return session


def _forged() -> Forged:
    return Forged(
        "form-foreign",
        "This form was not sent from a page of this console.",
        "Open the page again and send the form from there; nothing was changed.",
    )


def _requester(session: Annotated[Session, Depends(_session)]) -> Requester:
    return session.app.requester


def local_path(path: str) -> str:
    """A page of the console to go on to; the overview where it is anything else."""
    return path if _LOCAL_PATH.fullmatch(path) else "/console/"


TheHome = Annotated[Home, Depends(site)]
"""The site's open home."""
Officer = Annotated[Requester, Depends(_requester)]
"""The signed-in officer, for pages."""
Posted = Annotated[Session, Depends(_posted)]
"""The session of an officer who sent a form of the console's."""
