"""Homes that another process serves."""

from __future__ import annotations

from pathlib import Path

from memory_fabric.adapters.transport import LocalSocket
from memory_fabric.wiring.paths import Paths


def reach(path: Path) -> LocalSocket | None:
    """The socket of a home that is being served; ``None`` if nobody serves it."""
    socket = LocalSocket(Paths(path).socket)
    return socket if socket.alive else None
