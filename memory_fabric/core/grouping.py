"""Group commit: what arrives while a commit is under way shares the next one.

Leader and follower, without a timer: whoever finds nobody at work does his own at once; whoever
comes meanwhile waits, and one of those who wait then does all that has piled up.

Source: DeWitt et al., Implementation Techniques for Main Memory Database Systems, 1984.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, cast

from memory_fabric.core.errors import MemoryFabricError

Item = TypeVar("Item")
Done = TypeVar("Done")
Work = Callable[[Sequence[Item]], Sequence[Done | Exception]]
"""Does a group, and gives for each item its result or its own error; or raises for all of them."""


class _Ticket(Generic[Item, Done]):
    """One caller's item, and how it ended."""

    def __init__(self, item: Item) -> None:
        self.item = item
        self.outcome: Done | Exception | None = None
        self.leads = False
        self.woken = threading.Lock()
        self.woken.acquire()


class Group(Generic[Item, Done]):
    """Callers that share their commits. Safe to share between threads; not re-entrant.

    Args:
        size: how much an item counts, 1 unless given.
        most: so much is done in one group; a single larger item is done alone.
    """

    def __init__(
        self,
        size: Callable[[Item], int] = lambda item: 1,
        most: int = 256,
    ) -> None:
        self._size = size
        self._most = most
        self._lock = threading.Lock()
        self._waiting: deque[_Ticket[Item, Done]] = deque()
        self._busy = False

    def __len__(self) -> int:
        """How many wait for a group that is not begun."""
        return len(self._waiting)

    def do(self, item: Item, work: Work[Item, Done]) -> Done:
        """The item's result, once its group is done.

        Args:
            item: what to do.
            work: does a group, whoever leads it; called by one thread at a time.

        Raises:
            Exception: the item's own error, or that of its whole group.
        """
        ticket: _Ticket[Item, Done] = _Ticket(item)
        with self._lock:
            self._waiting.append(ticket)
            ticket.leads = not self._busy
            self._busy = True
        if not ticket.leads:
            self._wait(ticket)
        if ticket.leads:
            self._lead(work)
        outcome = ticket.outcome
        if isinstance(outcome, MemoryFabricError):
            raise outcome.again()
        if isinstance(outcome, Exception):
            raise outcome
        return cast(Done, outcome)

    def _wait(self, ticket: _Ticket[Item, Done]) -> None:
        """Until the item is done, or it is the caller's turn to lead."""
        try:
            ticket.woken.acquire()
        except BaseException:  # interrupted: nobody may wait for who does not come
            with self._lock:
                if ticket in self._waiting:
                    self._waiting.remove(ticket)
                    if ticket.leads:
                        self._pass_on()
            raise

    def _lead(self, work: Work[Item, Done]) -> None:
        """Do a group that begins with the caller's own item, and wake who comes next."""
        group = self._taken()
        outcomes: list[Done | Exception] = []
        try:
            outcomes = list(work([ticket.item for ticket in group]))
            if len(outcomes) != len(group):
                raise ValueError("a group has an outcome for each of its items")
        except Exception as error:  # noqa: BLE001 - it is raised to every caller
            outcomes = [error] * len(group)
        finally:
            if not outcomes:
                outcomes = [RuntimeError("the commit was interrupted")] * len(group)
            for ticket, outcome in zip(group, outcomes, strict=True):
                ticket.outcome = outcome
            with self._lock:
                self._pass_on()
            for ticket in group[1:]:
                ticket.woken.release()

    def _pass_on(self) -> None:
        """Let the first of those who wait lead. Called with the lock held."""
        self._busy = bool(self._waiting)
        if self._busy:
            self._waiting[0].leads = True
            self._waiting[0].woken.release()

    def _taken(self) -> list[_Ticket[Item, Done]]:
        with self._lock:
            group = [self._waiting.popleft()]
            total = self._size(group[0].item)
            while self._waiting:
                total += self._size(self._waiting[0].item)
                if total > self._most:
                    break
                group.append(self._waiting.popleft())
        return group
