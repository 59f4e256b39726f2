"""Serving a home: its API over TCP and its local socket, in one process that has it locked."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import uvicorn
from fastapi import FastAPI

from memory_fabric.core.errors import InputError, Unavailable
from memory_fabric.wiring import Home, bindable
from memory_fabric.wiring.paths import Paths
from memory_fabric_api.app import create_app
from memory_fabric_api.local import create_local_app

GRACE = 20
"""Seconds that requests in progress are given when the server stops."""


@dataclass(frozen=True)
class Listening:
    """Where a served home can be reached.

    Attributes:
        host, port: of the API; the port that was found where 0 was asked for.
        socket: of the local operator and of neighbours.
        warning: what the operator should be told loudly, or ``None``.
        stop: ends serving; may be called from any thread.
    """

    host: str
    port: int
    socket: Path
    warning: str | None
    stop: Callable[[], None]

    @property
    def url(self) -> str:
        """The API's base address."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def serve(
    home: Home,
    host: str = "127.0.0.1",
    port: int = 8700,
    ready: Callable[[Listening], None] = lambda _: None,
) -> None:
    """Serve an open home until SIGINT, SIGTERM or ``Listening.stop``; then close it.

    Requests in progress are finished first. A second SIGINT or SIGTERM does not wait for them.

    Args:
        host: an address or name of this machine. The connection is not encrypted, so beyond
            loopback something in front must do it; ``Listening.warning`` says so.
        port: 0 for any free one.
        ready: called once, when both doors are open.

    Raises:
        InputError: ``listen-invalid``, no such address here.
        Unavailable: ``listen-busy``, the port is taken or not allowed.
    """
    try:
        home.warm()
        with _tcp(host, port) as outer, _local(Paths(home.path).socket) as (inner, path):
            asyncio.run(_serve(home, outer, inner, path, ready))
    finally:
        home.upkeep.stop()
        # An act that is being written is finished, not cut off.
        with home.node.writing:
            home.served = False
            home.close()


class _Server(uvicorn.Server):
    """One of two servers in a process: signals are handled for both together."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the process's handlers alone."""
        yield


async def _serve(
    home: Home,
    outer: socket.socket,
    inner: socket.socket,
    path: Path,
    ready: Callable[[Listening], None],
) -> None:
    loop = asyncio.get_running_loop()
    servers = [_server(create_app(home)), _server(create_local_app(home))]

    def stop() -> None:
        for server in servers:
            server.force_exit = server.should_exit
            server.should_exit = True

    def stop_from_any_thread() -> None:
        loop.call_soon_threadsafe(stop)

    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop)
    pairs = zip(servers, (outer, inner), strict=True)
    running = [asyncio.create_task(server.serve([door])) for server, door in pairs]
    while not all(server.started for server in servers):
        if any(task.done() for task in running):
            await asyncio.gather(*running)
            return
        await asyncio.sleep(0.01)
    home.served = True
    home.upkeep.start()
    address, found = outer.getsockname()[:2]
    warning = None if ipaddress.ip_address(address).is_loopback else _EXPOSED
    ready(Listening(address, found, path, warning, stop_from_any_thread))
    await asyncio.gather(*running)


_EXPOSED = (
    "Other machines can reach this address and the connection is not encrypted: keys and memories "
    "would travel readable. Put a proxy with TLS in front, or listen on 127.0.0.1."
)


def _server(app: FastAPI) -> _Server:
    # No access log: the query string of a request names a subject.
    return _Server(
        uvicorn.Config(
            app,
            access_log=False,
            log_config=None,
            log_level="warning",
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=GRACE,
        )
    )


@contextlib.contextmanager
def _tcp(host: str, port: int) -> Iterator[socket.socket]:
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, OverflowError, UnicodeError):
        raise InputError(
            "listen-invalid",
            "There is no such address to listen on.",
            "Name an address of this machine and a port, such as 127.0.0.1:8700.",
        ) from None
    try:
        listener = socket.create_server((str(address[0]), int(address[1])), family=family)
    except OSError as error:
        raise Unavailable(
            "listen-busy",
            f"The address to listen on cannot be taken: {os.strerror(error.errno or 0)}.",
            "Stop what listens there, or choose another port.",
        ) from None
    with listener:
        yield listener


@contextlib.contextmanager
def _local(path: Path) -> Iterator[tuple[socket.socket, Path]]:
    """The socket in the home. We hold the home's lock, so one that lies there is a dead one's."""
    path.parent.chmod(0o700)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with listener, bindable(path) as name:
            listener.bind(name)
            path.chmod(0o600)
            listener.listen()
            yield listener, path
    finally:
        path.unlink(missing_ok=True)
