"""What every route is given: the home, and who asks."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from memory_fabric import operations
from memory_fabric.core.access import Requester
from memory_fabric.core.errors import Unauthenticated
from memory_fabric.wiring import Home

_bearer = HTTPBearer(
    auto_error=False,
    scheme_name="key",
    description="A key that `memory-fabric app add` printed.",
)


async def _home(request: Request) -> Home:
    home: Home = request.app.state.home
    return home


TheHome = Annotated[Home, Depends(_home)]
"""The site's open home."""


def _asker(
    home: TheHome, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Requester:
    if given is None or not given.credentials:
        raise Unauthenticated(
            "api-key-missing",
            "The request carries no API key.",
            "Send `Authorization: Bearer <key>` with a key from `memory-fabric app add`.",
        )
    return operations.authenticate(home, given.credentials)


Asker = Annotated[Requester, Depends(_asker)]
"""The app behind the request's key."""
