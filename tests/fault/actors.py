"""Processes that use a home and may be made to fail or die while they do.

Importing the program takes seconds, forking it does not: one process, the *nursery*, imports all
and touches nothing; each actor is a fork of it. So an actor costs as much as opening a home.

    with nursery() as new:
        with new(watch=home) as actor:
            actor.do("open", home=str(home))
            actor.do("ask", operation="add", memories=[...])
"""

from __future__ import annotations

import array
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.fault.syscalls import Rule, Watch, supervise

ROOT = Path(__file__).parents[2]


class Refused(Exception):
    """The program answered with one of its errors."""

    def __init__(self, code: str, exit_code: int, damaged: list[str]) -> None:
        super().__init__(code)
        self.code, self.exit_code, self.damaged = code, exit_code, damaged


class Died(Exception):
    """The process is gone: nothing was answered."""


class Broke(Exception):
    """Something else than an error of the program's own: a defect."""


class Actor:
    """A process with at most one home open. ``do`` asks it for one thing and waits."""

    def __init__(self, channel: socket.socket, root: Path | None) -> None:
        self._channel = channel
        self._lines = channel.makefile("r")
        wants = json.dumps({"watched": root is not None}) + "\n"
        channel.sendall(wants.encode())
        data, carried, *_ = channel.recvmsg(64, socket.CMSG_SPACE(4))
        self.pid = int(data)
        self._process = os.pidfd_open(self.pid)
        self.watch: Watch | None = None
        if root is not None:
            listener = array.array("i", carried[0][2])[0]
            self.watch = Watch(listener, self.pid, root)

    def do(self, what: str, **params: Any) -> Any:
        """Ask for one thing; its answer.

        Raises:
            Refused: an error of the program's own.
            Died: the process is gone.
            Broke: any other error.
        """
        self.begin(what, **params)
        return self.end()

    def begin(self, what: str, **params: Any) -> None:
        """Ask without waiting for the answer."""
        with suppress(OSError):
            self._channel.sendall((json.dumps([what, params]) + "\n").encode())

    def end(self) -> Any:
        """Wait for the answer to what was begun."""
        line = ""
        with suppress(OSError):
            line = self._lines.readline()
        if not line.endswith("\n"):
            self.close()
            raise Died
        said = json.loads(line)
        if "code" in said:
            raise Refused(said["code"], said["exit_code"], said["damaged"])
        if "broke" in said:
            raise Broke(said["broke"])
        return said["done"]

    def under(self, rule: Rule) -> Any:
        """A context in which a rule decides about the process' calls."""
        assert self.watch is not None
        return self.watch.under(rule)

    def signal(self, number: signal.Signals) -> None:
        """Stop, continue or kill it."""
        with suppress(OSError):
            signal.pidfd_send_signal(self._process, number)

    def close(self) -> None:
        """Kill the process and wait until it is gone, with every lock that it held."""
        if self._process < 0:
            return
        self.signal(signal.SIGKILL)
        select.select([self._process], [], [], 30)
        os.close(self._process)
        self._process = -1
        if self.watch:
            self.watch.join()
        self._lines.close()
        self._channel.close()


@contextmanager
def nursery(temporary: Path) -> Iterator[Callable[..., Any]]:
    """A maker of actors. ``temporary`` is where they find their ``TMPDIR``."""
    ours, theirs = socket.socketpair()
    command = [sys.executable, "-m", "tests.fault.actors", str(theirs.fileno())]
    environment = os.environ | {"TMPDIR": str(temporary)}
    with subprocess.Popen(command, pass_fds=[theirs.fileno()], cwd=ROOT, env=environment) as server:
        theirs.close()

        @contextmanager
        def new(watch: Path | None = None) -> Iterator[Actor]:
            mine, child = socket.socketpair()
            socket.send_fds(ours, [b"x"], [child.fileno()])
            child.close()
            mine.settimeout(60)
            actor = Actor(mine, watch)
            try:
                yield actor
            finally:
                actor.close()

        try:
            yield new
        finally:
            ours.close()
            server.wait(10)


# --- in the nursery and its forks ---------------------------------------------------------------


def _serve(descriptor: int) -> None:
    """Fork an actor for each descriptor that comes, until nobody asks any more."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(fileno=descriptor) as door:
        while True:
            data, descriptors, *_ = socket.recv_fds(door, 1, 1)
            if not data:
                return
            with warnings.catch_warnings(action="ignore"):  # nothing of Lance ran before
                child = os.fork() == 0
            channel = socket.socket(fileno=descriptors[0])
            if child:
                door.close()
                try:
                    _act(channel)
                finally:
                    os._exit(0)
            channel.close()


def _act(channel: socket.socket) -> None:
    from memory_fabric.core.errors import MemoryFabricError
    from tests.fault.deeds import Deeds

    lines = channel.makefile("r")
    wants = json.loads(lines.readline())
    carried = [supervise()] if wants["watched"] else []
    socket.send_fds(channel, [str(os.getpid()).encode()], carried)
    for descriptor in carried:
        os.close(descriptor)
    deeds = Deeds()
    for line in lines:
        what, params = json.loads(line)
        try:
            answer = {"done": getattr(deeds, what)(**params)}
        except MemoryFabricError as error:
            damaged = error.details.get("damaged", [])
            answer = {"code": error.code, "exit_code": error.exit_code, "damaged": damaged}
        except Exception as error:  # noqa: BLE001 - told to the test, which fails
            answer = {"broke": "".join(traceback.format_exception(error))}
        channel.sendall((json.dumps(answer) + "\n").encode())


if __name__ == "__main__":
    import tests.fault.deeds  # noqa: F401 - imported before the forks

    _serve(int(sys.argv[1]))
