"""Emergencies: opened on two officers' word, closed by somebody or by time, kept by the log."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from memory_fabric.core.access import Requester
from memory_fabric.core.emergency import (
    APPROVERS,
    LONGEST,
    Approval,
    Emergency,
    Statement,
    approval_invalid,
)
from memory_fabric.core.errors import InputError, NotFound
from memory_fabric.core.mandate import Officer
from memory_fabric.core.receipt import Outcome
from memory_fabric.core.receipt_search import Wanted
from memory_fabric.flows.node import Node, accountable
from memory_fabric.vault.identity import verify_signature

OPEN, CLOSE = "breakglass-open", "breakglass-close"
"""Acts, as receipts name them."""


def open_emergency(node: Node, requester: Requester, document: Any) -> tuple[Emergency, str]:
    """Open an emergency; it and the id of its receipt.

    Args:
        document: a statement with its approvals, as JSON.

    Raises:
        InputError: ``approval-invalid``, ``ticket-invalid``; ``approval-elsewhere``,
            ``approval-expired``, ``approval-long``, ``approvers-few``, ``approver-unknown``,
            ``officers-missing``, ``ticket-used``, ``purpose-unknown``.
        NotFound: ``site-unknown``. Each is refused with a receipt.
    """
    with accountable(node, OPEN, requester), node.writing:
        said, approvals = _read(document)
        emergency = _vouched(node, said, approvals)
        now = node.clock.now()
        if said.expires <= now:
            raise InputError(
                "approval-expired", "What was approved has ended.", "Have a new one approved."
            )
        if said.expires - now > LONGEST:
            raise InputError(
                "approval-long",
                "An emergency ends within 24 hours.",
                "Have a shorter one approved; what lasts longer is a matter for the rules.",
            )
        if any(_statement(receipt).ticket == said.ticket for receipt in _opened(node)):
            raise InputError(
                "ticket-used",
                "This ticket was opened here before; an approval counts once.",
                "Have a new one approved, under a ticket of its own.",
            )
        committed = node.commit(
            OPEN,
            requester,
            Outcome.DONE,
            request={"purpose": said.purpose, "break_glass": emergency.glass.to_json()},
            facts={
                "statement": said.to_json(),
                "approvals": [approval.to_json() for approval in approvals],
            },
        )
        load_emergencies(node)
        return emergency, committed.receipt.id


def close_emergency(node: Node, requester: Requester, ticket: str) -> str:
    """Close an emergency before its end; the id of the receipt.

    Raises:
        NotFound: ``emergency-unknown``.
    """
    with node.writing:
        found = next((one for one in standing(node) if one.statement.ticket == ticket), None)
        if found is None:
            raise NotFound(
                "emergency-unknown",
                "No emergency of this ticket is open.",
                "See `memory-fabric breakglass list`.",
            )
        request = {"purpose": found.statement.purpose, "break_glass": found.glass.to_json()}
        committed = node.commit(CLOSE, requester, Outcome.DONE, request=request)
        load_emergencies(node)
        return committed.receipt.id


def standing(node: Node) -> list[Emergency]:
    """Those that are open now, the one that ends first at the head."""
    now = node.clock.now()
    found = [one for one in node.gate.emergencies if now < one.statement.expires]
    return sorted(found, key=lambda one: one.statement.expires)


def load_emergencies(node: Node) -> None:
    """Let the gate know those that the log says are open, and that today's officers vouch for."""
    since = node.clock.now() - LONGEST
    closed = {
        receipt["request"]["break_glass"]["ticket"]
        for receipt in node.ledger.receipts(None, _MANY, Wanted(act=CLOSE, since=since))
    }
    found: list[Emergency] = []
    for receipt in _opened(node):
        if _statement(receipt).ticket in closed:
            continue
        try:
            found.append(_vouched(node, *_read(receipt["facts"])))
        except (InputError, NotFound):
            continue  # an officer, or the receiver, has left: nobody vouches for it any more
    now = node.clock.now()
    node.gate.emergencies = tuple(one for one in found if now < one.statement.expires)


_MANY = 1_000


def _opened(node: Node) -> Iterator[Mapping[str, Any]]:
    before: int | None = None
    while page := node.ledger.receipts(before, _MANY, Wanted(act=OPEN, outcome=Outcome.DONE)):
        yield from page
        before = page[-1]["index"]


def _statement(receipt: Mapping[str, Any]) -> Statement:
    return Statement.from_json(receipt["facts"]["statement"])


def _read(document: Any) -> tuple[Statement, list[Approval]]:
    if not isinstance(document, Mapping) or not isinstance(document.get("approvals"), list):
        raise approval_invalid()
    statement = Statement.from_json(document.get("statement"))
    return statement, [Approval.from_json(item) for item in document["approvals"]]


def _vouched(node: Node, said: Statement, approvals: list[Approval]) -> Emergency:
    """The emergency, if two of today's officers signed exactly this, for this site."""
    mandate = node.gate.rulebook.mandate
    if mandate is None or mandate.self_signed:
        raise InputError(
            "officers-missing",
            "No officers sign for this site, so nobody can vouch for an emergency.",
            "Install officers' rules first, with `memory-fabric policy install`.",
        )
    if said.site != node.me.site_id:
        raise InputError(
            "approval-elsewhere",
            "This was approved for another site.",
            "Have it approved for this one.",
        )
    if said.to is not None and said.to not in node.roster.sites:
        raise NotFound("site-unknown", "It names a site that is not known here.", "Check the name.")
    if said.purpose not in node.purposes:
        raise InputError(
            "purpose-unknown", "It names a purpose that the rules do not know.", "Check it."
        )
    signers: dict[str, Officer] = {}
    for approval in approvals:
        officer = mandate.officer(approval.key_id)
        signed = said.signed_bytes()
        if officer is None or not verify_signature(officer.public, signed, approval.signature):
            raise InputError(
                "approver-unknown",
                "One of the signatures is not an officer's of this site on this very statement.",
                "Have it approved by officers, unchanged.",
            )
        signers[officer.key_id] = officer
    if len(signers) < APPROVERS:
        raise InputError(
            "approvers-few",
            "It takes two different officers.",
            "Have another officer run `memory-fabric breakglass approve`.",
        )
    first, second = sorted(officer.name for officer in signers.values())[:APPROVERS]
    return Emergency(said, (first, second))
