"""Other sites' checkpoints, kept in one file. Each is signed by its site and needs no seal."""

from __future__ import annotations

import json
import threading
from datetime import datetime
from pathlib import Path

from memory_fabric.adapters.files import replace_file
from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.core.receipt import Checkpoint


class WitnessedFile:
    """Port ``Witnessed`` over a JSON file.

    Attributes:
        asked: when this process last compared with the neighbours; ``None`` before it did.
    """

    def __init__(self, path: Path) -> None:
        self.asked: datetime | None = None
        self._path = path
        self._lock = threading.Lock()

    def load(self) -> dict[str, Checkpoint]:
        """The newest checkpoint of each site that ever showed one.

        Raises:
            IntegrityViolated: ``witness-damaged``.
        """
        try:
            told = json.loads(self._path.read_bytes())
            return {site: Checkpoint.from_json(value) for site, value in told.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise IntegrityViolated(
                "witness-damaged",
                f"The checkpoints of other sites in {self._path.name} cannot be read.",
                "Find out who changed the file; remove it to begin anew.",
                {"damaged": [self._path.name]},
            ) from None

    def keep(self, site_id: str, checkpoint: Checkpoint) -> None:
        """Put a newer checkpoint in a site's place, durably."""
        with self._lock:
            held = {**self.load(), site_id: checkpoint}
            told = {site: item.to_json() for site, item in sorted(held.items())}
            replace_file(self._path, json.dumps(told, indent=1).encode(), durable=True)
