"""What ends by itself: facts of law, instruments, leases."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from memory_fabric import operations
from memory_fabric_api.console.guard import Officer, TheHome
from memory_fabric_api.console.render import page

router = APIRouter()

_AHEAD = 10 * 365
"""Days; adequacy decisions are made for years."""


@router.get("/expiry")
def expiry(request: Request, home: TheHome, officer: Officer) -> Response:
    """Everything that ends within the next years, soonest first."""
    return page(request, "expiry.html", told=operations.expiring(home, officer, days=_AHEAD))
