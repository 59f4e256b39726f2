"""The outermost layer: a limit on bodies, no caching, and an unexpected error keeps its text."""

from __future__ import annotations

import logging
import traceback

from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from memory_fabric.core.errors import MemoryFabricError
from memory_fabric_api.problems import TOO_LARGE, respond

MAX_BODY = 16 * 1024 * 1024
"""Bytes of a request's body at most."""

_log = logging.getLogger(__name__)


class Shield:
    """ASGI middleware around an app.

    It logs the type and the place of what went wrong unexpectedly, never its text: the text, and
    the frames that a traceback shows, could quote a memory, a query or a subject.

    Args:
        max_body: bytes of a body at most; ``None`` for no limit.
    """

    def __init__(self, app: ASGIApp, max_body: int | None) -> None:
        self._app = app
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False
        received = 0

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                headers.setdefault("cache-control", "no-store")
                headers["x-content-type-options"] = "nosniff"
            await send(message)

        async def receiving() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if self._max_body is not None and received > self._max_body:
                raise HTTPException(TOO_LARGE)
            return message

        try:
            await self._app(scope, receiving, sending)
        except Exception as error:  # noqa: BLE001  (the one place where nothing may pass)
            place = traceback.extract_tb(error.__traceback__)[-1]
            _log.error("%s in %s:%d", type(error).__name__, place.name, place.lineno)
            if not started:
                await respond(_internal())(scope, receive, sending)


def _internal() -> MemoryFabricError:
    return MemoryFabricError(
        "internal-error",
        "Something failed inside; nothing was released.",
        "Report it as a defect with the line in the server's log.",
    )
