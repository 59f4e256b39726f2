"""The console as an app of its own, below the API's: its errors are pages too."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memory_fabric.core.errors import InputError, MemoryFabricError, NotFound
from memory_fabric.wiring import Home
from memory_fabric_api.console.guard import SignedOut
from memory_fabric_api.console.render import page
from memory_fabric_api.console.routes import (
    changes,
    erasures,
    expiry,
    explain,
    matrix,
    overview,
    receipts,
    rules,
    signing_in,
    static,
)
from memory_fabric_api.console.sessions import Sessions

SECURITY = {
    b"content-security-policy": (
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        b"connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), geolocation=(), microphone=()",
    # With `no-referrer` browsers would send no origin with forms either.
    b"referrer-policy": b"same-origin",
    b"x-frame-options": b"DENY",
}
"""Headers of every answer: nothing from elsewhere, nothing inline, in nobody's frame."""


def create_console(home: Home, sessions: Sessions | None = None) -> FastAPI:
    """The console of an open home, to be mounted at ``/console``."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)
    app.state.home = home
    app.state.sessions = sessions or Sessions()
    for room in (
        signing_in, overview, rules, explain, matrix, changes, receipts, erasures, expiry, static,
    ):  # fmt: skip
        app.include_router(room.router)
    _install_errors(app)
    app.add_middleware(_Headers)
    return app


class _Headers:
    """Puts the headers on whatever the console answers, errors and files included."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *SECURITY.items()]
            await send(message)

        await self._app(scope, receive, sending)


def _install_errors(app: FastAPI) -> None:
    @app.exception_handler(SignedOut)
    async def signed_out(request: Request, _: SignedOut) -> Response:
        wanted = request.url.path
        if request.url.query:
            wanted += f"?{request.url.query}"
        again = f"/console/sign-in?next={quote(wanted if request.method == 'GET' else '')}"
        if "hx-request" in request.headers:
            # The page is to be left, not a part of it exchanged.
            return Response(status_code=HTTPStatus.UNAUTHORIZED, headers={"hx-redirect": again})
        return RedirectResponse(again, HTTPStatus.SEE_OTHER)

    @app.exception_handler(MemoryFabricError)
    async def known(request: Request, error: MemoryFabricError) -> Response:
        return error_page(request, error)

    @app.exception_handler(RequestValidationError)
    async def malformed(request: Request, _: RequestValidationError) -> Response:
        return error_page(
            request,
            InputError(
                "request-invalid",
                "A field holds something that this page does not take.",
                "Go back and choose again.",
            ),
        )

    @app.exception_handler(HTTPException)
    async def protocol(request: Request, error: HTTPException) -> Response:
        if error.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            raise error
        return error_page(
            request,
            NotFound("path-unknown", "There is no such page.", "Start again from the overview."),
        )


def error_page(request: Request, error: MemoryFabricError) -> Response:
    """What happened and what to do, as a page."""
    details: dict[str, Any] = error.details
    findings = details.get("findings", [])
    if findings:
        count = "1 finding" if len(findings) == 1 else f"{len(findings)} findings"
        told = f"The bundle cannot be used: {count}", "Mend what is listed, and send it again."
    else:
        told = error.what, error.do
    return page(
        request,
        "error.html",
        status=error.http_status,
        what=told[0],
        do=told[1],
        code=error.code,
        rules=details.get("rules", []),
        findings=findings,
        receipt=details.get("receipt"),
    )
