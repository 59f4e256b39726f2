"""A clock that stands still until it is told to move."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta


class ManualClock:
    """The port ``Clock``, set by hand."""

    def __init__(self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = now

    def now(self) -> datetime:
        """The moment it was set to."""
        return self._now

    def set(self, now: datetime) -> None:
        """Jump, backwards too."""
        self._now = now

    def advance(self, **duration: float) -> None:
        """Go on by a ``timedelta``: ``advance(hours=1)``."""
        self._now += timedelta(**duration)
