"""Checkpoints of other sites in memory."""

from __future__ import annotations

from datetime import datetime

from memory_fabric.core.receipt import Checkpoint


class MemoryWitnessed:
    """The port ``Witnessed``."""

    def __init__(self) -> None:
        self.asked: datetime | None = None
        self._held: dict[str, Checkpoint] = {}

    def load(self) -> dict[str, Checkpoint]:
        return dict(self._held)

    def keep(self, site_id: str, checkpoint: Checkpoint) -> None:
        self._held[site_id] = checkpoint
