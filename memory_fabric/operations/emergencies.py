"""Operations on emergencies: break-glass."""

from __future__ import annotations

from typing import Any

from memory_fabric.core.access import Requester
from memory_fabric.core.emergency import Emergency
from memory_fabric.flows import emergencies
from memory_fabric.operations.shapes import Json
from memory_fabric.wiring import Home


def breakglass_open(home: Home, requester: Requester, *, document: Any) -> Json:
    """Open an emergency that two officers vouch for."""
    opened, receipt = emergencies.open_emergency(home.node, requester, document)
    return {**emergency_json(opened), "receipt": receipt}


def breakglass_close(home: Home, requester: Requester, *, ticket: str) -> Json:
    """Close an emergency before its end."""
    return {"closed": ticket, "receipt": emergencies.close_emergency(home.node, requester, ticket)}


def breakglass_list(home: Home, requester: Requester) -> Json:
    """The emergencies that are open."""
    return {"open": open_emergencies(home)}


def open_emergencies(home: Home) -> list[Json]:
    """Those that are open, the one that ends first at the head."""
    return [emergency_json(one) for one in emergencies.standing(home.node)]


def emergency_json(emergency: Emergency) -> Json:
    """An emergency for readers."""
    said = emergency.statement
    return {
        "ticket": said.ticket,
        "purpose": said.purpose,
        "to": said.to,
        "approvers": list(emergency.approvers),
        "expires": said.expires.isoformat(),
    }
