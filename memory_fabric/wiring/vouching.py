"""What officers do about an emergency on their own machine: no home is needed for it."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from memory_fabric.adapters.signing.officers import Ask, open_key, signed_twice
from memory_fabric.core.emergency import Approval, Statement, approval_invalid


def emergency_request(
    site: str, ticket: str, purpose: str, to: str | None, expires: datetime
) -> dict[str, Any]:
    """A statement that nobody has signed yet, as JSON.

    Raises:
        InputError: ``ticket-invalid``.
    """
    statement = Statement(site, ticket, purpose, to, expires.replace(microsecond=0))
    return {"statement": statement.to_json(), "approvals": []}


def approve_emergency(document: Any, key: Path, ask: Ask) -> dict[str, Any]:
    """The document with one more signature.

    Raises:
        InputError: ``approval-invalid``, ``signed-twice``, and those of ``OfficerKey.load``.
    """
    if not isinstance(document, dict) or not isinstance(document.get("approvals"), list):
        raise approval_invalid()
    statement = Statement.from_json(document.get("statement"))
    approvals = [Approval.from_json(item) for item in document["approvals"]]
    signer = open_key(key, ask)
    if any(approval.key_id == signer.officer.key_id for approval in approvals):
        raise signed_twice(signer)
    approvals.append(Approval(signer.officer.key_id, signer.sign(statement.signed_bytes())))
    return {
        "statement": statement.to_json(),
        "approvals": [approval.to_json() for approval in approvals],
    }
