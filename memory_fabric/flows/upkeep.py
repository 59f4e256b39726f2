"""Upkeep: what a site does for itself between requests, one job at a time.

A served home has one thread for it. A home that is opened for a single command has none; it runs
before it closes what must not wait, and leaves the rest to whoever serves it next.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from memory_fabric.core.errors import MemoryFabricError
from memory_fabric.flows.node import Node

PULSE = 1.0
"""Seconds between two looks at what is due."""
RETRY = timedelta(minutes=1)
"""How long a job that failed is left alone."""

Due = Callable[[Node, datetime], bool]


def _never(_node: Node, _now: datetime) -> bool:
    return False


@dataclass(frozen=True)
class Job:
    """Something to be done once in a while.

    Attributes:
        name: as ``site status`` shows it.
        due: whether there is something to do; asked every second, so it has to be cheap.
        run: does it. What takes more than a second looks at ``node.closing`` now and then, and
            gives up when that is set. A job that is still due is run again with the next look.
        pressing: whether a command that ends now has to do it first.
    """

    name: str
    due: Due
    run: Callable[[Node], object]
    pressing: Due = _never


@dataclass(frozen=True)
class Failure:
    """Why a job did not end well.

    Attributes:
        at: when.
        error: a code, or the type of what was not foreseen.
        place: function and line; nothing that the error says, since that could quote a memory.
    """

    at: datetime
    error: str
    place: str


@dataclass(frozen=True)
class State:
    """How a job stands.

    Attributes:
        job: its name.
        due: whether there is something to do now.
        last: when it last ended well; ``None`` where none did in this process.
        failure: of its newest run, where that did not end well.
    """

    job: str
    due: bool
    last: datetime | None
    failure: Failure | None


class Upkeep:
    """Runs the jobs of a site. A job never runs twice at a time, nor do two of them."""

    def __init__(self, node: Node, jobs: Sequence[Job]) -> None:
        self._node = node
        self._jobs = jobs
        self._running = threading.Lock()
        self._last: dict[str, datetime] = {}
        self._failures: dict[str, Failure] = {}
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Run what is due from now on, in a thread."""
        self._thread = threading.Thread(target=self._watch, name="upkeep", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, if there is one; a job that it is at is ended or given up."""
        if self._thread:
            self._node.closing.set()
            self._thread.join()
            self._node.closing.clear()
            self._thread = None

    def settle(self) -> None:
        """Run what must not wait, here and now. What an act left half done is left to opening."""
        for job in self._jobs:
            if not self._node.unsettled:
                self._run(job, job.pressing)

    def states(self) -> list[State]:
        """How the jobs stand."""
        now = self._node.clock.now()
        return [
            State(
                job.name,
                job.due(self._node, now),
                self._last.get(job.name),
                self._failures.get(job.name),
            )
            for job in self._jobs
        ]

    def _watch(self) -> None:
        while not self._node.closing.wait(PULSE):
            for job in self._jobs:
                failure = self._failures.get(job.name)
                if failure is None or self._node.clock.now() - failure.at >= RETRY:
                    self._run(job, job.due)

    def _run(self, job: Job, wanted: Due) -> None:
        with self._running:
            try:
                if self._node.closing.is_set() or not wanted(self._node, self._node.clock.now()):
                    return
                job.run(self._node)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next job gets its turn
                place = traceback.extract_tb(error.__traceback__)[-1]
                name = error.code if isinstance(error, MemoryFabricError) else type(error).__name__
                at = self._node.clock.now()
                self._failures[job.name] = Failure(at, name, f"{place.name}:{place.lineno}")
            else:
                self._last[job.name] = self._node.clock.now()
                self._failures.pop(job.name, None)


TIDY = Job(
    "tidy the stack",
    due=lambda node, _: node.stack.clutter >= 1,
    run=lambda node: node.stack.tidy(node.closing.is_set),
)
"""Merge small fragments; drop old versions, and files that no version names."""
