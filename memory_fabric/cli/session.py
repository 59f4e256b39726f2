"""One run of a command against a home: opened here, or reached where it is served."""

from __future__ import annotations

import getpass
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from memory_fabric import wiring
from memory_fabric.cli.asking import Asker
from memory_fabric.cli.output import Output
from memory_fabric.core.errors import HomeError

if TYPE_CHECKING:
    from memory_fabric.wiring import Home, LocalSocket

PATIENCE = 30.0
"""Seconds that a command waits for others on the same home."""
_ROUND = 1.0
OPENING = "Opening the memory stack"
"""What a progress bar says unless told otherwise."""

Call = Callable[..., dict[str, Any]]
"""An operation's name and parameters in, its JSON out."""


class Session:
    """The home a command works on, and where it prints.

    Args:
        path: the home.
        output: of this run.
        asker: asks for passphrases and PINs.
    """

    def __init__(self, path: Path, output: Output, asker: Asker) -> None:
        self.path = path
        self.output = output
        self.asker = asker

    def run(self, operation: str, scope: str | None = None, **params: Any) -> dict[str, Any]:
        """Run one operation; ``scope`` names the tenant where a site has several."""
        with self.calls(scope) as call:
            return call(operation, **params)

    @contextmanager
    def calls(
        self, tenant: str | None = None, load: bool = True, doing: str = OPENING
    ) -> Iterator[Call]:
        """Run several operations on the home, opened once; ``doing`` stands beside the bar."""
        who = {
            "os_user": getpass.getuser(),
            "tenant": tenant,
            "key": os.environ.get("MEMORY_FABRIC_API_KEY"),
        }
        where = self._find(load, doing)
        if isinstance(where, wiring.LocalSocket):
            yield lambda operation, **params: where.call(operation, who, params)
            return
        from memory_fabric import operations  # engines and all: only where the home is opened here

        with where as home:
            yield lambda operation, **params: operations.run(home, operation, who, params)

    def _find(self, load: bool, doing: str) -> Home | LocalSocket:
        """The process that serves the home, or the home itself, opened here. One that is just
        starting to serve holds the lock already and answers a little later.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            if socket := wiring.reach(self.path):
                return socket
            try:
                return self._opened(load, _ROUND, doing)
            except HomeError as error:
                if error.code != "home-busy" or time.monotonic() > deadline:
                    raise

    @contextmanager
    def open(self, load: bool = True) -> Iterator[Home]:
        """The home, opened in this process, with a bar while its searchable copy is built."""
        with self._opened(load, PATIENCE, OPENING) as home:
            yield home

    def _opened(self, load: bool, wait: float, doing: str) -> Home:
        with self.output.progress(doing) as bar:
            return wiring.open_home(
                self.path, wait=wait, progress=bar.step, load=load, ask=self.asker
            )


def session(context: typer.Context) -> Session:
    """The session that the program's options made."""
    made = context.obj
    if not isinstance(made, Session):
        raise TypeError("a command runs inside the program")
    return made
