"""Who is signed in: opaque random tokens, kept in this process's memory and nowhere else."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from memory_fabric.core.errors import MemoryFabricError
from memory_fabric.core.ledger_ports import App

IDLE = 30 * 60.0
"""Seconds without a request after which an officer signs in again."""
LONGEST = 8 * 60 * 60.0
"""Seconds after which they do so in any case."""
TRIES, WITHIN = 10, 5 * 60.0
"""Failed sign-ins from one address, and in how many seconds, before it has to wait."""

_MOST_SESSIONS, _MOST_ADDRESSES = 1000, 1000


class TooManyTries(MemoryFabricError):
    """Too many sign-ins failed."""

    http_status = 429


@dataclass
class Session:
    """One signed-in officer.

    Attributes:
        app: whom the key belongs to; the key itself is not kept.
        token: what each form of the session carries, against requests that others forge.
    """

    app: App
    began: float
    seen: float
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32))


class Sessions:
    """All sessions of one process; they end with it.

    Args:
        now: seconds that only go forward.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._open: dict[str, Session] = {}
        self._failed: dict[str, deque[float]] = {}

    def begin(self, app: App) -> str:
        """A new session's cookie. Nothing that the browser sent before becomes part of it."""
        cookie, now = secrets.token_urlsafe(32), self._now()
        with self._lock:
            self._open = {name: held for name, held in self._open.items() if self._lives(held, now)}
            while len(self._open) >= _MOST_SESSIONS:
                del self._open[next(iter(self._open))]
            self._open[_name(cookie)] = Session(app, now, now)
        return cookie

    def find(self, cookie: str) -> Session | None:
        """The session behind a cookie, unless it is over; being asked for keeps it alive."""
        now = self._now()
        with self._lock:
            session = self._open.get(_name(cookie))
            if session is None or not self._lives(session, now):
                self._open.pop(_name(cookie), None)
                return None
            session.seen = now
            return session

    def end(self, cookie: str) -> None:
        """Sign out."""
        with self._lock:
            self._open.pop(_name(cookie), None)

    def check_tries(self, address: str) -> None:
        """That a sign-in may be tried from this address.

        Raises:
            TooManyTries: ``sign-in-wait``.
        """
        now = self._now()
        with self._lock:
            failed = self._failed.get(address, deque())
            while failed and failed[0] <= now - WITHIN:
                failed.popleft()
            if len(failed) >= TRIES:
                raise TooManyTries(
                    "sign-in-wait",
                    "Too many sign-ins failed from this address.",
                    f"Wait {int(WITHIN // 60)} minutes, then try again.",
                )

    def note_failure(self, address: str) -> None:
        """Remember that a sign-in failed."""
        with self._lock:
            failed = self._failed.pop(address, deque(maxlen=TRIES))
            failed.append(self._now())
            while len(self._failed) >= _MOST_ADDRESSES:
                del self._failed[next(iter(self._failed))]
            self._failed[address] = failed

    @staticmethod
    def _lives(session: Session, now: float) -> bool:
        return now < session.seen + IDLE and now < session.began + LONGEST


def _name(cookie: str) -> str:
    """Sessions are looked up by a hash, so that the time it takes tells nothing of a token."""
    return hashlib.sha256(cookie.encode("utf-8", "replace")).hexdigest()
