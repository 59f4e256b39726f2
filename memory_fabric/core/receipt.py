"""Receipts and checkpoints: the signed record of every decision.

A receipt is a canonical JSON object; its leaf in the log is the Merkle leaf hash of those bytes.
It holds no memory or query text, and subjects only as commitments. A checkpoint is the signed
root over all receipts so far, in C2SP's tlog-checkpoint layout; it covers each of them, so that
receipts need no signatures of their own.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from memory_fabric.core.canonical import canonical
from memory_fabric.core.lease import Lease, lease_digests
from memory_fabric.core.merkle import leaf_hash
from memory_fabric.core.records import CatalogChange


class Outcome(StrEnum):
    """How a request ended."""

    DONE = "done"
    PARTLY_WITHHELD = "partly_withheld"
    DENIED = "denied"


@dataclass(frozen=True)
class Receipt:
    """One decision as the log keeps it.

    Attributes:
        id: random, unique.
        at: the gate's clock (UTC).
        site: whose log this is.
        act: what was asked (an ``Act``, or an act of the site itself such as ``remember``).
        outcome: how it ended.
        request: the canonical request: requester with attributes, purpose, destination with
            attributes, plans, scope. Enough to ask policy again.
        decisions: per label class: form, plan, rule ids.
        bundle: digest of the policy bundle it was decided under.
        mandate: by whose authority the rules were in force: version and signers, or
            ``self_signed``; empty where nobody's was believed.
        roster: digest of the roster.
        records_root: Merkle root over the sealed records that this act wrote or removed, if any.
        facts: further facts, such as a remote site's receipt.
    """

    id: str
    at: datetime
    site: str
    act: str
    outcome: Outcome
    request: Mapping[str, Any]
    decisions: Sequence[Mapping[str, Any]]
    bundle: str
    roster: str
    records_root: str | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    mandate: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready and canonical."""
        return {
            "id": self.id,
            "at": self.at.isoformat(),
            "site": self.site,
            "act": self.act,
            "outcome": str(self.outcome),
            "request": dict(self.request),
            "decisions": [dict(decision) for decision in self.decisions],
            "bundle": self.bundle,
            "mandate": dict(self.mandate),
            "roster": self.roster,
            "records_root": self.records_root,
            "facts": dict(self.facts),
        }

    def canonical(self) -> bytes:
        """The bytes that the log's leaf commits to."""
        return canonical(self.to_json())

    @property
    def leaf(self) -> bytes:
        """The receipt's leaf hash in the log."""
        return leaf_hash(self.canonical())


class Commit(NamedTuple):
    """What one act commits: its receipt, and all that the receipt accounts for."""

    receipt: Receipt
    change: CatalogChange | None = None
    leases: Sequence[Lease] = ()

    def check(self, site_id: str) -> None:
        """That the receipt accounts for the change and the leases.

        Raises:
            ValueError: it does not, or its site is another.
        """
        claim = self.change.root if self.change else None
        if self.receipt.site != site_id or self.receipt.records_root != claim:
            raise ValueError("a receipt accounts for exactly its own site's change")
        if self.receipt.facts.get("leases", {}) != lease_digests(self.leases):
            raise ValueError("a receipt accounts for exactly the leases it changes")


def log_origin(site_id: str) -> str:
    """The name of a site's log, as its checkpoints carry it."""
    return f"memory-fabric/{site_id}"


@dataclass(frozen=True)
class Checkpoint:
    """A signed root: ``origin``, tree size, root hash, signature (C2SP tlog-checkpoint).

    Attributes:
        origin: the log's name, see ``log_origin``.
        size: number of receipts covered.
        root: Merkle root over their leaf hashes.
        signature: Ed25519 over ``body``.
    """

    origin: str
    size: int
    root: bytes
    signature: bytes = b""

    @property
    def body(self) -> bytes:
        """The signed bytes: three lines."""
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n".encode()

    def to_json(self) -> dict[str, Any]:
        """JSON-ready and canonical."""
        return {
            "origin": self.origin,
            "size": self.size,
            "root": self.root.hex(),
            "signature": self.signature.hex(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Checkpoint:
        """The inverse of ``to_json``."""
        return cls(
            value["origin"],
            value["size"],
            bytes.fromhex(value["root"]),
            bytes.fromhex(value["signature"]),
        )


@dataclass(frozen=True)
class Committed:
    """Proof that a receipt stands in the log on stable storage. Only a ledger makes it."""

    receipt: Receipt
    index: int
    checkpoint: Checkpoint
