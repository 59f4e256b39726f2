"""Decide without doing."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from memory_fabric import operations
from memory_fabric.core.access import Form
from memory_fabric_api.deps import Asker, TheHome
from memory_fabric_api.models import LabelClass, LabelFields, Purpose, Shape, Strict, optional
from memory_fabric_api.problems import Rule, documented
from memory_fabric_api.strict import StrictRoute

router = APIRouter(route_class=StrictRoute, prefix="/v1/policy", tags=["policy"])


class Explain(Strict):
    """A question to policy."""

    act: str = optional(description="`recall` where it is left out.", examples=["recall"])
    purpose: Purpose = optional()
    site: str = optional(description="The other site; this one where it is left out.")
    label: LabelFields = optional()
    home_region: str = optional(description="Another home than this site's.", examples=["US-CA"])


class Plan(Shape):
    """The numbers that a release undertakes to keep."""

    ttl_hours: int
    min_cohort: int
    epsilon: str


class Near(Shape):
    """A rule that came closest to permitting; `missing` says what would have to be otherwise."""

    rule: Rule
    form: Form | None
    missing: list[str]
    sentence: str


class Explained(Shape):
    """The decision as it would be taken now, also in sentences."""

    allowed: bool
    form: Form | None
    plan: Plan | None
    rules: list[Rule]
    label: LabelClass
    sentences: list[str]
    closest: list[Near]


@router.post(
    "/explain",
    response_model=Explained,
    summary="Ask policy without doing anything",
    responses=documented(401, 403, 404, 413, 422, 500, 503),
)
def explain_policy(home: TheHome, asker: Asker, body: Explain) -> JSONResponse:
    """The label asked about need not be declared."""
    return JSONResponse(operations.explain_policy(home, asker, **body.given()))
