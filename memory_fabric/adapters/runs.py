"""Checkpoints of fine-tuning runs: an adapter tells of what it was trained on, so it is sealed.

file = HPKE, to the site's own key, of: length of the state (8 bytes, big-endian) | state as JSON |
adapter as safetensors; bound to the run's name. Each is replaced as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag

from memory_fabric.adapters.files import replace_file
from memory_fabric.core.errors import InputError, IntegrityViolated, NotFound

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_ENDING = ".sealed"


class SealedRuns:
    """The runs that a site aggregates.

    Args:
        folder: made when first needed.
        key: the site's public sealing key.
        unseal, seal: open and close with it: (bytes, info), (key, bytes, info).
    """

    def __init__(
        self,
        folder: Path,
        key: bytes,
        unseal: Callable[[bytes, bytes], bytes],
        seal: Callable[[bytes, bytes, bytes], bytes],
    ) -> None:
        self._folder = folder
        self._key = key
        self._unseal = unseal
        self._seal = seal

    def save(self, run: str, state: Mapping[str, Any], arrays: bytes) -> None:
        """Put a checkpoint in place of the run's last one, durably."""
        head = json.dumps(state).encode()
        plain = len(head).to_bytes(8, "big") + head + arrays
        self._folder.mkdir(mode=0o700, exist_ok=True)
        sealed = self._seal(self._key, plain, _info(run))
        replace_file(self._path(run), sealed, durable=True)

    def load(self, run: str) -> tuple[dict[str, Any], bytes]:
        """State and adapter of a run.

        Raises:
            NotFound: ``run-unknown``.
            IntegrityViolated: ``run-damaged``.
        """
        path = self._path(run)
        try:
            sealed = path.read_bytes()
        except FileNotFoundError:
            raise NotFound(
                "run-unknown",
                "This site has no such fine-tuning run.",
                "List them with `memory-fabric finetune status`.",
            ) from None
        try:
            plain = self._unseal(sealed, _info(run))
            end = 8 + int.from_bytes(plain[:8], "big")
            state: dict[str, Any] = json.loads(plain[8:end])
        except (InvalidTag, ValueError):
            raise IntegrityViolated(
                "run-damaged",
                "A run's checkpoint is not as it was written.",
                "Start another run, or restore the file from a backup.",
                {"damaged": [f"runs/{path.name}"]},
            ) from None
        return state, plain[end:]

    def names(self) -> list[str]:
        """The runs, by name."""
        if not self._folder.is_dir():
            return []
        return sorted(path.name.removesuffix(_ENDING) for path in self._folder.glob(f"*{_ENDING}"))

    def _path(self, run: str) -> Path:
        if not _NAME.fullmatch(run):
            raise InputError(
                "run-invalid",
                "That is not the name of a run.",
                "Use small letters, digits and dashes.",
            )
        return self._folder / f"{run}{_ENDING}"


def _info(run: str) -> bytes:
    return b"memory-fabric/run/1\0" + run.encode()
