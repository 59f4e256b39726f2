"""How the snapshot on disk stands to the searchable copy in memory."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass
class Standing:
    """What is known of the snapshot without reading it. Changed with the pen held.

    Attributes:
        written: rows that this process has put into the copy since the snapshot was thawed, or
            since there is none.
        covered: how many of them the snapshot on disk holds; ``None`` where there is none.
        removals: acts that removed records: a snapshot begun before one of them never counts.
        tried: when taking one was last begun.
        refused: why the one that opening found was not used; ``None`` where it was.
    """

    written: int = 0
    covered: int | None = None
    removals: int = 0
    tried: datetime | None = None
    refused: str | None = None

    @property
    def behind(self) -> int | None:
        """Rows that the snapshot on disk lacks; ``None`` where there is none."""
        return None if self.covered is None else self.written - self.covered
