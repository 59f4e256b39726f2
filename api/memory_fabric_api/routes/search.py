"""Recall."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from memory_fabric import operations
from memory_fabric.core.memory import MemoryType
from memory_fabric.flows.asking import Reach
from memory_fabric.flows.recall import MAX_RESULTS
from memory_fabric_api.deps import Asker, TheHome
from memory_fabric_api.models import (
    Moment,
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

router = APIRouter(route_class=StrictRoute, prefix="/v1/search", tags=["search"])


class SearchFilters(Strict):
    """What narrows a search before anything is ranked."""

    memory_type: list[MemoryType] | MemoryType = optional()
    created_after: Moment = optional(description="Inclusive.")
    created_before: Moment = optional(description="Exclusive.")


class Search(Strict):
    """A question."""

    query: str = Field(examples=["when does she like to come?"])
    purpose: Purpose = optional()
    subject: Subject = optional(description="About whom; or else `all_subjects`.")
    all_subjects: bool = optional(description="Across subjects, with a key that is granted it.")
    reach: Reach = optional(description="`site` where it is left out.")
    top_k: int = optional(description=f"1 to {MAX_RESULTS:,}; 10 where it is left out.")
    special: list[str] = optional(
        description="Special categories that the query itself reveals.", examples=[["health"]]
    )
    filters: SearchFilters = optional()
    threshold: float = optional(description="Scores below it are left out.", ge=0, le=1)


class Found(Shape):
    """What `memory-fabric recall --json` prints."""

    results: list[Result]
    withheld: list[Withheld]
    receipt: Receipt
    unreachable: list[Unreachable] = optional(description="Only where a site did not answer.")


@router.post(
    "",
    response_model=Found,
    summary="Recall memories",
    responses=documented(401, 403, 413, 422, 500, 503),
)
def search(home: TheHome, asker: Asker, body: Search) -> JSONResponse:
    """`withheld` follows from policy alone, and is the same whether or not anything matched."""
    return JSONResponse(operations.search(home, asker, **body.given()))
