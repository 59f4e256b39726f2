"""The first page: how the site stands, and what may cross in which form."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from memory_fabric import operations
from memory_fabric_api.console.flow import draw, shares
from memory_fabric_api.console.guard import Officer, TheHome
from memory_fabric_api.console.render import page

router = APIRouter()

_SOON = 90
"""Days ahead that the first page looks."""


@router.get("/")
def overview(request: Request, home: TheHome, officer: Officer) -> Response:
    """How things stand."""
    flows = operations.policy_flows(home, officer)
    return page(
        request,
        "overview.html",
        state=operations.status(home, officer),
        flows=flows,
        picture=draw(flows["to"]),
        shares=[shares(flow) for flow in flows["to"]],
        rules=operations.policy_rules(home, officer)["rules"],
        soon=operations.expiring(home, officer, days=_SOON)["items"],
        latest=operations.receipts_list(home, officer, limit=6)["receipts"],
    )
