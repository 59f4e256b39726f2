"""Memories put to use: an answer, or notes for a language model elsewhere."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from memory_fabric import operations
from memory_fabric.core.access import Form
from memory_fabric.flows.ask import BUDGET
from memory_fabric.flows.asking import Reach
from memory_fabric.flows.notes import MAX_BUDGET
from memory_fabric.flows.recall import MAX_RESULTS
from memory_fabric_api.deps import Asker, TheHome
from memory_fabric_api.models import (
    Purpose,
    Receipt,
    Shape,
    Strict,
    Subject,
    Unreachable,
    Withheld,
    optional,
)
from memory_fabric_api.problems import documented
from memory_fabric_api.routes.search import Search, SearchFilters
from memory_fabric_api.strict import StrictRoute

router = APIRouter(route_class=StrictRoute, prefix="/v1", tags=["answers"])

BUDGETED = optional(
    description=f"Tokens at most, 1 to {MAX_BUDGET:,}; {BUDGET} where it is left out.",
)


class Question(Strict):
    """A question to the site's language model."""

    question: str = Field(examples=["When does she like to come?"])
    purpose: Purpose = optional()
    subject: Subject = optional(description="About whom; or else `all_subjects`.")
    all_subjects: bool = optional(description="Across subjects, with a key that is granted it.")
    reach: Reach = optional(description="`site` where it is left out.")
    top_k: int = optional(
        description=f"Memories looked at, 1 to {MAX_RESULTS:,}; 5 where it is left out."
    )
    special: list[str] = optional(
        description="Special categories that the question itself reveals.", examples=[["health"]]
    )
    filters: SearchFilters = optional()
    budget: int = BUDGETED


class ContextQuery(Search):
    """A search whose results are packed into a token budget."""

    budget: int = BUDGETED


class Citation(Shape):
    """Where something is from."""

    id: str = Field(description="The memory's id; outside form `full` a pseudonym.")
    site: str = Field(examples=["fra-1"])
    form: Form


class Spent(Shape):
    """What an answer cost, in the model's tokens."""

    prompt: int = Field(description="Read; 0 where the model was not asked.")
    answer: int = Field(description="Written.")
    budget: int = Field(description="The most that the prompt could have had.")
    all_memories: int = Field(
        description="What every memory of the scope at this site would have taken."
    )


class Answered(Shape):
    """What `memory-fabric ask --json` prints."""

    answer: str
    known: bool = Field(description="False where memory gives no answer.")
    citations: list[Citation] = Field(description="What the answer rests on.")
    tokens: Spent
    model: str
    withheld: list[Withheld]
    receipt: Receipt
    unreachable: list[Unreachable] = optional(description="Only where a site did not answer.")


class Fitting(Shape):
    """How a context fits its budget."""

    context: int
    budget: int
    counted_by: str = Field(description="The model that counted, or an estimate, which says so.")


class Packed(Shape):
    """Numbered notes, and where each is from."""

    context: str = Field(description="One note a line, each with its number in brackets.")
    citations: list[Citation] = Field(description="The notes' sources, in their order.")
    tokens: Fitting
    left_out: int = Field(description="Results that did not fit.")
    withheld: list[Withheld]
    receipt: Receipt
    unreachable: list[Unreachable] = optional(description="Only where a site did not answer.")


@router.post(
    "/ask",
    response_model=Answered,
    summary="Ask a question",
    responses=documented(401, 403, 413, 422, 500, 503),
)
def ask(home: TheHome, asker: Asker, body: Question) -> JSONResponse:
    """Made of what a search would show for the same scope, and of nothing else."""
    return JSONResponse(operations.ask(home, asker, **body.given()))


@router.post(
    "/context",
    response_model=Packed,
    summary="Recall memories into a token budget",
    responses=documented(401, 403, 413, 422, 500, 503),
)
def context(home: TheHome, asker: Asker, body: ContextQuery) -> JSONResponse:
    """For a language model of the app's own. The lowest ranked results are dropped first."""
    return JSONResponse(operations.context(home, asker, **body.given()))
