"""Remember, read, relabel and forget memories."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import JSONResponse
from pydantic import Field, JsonValue

from memory_fabric import operations
from memory_fabric.core.memory import MAX_TEXT, MemoryType
from memory_fabric_api.deps import Asker, TheHome
from memory_fabric_api.models import (
    LabelFields,
    Moment,
    Named,
    Purpose,
    Receipt,
    Result,
    Shape,
    Strict,
    Subject,
    Unreachable,
    Withheld,
    optional,
)
from memory_fabric_api.problems import documented
from memory_fabric_api.strict import StrictRoute

MAX_MEMORIES = 1000
"""Memories in one request at most."""

router = APIRouter(route_class=StrictRoute, prefix="/v1/memories", tags=["memories"])


class NewMemory(Strict):
    """A memory to remember."""

    memory: str = Field(
        description=f"Up to {MAX_TEXT:,} characters.", examples=["Prefers appointments after six."]
    )
    subjects: list[str] = optional(description="Whom it is about.", examples=[["patient-7"]])
    id: str = optional(description="The app's own id; one is made where it is left out.")
    memory_type: MemoryType = optional(description="`episodic` where it is left out.")
    label: LabelFields = optional()
    metadata: dict[str, JsonValue] = optional(description="The app's own JSON object.")
    valid_at: Moment = optional()
    expires_at: Moment = optional()
    embedding: list[float] = optional(description="By the site's own embedder.")
    embedder: str = optional(description="The id of the embedder that made `embedding`.")


class NewMemories(Strict):
    """Memories to remember: all of them, or none."""

    memories: list[NewMemory] = Field(min_length=1, max_length=MAX_MEMORIES)


class Added(Shape):
    """What became of one memory."""

    id: str
    event: str = Field(examples=["ADD"])


class AllAdded(Shape):
    """What became of the memories, in their order."""

    results: list[Added]
    receipt: Receipt


class OneResult(Result):
    """A memory, and the receipt of its release."""

    receipt: Receipt


class Page(Shape):
    """Memories in the order of writing."""

    results: list[Result]
    cursor: str | None = Field(description="For the next page; null on the last one.")
    receipt: Receipt


class PageQuery(Strict):
    """Which memories."""

    purpose: Purpose = optional()
    subject: Subject = optional()
    all_subjects: bool = optional()
    cursor: str = optional()


class PurposeQuery(Strict):
    """What for."""

    purpose: Purpose = optional()


class GivenUp(Shape):
    """What another site had on a lease and removed."""

    site: str
    rows: int
    receipt: Receipt


class Leases(Shape):
    """Leases that ended with an act: exports that other sites had to give up."""

    ended: list[GivenUp]
    overdue: list[Unreachable] = optional(description="Sites that are asked again later.")


class Changed(Shape):
    """What a change of label did."""

    changed: int = Field(description="Memories that carry the new label.")
    leases: Leases = optional(description="What other sites gave up for it.")
    receipt: Receipt


class Counts(Shape):
    """What was removed."""

    memories: int
    keys: int = Field(description="Data keys destroyed; 0 where one memory was forgotten.")


class ErasedElsewhere(Shape):
    """What another site of the tenant erased, by its own rules and into its own log."""

    site: str
    erased: Counts
    receipt: Receipt


class Bytes(Shape):
    """The sealed bytes on the disk, which a pass of its own removes for all erasures together."""

    gone: bool
    by: Moment | None = Field(description="When they are gone at the latest; null once they are.")
    receipt: str | None = Field(description="Of act `scrub`, which names this erasure's receipt.")


class Erased(Shape):
    """What an erasure did. Nothing finds or opens any more what it removed."""

    erased: Counts
    site: str
    elsewhere: list[ErasedElsewhere]
    withheld: list[Withheld] = Field(description="Sites that were not told, or that refused.")
    unreachable: list[Unreachable] = optional(description="Sites to be told again.")
    leases: Leases = optional(description="What other sites gave up for it.")
    bytes: Bytes
    runs: list[str] = Field(description="Fine-tuning runs whose adapters learned from it.")
    remains: list[str] = Field(description="What is not gone yet, or not by this, in words.")
    receipt: Receipt


@router.post(
    "",
    status_code=201,
    response_model=AllAdded,
    summary="Remember one or many memories",
    responses=documented(401, 403, 409, 413, 422, 500, 503),
)
def remember(home: TheHome, asker: Asker, body: NewMemories) -> JSONResponse:
    """Answered when the memories are on stable storage: all of them, or none."""
    drafts = [memory.given() for memory in body.memories]
    return JSONResponse(operations.add(home, asker, memories=drafts), 201)


@router.get(
    "",
    response_model=Page,
    summary="List memories, a page at a time",
    responses=documented(401, 403, 422, 500, 503),
)
def list_memories(
    home: TheHome, asker: Asker, asked: Annotated[PageQuery, Query()]
) -> JSONResponse:
    """Always scoped: by one subject, or across subjects with a key that is granted it."""
    return JSONResponse(operations.page(home, asker, **asked.given()))


@router.get(
    "/{id}",
    response_model=OneResult,
    summary="Read one memory",
    responses=documented(401, 403, 404, 422, 500, 503),
)
def read_memory(
    home: TheHome, asker: Asker, name: Named, asked: Annotated[PurposeQuery, Query()]
) -> JSONResponse:
    """A memory that policy withholds is answered as one that does not exist."""
    return JSONResponse(operations.get(home, asker, id=name, **asked.given()))


@router.patch(
    "/{id}",
    response_model=Changed,
    summary="Change a memory's label",
    responses=documented(401, 403, 404, 413, 422, 500, 503),
)
def relabel_memory(home: TheHome, asker: Asker, name: Named, body: LabelFields) -> JSONResponse:
    """Tightening is for every app; loosening takes the compliance role."""
    return JSONResponse(operations.label_set(home, asker, id=name, change=body.given()))


@router.delete(
    "/{id}",
    response_model=Erased,
    summary="Forget one memory",
    responses=documented(401, 403, 404, 422, 500, 503),
)
def forget_memory(home: TheHome, asker: Asker, name: Named) -> JSONResponse:
    """Its subjects' keys stay; to erase a person, use `POST /v1/erasures`."""
    return JSONResponse(operations.forget(home, asker, id=name))
