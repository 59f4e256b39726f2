"""Reading requests strictly: JSON as RFC 8259 has it, without NaN and without half characters."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json


class _StrictRequest(Request):
    async def json(self) -> Any:
        """The body; ``ValueError`` where Python's own reader would let something odd through."""
        return from_json(await self.body(), allow_inf_nan=False)


class StrictRoute(APIRoute):
    """A call whose JSON is read strictly."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler, on a strict request."""
        handle = super().get_route_handler()

        async def strictly(request: Request) -> Response:
            return await handle(_StrictRequest(request.scope, request.receive))

        return strictly
