"""The time of this machine."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from memory_fabric.core.ports import Clock


class SteadyClock:
    """Port ``Clock``: another clock, and never behind a moment that was seen once, even by an
    earlier process: it stands still until the other one has caught up.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._seen = datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The current moment."""
        with self._lock:
            self._seen = max(self._seen, self._clock.now())
            return self._seen

    def seen(self, moment: datetime) -> None:
        """It was this late already."""
        with self._lock:
            self._seen = max(self._seen, moment)

    @property
    def behind(self) -> timedelta:
        """How far the other clock is behind what was seen."""
        with self._lock:
            return max(self._seen - self._clock.now(), timedelta())


class SystemClock:
    """Port ``Clock``: UTC, and never behind a time that this process has already told."""

    def __init__(self) -> None:
        self._told = datetime.min.replace(tzinfo=UTC)
        self._lock = threading.Lock()

    def now(self) -> datetime:
        """The current moment."""
        with self._lock:
            self._told = max(self._told, datetime.now(UTC))
            return self._told
