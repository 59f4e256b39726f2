"""Whether the process lives, and whether it can serve. No key is needed, and nothing is told."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse
from pydantic import Field

from memory_fabric.core.errors import MemoryFabricError, Unavailable
from memory_fabric_api.deps import TheHome
from memory_fabric_api.models import Shape
from memory_fabric_api.problems import documented

router = APIRouter(tags=["health"])


class Health(Shape):
    """The answer of a site that is well."""

    status: str = Field(examples=["ok"])


@router.get(
    "/healthz",
    response_model=Health,
    summary="Whether the process lives",
    responses=documented(500),
)
async def healthz() -> JSONResponse:
    """Answers as long as the process can answer anything."""
    return JSONResponse({"status": "ok"})


@router.get(
    "/readyz",
    response_model=Health,
    summary="Whether the site can serve",
    responses=documented(500, 503),
)
def readyz(home: TheHome) -> JSONResponse:
    """Ready once the sealed memories are loaded and the ledger answers."""
    try:
        home.node.ledger.checkpoint()
    except MemoryFabricError:
        raise _not_ready() from None
    if home.loaded is None:
        raise _not_ready()
    return JSONResponse({"status": "ready"})


def _not_ready() -> Unavailable:
    return Unavailable(
        "not-ready", "The site cannot serve now.", "Look at `memory-fabric site status` there."
    )
