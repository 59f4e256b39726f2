"""Erasures: who asked, what went, and whether the bytes are off the disk."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from memory_fabric import operations
from memory_fabric_api.console.guard import Officer, TheHome
from memory_fabric_api.console.render import page

router = APIRouter()


@router.get("/erasures")
def erasures(
    request: Request,
    home: TheHome,
    officer: Officer,
    before: Annotated[int | None, Query(ge=0)] = None,
) -> Response:
    """Erasures, newest first."""
    told = operations.erasures(home, officer, before=before)
    return page(request, "erasures.html", told=told, before=before)
