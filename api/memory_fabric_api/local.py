"""The app behind a served home's socket: operations for its operator, letters for its neighbours.

Who can open the socket could as well open the home, so there are no keys and no limits here;
``memory_fabric.adapters.transport.LocalSocket`` is the other end.
"""

from __future__ import annotations

import json
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from memory_fabric import operations
from memory_fabric.flows.answer import answer
from memory_fabric.wiring import Home
from memory_fabric_api import problems
from memory_fabric_api.shield import Shield


def create_local_app(home: Home) -> FastAPI:
    """The operator's and the neighbours' door to an open home."""
    app = FastAPI(openapi_url=None, redirect_slashes=False)

    @app.post("/alive")
    async def alive() -> JSONResponse:
        return JSONResponse({"site": home.node.me.site_id})

    @app.post("/operations/{name}")
    async def operation(name: str, request: Request) -> Response:
        who, params = _asked(await request.body())
        return await run_in_threadpool(_run, home, name, who, params)

    @app.post("/letters")
    async def letter(request: Request) -> Response:
        reply = await run_in_threadpool(answer, home.node, await request.body())
        return Response(reply, media_type="application/octet-stream")

    problems.install(app)
    app.add_middleware(Shield, max_body=None)
    return app


def _run(home: Home, name: str, who: dict[str, Any], params: dict[str, Any]) -> Response:
    return JSONResponse(operations.run(home, name, who, params))


def _asked(body: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Who asks, and what with; or ``request-invalid``."""
    try:
        asked = json.loads(body)
        who, params = asked["who"], asked["params"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise problems.invalid() from None
    if not isinstance(who, dict) or not isinstance(params, dict) or "os_user" not in who:
        raise problems.invalid()
    return who, params
