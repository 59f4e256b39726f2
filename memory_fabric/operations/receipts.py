"""Operations on the log: receipts, proofs, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memory_fabric.core.access import Requester, Role
from memory_fabric.core.errors import (
    NotFound,
)
from memory_fabric.flows.node import Node
from memory_fabric.operations.shapes import Json
from memory_fabric.wiring import Home


def receipts_list(
    home: Home,
    requester: Requester,
    *,
    before: int | None = None,
    limit: int = 50,
    act: str | None = None,
    outcome: str | None = None,
) -> Json:
    """Receipts, newest first. An app sees its tenant's, compliance also the site's own, operators
    see all.
    """
    node = home.node
    found: list[Mapping[str, Any]] = []
    limit = min(max(limit, 1), 500)
    before = None if before is None else min(before, node.ledger.checkpoint().size)
    while len(found) < limit:
        batch = node.ledger.receipts(before, limit, act, outcome)
        found += [item for item in batch if _may_see(requester, item)]
        if not batch:
            break
        before = batch[-1]["index"]
    shown = [dict(item) for item in found[:limit]]
    return {"receipts": shown, "before": shown[-1]["index"] if len(shown) == limit else None}


def receipt_show(home: Home, requester: Requester, *, id: str) -> Json:
    """One receipt."""
    return dict(_receipt(home.node, requester, id))


def receipt_proof(home: Home, requester: Requester, *, id: str) -> Json:
    """That a receipt stands in the log: its audit path and the signed checkpoint."""
    _receipt(home.node, requester, id)
    proof = home.node.ledger.proof(id)
    return {
        "receipt": id,
        "index": proof.index,
        "leaf": proof.leaf.hex(),
        "path": [sibling.hex() for sibling in proof.path],
        "checkpoint": {**proof.checkpoint.to_json(), "public_key": home.node.me.signing_key.hex()},
    }


def receipts_verify(home: Home, requester: Requester) -> Json:
    """Read the whole log against its hashes and signatures."""
    damages = home.node.ledger.verify()
    return {
        "receipts": home.node.ledger.checkpoint().size,
        "damaged": [{"file": item.file, "what": item.what} for item in damages],
    }


def checkpoint(home: Home, requester: Requester) -> Json:
    """The newest signed root of the log, also as a C2SP note."""
    newest = home.node.ledger.checkpoint()
    return {
        **newest.to_json(),
        "public_key": home.node.me.signing_key.hex(),
        "note": newest.body.decode(),
    }


def _may_see(requester: Requester, receipt: Mapping[str, Any]) -> bool:
    """An app sees its tenant's receipts, compliance also the site's own, an operator all."""
    if requester.role is Role.OPERATOR:
        return True
    tenant = receipt["request"].get("requester", {}).get("tenant")
    return tenant == requester.tenant or (requester.role is Role.COMPLIANCE and tenant == "")


def _receipt(node: Node, requester: Requester, receipt_id: str) -> Mapping[str, Any]:
    found = node.ledger.receipt(receipt_id)
    if not _may_see(requester, found):
        raise NotFound("receipt-unknown", "There is no such receipt.", "Check the id.")
    return found
