"""The time of this machine."""

from __future__ import annotations

import threading
from datetime import UTC, datetime


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
