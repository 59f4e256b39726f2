"""The log of decisions, and its proofs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field

from memory_fabric import operations
from memory_fabric.core.receipt import Outcome
from memory_fabric_api.deps import Asker, TheHome
from memory_fabric_api.models import Moment, Named, Receipt, Shape, Strict, optional
from memory_fabric_api.problems import documented
from memory_fabric_api.strict import StrictRoute

router = APIRouter(route_class=StrictRoute, prefix="/v1", tags=["receipts"])


class LoggedReceipt(Shape):
    """One decision as the log keeps it. Subjects stand in it as commitments only.

    Without `index` and as canonical JSON (RFC 8785) it is the leaf of the log.
    """

    id: Receipt
    index: int = Field(description="Its place in the log, from 0.")
    at: Moment
    site: str
    act: str = Field(examples=["recall"])
    outcome: Outcome
    request: dict[str, Any]
    decisions: list[dict[str, Any]]
    bundle: str = Field(description="Digest of the policy bundle it was decided under.")
    mandate: dict[str, Any] = Field(
        description="By whose authority: `version` and `signers`, or `self_signed`."
    )
    roster: str = Field(description="Digest of the roster.")
    records_root: str | None = Field(description="Merkle root over the records it touched.")
    facts: dict[str, Any]


class ReceiptPage(Shape):
    """Receipts, newest first."""

    receipts: list[LoggedReceipt]
    before: int | None = Field(description="For the next page; null on the last one.")


class ReceiptQuery(Strict):
    """Which receipts."""

    before: int = optional(ge=0, description="Only receipts with a smaller index.")
    limit: int = optional(ge=1, le=500, description="50 where it is left out.")
    act: str = optional()
    outcome: Outcome = optional()
    app: str = optional(description="Who asked.")
    purpose: str = optional()
    site: str = optional(description="A site that it names.")
    rule: str = optional(description="The id of a rule that allowed or refused something.")
    text: str = optional(description="Words in names, rules and sites, or the start of an id.")
    since: Moment = optional()
    until: Moment = optional(description="Before this moment.")


class SignedRoot(Shape):
    """A signed root of the log: Ed25519 over the note's three lines."""

    origin: str = Field(examples=["memory-fabric/fra-1"])
    size: int = Field(description="Receipts covered.")
    root: str = Field(description="Hexadecimal.")
    signature: str = Field(description="Hexadecimal.")
    public_key: str = Field(description="Hexadecimal; compare it with the roster's.")
    verifier_key: str = Field(description="The same with the log's name (C2SP signed-note).")
    note: str = Field(description="All of it as one text (C2SP tlog-checkpoint).")


class Proof(Shape):
    """That a receipt stands in the log (RFC 6962, section 2.1.1). All hashes hexadecimal."""

    receipt: Receipt
    index: int
    leaf: str
    path: list[str]
    checkpoint: SignedRoot
    proof: str = Field(description="All of it, with the receipt, as one text (C2SP tlog-proof).")


class OldRoot(Shape):
    """A root that the log had."""

    size: int
    root: str = Field(description="Hexadecimal.")


class Growth(Shape):
    """That the log goes on from what it was (RFC 6962, section 2.1.2)."""

    old: OldRoot
    path: list[str]
    checkpoint: SignedRoot
    proof: str = Field(description="All of it as one text.")


class OfSize(Strict):
    """At which size."""

    size: int = optional(ge=0, description="Receipts; all of them where it is left out.")


class Sizes(Strict):
    """Between which sizes."""

    old: int = Field(alias="from", ge=0, description="Receipts that it had.")
    to: int = optional(ge=0, description="Receipts that it had later; its newest when left out.")


@router.get(
    "/receipts",
    response_model=ReceiptPage,
    summary="List receipts",
    responses=documented(401, 422, 500, 503),
)
def list_receipts(
    home: TheHome, asker: Asker, asked: Annotated[ReceiptQuery, Query()]
) -> JSONResponse:
    """An app sees its tenant's; compliance also the site's own; operators see all."""
    return JSONResponse(operations.receipts_list(home, asker, **asked.given()))


@router.get(
    "/receipts/{id}",
    response_model=LoggedReceipt,
    summary="Read one receipt",
    responses=documented(401, 404, 422, 500, 503),
)
def read_receipt(home: TheHome, asker: Asker, name: Named) -> JSONResponse:
    """One decision."""
    return JSONResponse(operations.receipt_show(home, asker, id=name))


@router.get(
    "/receipts/{id}/proof",
    response_model=Proof,
    summary="Prove that a receipt stands in the log",
    responses=documented(401, 404, 422, 500, 503),
)
def prove_receipt(
    home: TheHome, asker: Asker, name: Named, asked: Annotated[OfSize, Query()]
) -> JSONResponse:
    """The receipt's audit path against the newest checkpoint, or one of a given size."""
    return JSONResponse(operations.receipt_proof(home, asker, id=name, **asked.given()))


@router.get(
    "/checkpoint",
    response_model=SignedRoot,
    summary="The newest signed root of the log",
    responses=documented(401, 422, 500, 503),
)
def checkpoint(home: TheHome, asker: Asker, asked: Annotated[OfSize, Query()]) -> JSONResponse:
    """Keep it elsewhere: a log that was rolled back no longer agrees with it."""
    return JSONResponse(operations.checkpoint(home, asker, **asked.given()))


@router.get(
    "/checkpoint/consistency",
    response_model=Growth,
    summary="Prove that the log goes on from what it was",
    responses=documented(401, 422, 500, 503),
)
def prove_growth(home: TheHome, asker: Asker, asked: Annotated[Sizes, Query()]) -> JSONResponse:
    """The path from one size of the log to another: nothing before was changed or left out."""
    return JSONResponse(operations.consistency(home, asker, old=asked.old, size=asked.to))
