"""Erase a subject."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from memory_fabric import operations
from memory_fabric_api.deps import Asker, TheHome
from memory_fabric_api.models import Strict, Subject
from memory_fabric_api.problems import documented
from memory_fabric_api.routes.memories import Erased
from memory_fabric_api.strict import StrictRoute

router = APIRouter(route_class=StrictRoute, prefix="/v1/erasures", tags=["erasures"])


class Erasure(Strict):
    """Whom to erase."""

    subject: Subject = Field(min_length=1)


@router.post(
    "",
    response_model=Erased,
    summary="Erase everything about a subject",
    responses=documented(401, 403, 413, 422, 500, 503),
)
def erase_subject(home: TheHome, asker: Asker, body: Erasure) -> JSONResponse:
    """Here and at the tenant's other sites, with the subject's key.

    Where a rule refuses here, nothing is erased and no other site is told.
    """
    return JSONResponse(operations.forget(home, asker, subject=body.subject))
