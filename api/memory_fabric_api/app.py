"""The HTTP API for apps."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute

from memory_fabric import __version__
from memory_fabric.wiring import Home
from memory_fabric_api import problems
from memory_fabric_api.console import create_console
from memory_fabric_api.routes import answers, erasures, health, memories, policy, receipts, search
from memory_fabric_api.shield import MAX_BODY, Shield

_ABOUT = """
Memory that asks the law before it travels. Every call but those under *health* sends
`Authorization: Bearer <key>`; the key binds it to one tenant, a role and purposes. A missing
scope is an error, never "everything". Every decision has a receipt in a verifiable log.
Errors are problem documents (RFC 9457) with a stable `code`.
"""

_TAGS = [
    {"name": "memories", "description": "Remember, read, relabel and forget."},
    {"name": "search", "description": "Recall, at this site and within reach."},
    {"name": "answers", "description": "Put memories to use: an answer, or notes in a budget."},
    {"name": "erasures", "description": "Erase a subject."},
    {"name": "receipts", "description": "The log of decisions, and its proofs."},
    {"name": "policy", "description": "Decide without doing."},
    {"name": "health", "description": "For whoever operates the site; no key is needed."},
]


class _Api(FastAPI):
    """FastAPI whose description knows the problem documents that every call may answer with."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, with the schema of problems put in once."""
        if not self.openapi_schema:
            schemas = super().openapi().setdefault("components", {}).setdefault("schemas", {})
            schemas.update(problems.schemas())
        return super().openapi()


def create_app(home: Home, max_body: int = MAX_BODY) -> FastAPI:
    """The API of an open home. It neither opens nor closes the home.

    Args:
        max_body: bytes that a request's body may have.
    """
    app = _Api(
        title="Memory Fabric",
        version=__version__,
        description=_ABOUT,
        openapi_tags=_TAGS,
        # The pages would load scripts from elsewhere; openapi.json is all that tools need.
        docs_url=None,
        redoc_url=None,
        # A redirect would carry the query string, and with it a subject.
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
    )
    app.state.home = home
    for room in (memories, search, answers, erasures, receipts, policy, health):
        app.include_router(room.router)
    app.add_api_route("/console", _into_console, include_in_schema=False)
    app.mount("/console", create_console(home))
    problems.install(app)
    app.add_middleware(Shield, max_body=max_body)
    return app


async def _into_console() -> Response:
    """A mount answers below its path only."""
    return RedirectResponse("/console/")


def _operation_id(route: APIRoute) -> str:
    """What a generated client names its method."""
    return route.name
