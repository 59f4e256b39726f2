"""The local socket of a served home: operations for its operator, letters for its neighbours."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from memory_fabric.core.errors import Unavailable, from_problem

_TIMEOUT = httpx.Timeout(600.0, connect=2.0)
_LONGEST = 100
"""Bytes of a socket's path at most; sockaddr_un holds 108, on some systems 104."""


@contextmanager
def bindable(path: Path) -> Iterator[str]:
    """A name of the socket that fits into an address, however deep the home lies.

    Linux resolves ``/proc/self/fd``; elsewhere a home with so long a path cannot be served.
    """
    if len(os.fsencode(path)) <= _LONGEST:
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


class LocalSocket:
    """Speaks to the process that serves a home.

    Args:
        path: the socket, ``run/site.sock`` in the home.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def alive(self) -> bool:
        """Whether somebody serves the home now."""
        if not self._path.exists():
            return False
        try:
            return self._post("/alive", b"{}").status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def call(self, operation: str, who: Mapping[str, Any], params: Mapping[str, Any]) -> Any:
        """Run an operation there; errors are the same as if the home were opened here."""
        try:
            reply = self._post(f"/operations/{operation}", {"who": who, "params": params})
        except httpx.TransportError:
            raise _gone() from None
        if reply.is_success:
            return reply.json()
        raise from_problem(reply.json())

    def exchange(self, letter: bytes) -> bytes:
        """Deliver a sealed letter and return the answer.

        Raises:
            Unavailable: ``site-unreachable``.
        """
        try:
            reply = self._post("/letters", letter)
        except httpx.TransportError:
            raise _gone() from None
        if reply.is_success:
            return reply.content
        raise from_problem(reply.json())

    def _post(self, path: str, body: bytes | Mapping[str, Any]) -> httpx.Response:
        with (
            bindable(self._path) as name,
            httpx.Client(transport=httpx.HTTPTransport(uds=name), timeout=_TIMEOUT) as client,
        ):
            if isinstance(body, bytes):
                return client.post(f"http://site{path}", content=body)
            return client.post(f"http://site{path}", json=body)


def _gone() -> Unavailable:
    return Unavailable(
        "site-unreachable",
        "The process that serves this home does not answer.",
        "Look whether `site serve` still runs there.",
    )
