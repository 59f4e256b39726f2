"""Proposals of other rules: one officer proposes a bundle, another one approves it.

How a proposal stands is read from the log alone: who asked for what and who agreed stands in
receipts, under the candidate's digest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memory_fabric.core.access import Requester
from memory_fabric.core.errors import InputError, NotFound, NotGranted
from memory_fabric.core.receipt import Outcome
from memory_fabric.core.receipt_search import Wanted
from memory_fabric.flows.node import Node

PROPOSED, APPROVED, WITHDRAWN = "policy-proposed", "policy-approved", "policy-withdrawn"
SHOWN = 20
"""Newest proposals that are looked at."""


@dataclass(frozen=True)
class Step:
    """Somebody's act on a proposal, and its receipt."""

    by: str
    at: str
    receipt: str
    index: int


@dataclass(frozen=True)
class Proposal:
    """A candidate that somebody proposed.

    Attributes:
        digest: of the candidate bundle.
        before: of the bundle that was in force when it was proposed.
        approved, withdrawn: who did that, if anybody.
        state: ``waiting`` for a second officer, ``approved``, ``withdrawn``, ``in-force``, or
            ``outdated`` where other rules came into force since.
    """

    digest: str
    before: str
    proposed: Step
    approved: Step | None
    withdrawn: Step | None
    state: str


def proposals(node: Node) -> list[Proposal]:
    """The newest proposals, newest first, each candidate once."""
    found: dict[str, Proposal] = {}
    acts = {act: _steps(node, act) for act in (APPROVED, WITHDRAWN)}
    for receipt in node.ledger.receipts(None, SHOWN, Wanted(act=PROPOSED)):
        request, proposed = receipt["request"], _step(receipt)
        digest = request["candidate"]
        if digest in found:
            continue
        approved, withdrawn = (
            acts[act].get((digest, proposed.receipt)) for act in (APPROVED, WITHDRAWN)
        )
        state = _state(node.gate.rulebook.digest, digest, request["before"], approved, withdrawn)
        found[digest] = Proposal(digest, request["before"], proposed, approved, withdrawn, state)
    return list(found.values())


def propose(node: Node, requester: Requester, digest: str) -> Proposal:
    """Propose a candidate that passed its checks.

    Raises:
        InputError: ``candidate-in-force``, ``candidate-proposed``.
    """
    before = node.gate.rulebook.digest
    if digest == before:
        raise InputError(
            "candidate-in-force", "These are the rules in force.", "There is nothing to propose."
        )
    open_ = [item for item in proposals(node) if item.digest == digest]
    if open_ and open_[0].state in ("waiting", "approved"):
        raise InputError(
            "candidate-proposed",
            f"{open_[0].proposed.by} proposed this bundle already.",
            "Look at it in the list of candidates.",
        )
    node.commit(PROPOSED, requester, Outcome.DONE, request={"candidate": digest, "before": before})
    return find(node, digest)


def approve(node: Node, requester: Requester, digest: str) -> Proposal:
    """Agree to what another officer proposed.

    Raises:
        NotFound: ``candidate-unknown``.
        InputError: ``candidate-closed``: it is no longer waiting.
        NotGranted: ``approval-own``: one's own proposal takes another officer.
    """
    found = _waiting(node, digest)
    if found.proposed.by == requester.name:
        raise NotGranted(
            "approval-own",
            "You proposed this bundle yourself.",
            "Another officer approves it, with a key of their own.",
        )
    return _record(node, APPROVED, requester, found)


def withdraw(node: Node, requester: Requester, digest: str) -> Proposal:
    """Take a proposal back, or turn another officer's down.

    Raises:
        NotFound, InputError: as for ``approve``.
    """
    return _record(node, WITHDRAWN, requester, _waiting(node, digest))


def find(node: Node, digest: str) -> Proposal:
    """How one candidate stands, or ``NotFound`` (``candidate-unknown``)."""
    found = next((item for item in proposals(node) if item.digest == digest), None)
    if found is None:
        raise NotFound(
            "candidate-unknown", "There is no such candidate.", "See the list of candidates."
        )
    return found


def _waiting(node: Node, digest: str) -> Proposal:
    found = find(node, digest)
    if found.state != "waiting":
        raise InputError(
            "candidate-closed",
            f"This candidate is {found.state}; nothing is left to decide on it.",
            "Propose the bundle anew, if it is still wanted.",
        )
    return found


def _record(node: Node, act: str, requester: Requester, found: Proposal) -> Proposal:
    node.commit(
        act, requester, Outcome.DONE,
        request={"candidate": found.digest, "proposal": found.proposed.receipt},
    )  # fmt: skip
    return find(node, found.digest)


def _steps(node: Node, act: str) -> dict[tuple[str, str], Step]:
    """The newest acts of a kind, by candidate and proposal."""
    receipts = node.ledger.receipts(None, SHOWN, Wanted(act=act))
    return {
        (receipt["request"]["candidate"], receipt["request"]["proposal"]): _step(receipt)
        for receipt in receipts
    }


def _step(receipt: Mapping[str, Any]) -> Step:
    return Step(
        receipt["request"]["requester"]["name"], receipt["at"], receipt["id"], receipt["index"]
    )


def _state(
    in_force: str, digest: str, before: str, approved: Step | None, withdrawn: Step | None
) -> str:
    if withdrawn:
        return "withdrawn"
    if digest == in_force:
        return "in-force"
    if before != in_force:
        return "outdated"
    return "approved" if approved else "waiting"
