"""The client's end: carries a sealed letter to the site's own process, and its answer back.

It holds no key, reads nothing and decides nothing, so whatever a run puts in its place gains
nothing. Standard library only: a node starts a process for each message.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from pathlib import Path


class Refused(Exception):
    """The site answered with an error; holds its code."""


def relay(path: Path, letter: bytes, timeout: float = 3600.0) -> bytes:
    """Deliver a sealed letter to the process that serves a home.

    Args:
        path: the home's socket, ``run/site.sock``.
        letter: sealed.
        timeout: seconds to wait for the answer.

    Raises:
        Refused: the letter cannot be read by this site.
        OSError: nobody serves the home.
    """
    return _post(path, "/letters", letter, timeout)


def site_behind(path: Path, timeout: float = 10.0) -> str:
    """The name of the site that a socket belongs to."""
    return str(json.loads(_post(path, "/alive", b"{}", timeout))["site"])


def _post(path: Path, target: str, body: bytes, timeout: float) -> bytes:
    connection = _Local(path, timeout)
    try:
        connection.request("POST", target, body)
        answer = connection.getresponse()
        content = answer.read()
    except http.client.HTTPException:
        raise OSError("the site broke off") from None
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise Refused(str(json.loads(content).get("code", "unknown")))
    return content


class _Local(http.client.HTTPConnection):
    """HTTP over the socket in a home."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("site", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect by the folder's descriptor: a socket's own path may be too long."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        folder = os.open(self._path.parent, os.O_PATH | os.O_DIRECTORY)
        try:
            self.sock.connect(f"/proc/self/fd/{folder}/{self._path.name}")
        finally:
            os.close(folder)
