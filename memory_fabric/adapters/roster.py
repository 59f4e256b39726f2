"""The roster at rest: one JSON file, signed by the grid key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from memory_fabric.adapters.files import replace_file
from memory_fabric.adapters.signatures import is_signed
from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import HomeError, IntegrityViolated, MemoryFabricError
from memory_fabric.core.places import Roster


class RosterFile:
    """Reads and writes the signed list of all sites.

    The file is ``{"roster": ..., "grid_key": hex, "signature": hex}``; the signature is Ed25519
    over the roster's canonical bytes. The key in the file says who signed it; whom to believe is
    said by the reader.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self, expected_grid_key: bytes) -> Roster:
        """The roster, if this grid key signed it.

        Args:
            expected_grid_key: raw Ed25519 public key.

        Raises:
            HomeError: ``roster-missing``.
            IntegrityViolated: ``roster-forged``: another key, another content, or no roster.
        """
        try:
            content = self.path.read_bytes()
        except OSError:
            raise HomeError(
                "roster-missing",
                f"The roster {self.path} cannot be read.",
                "Bring it back, or link the sites again with `memory-fabric site link`.",
            ) from None
        return self.read(content, expected_grid_key, self.path.name)

    @staticmethod
    def read(
        document: str | bytes, expected_grid_key: bytes, source: str = "the roster received"
    ) -> Roster:
        """The roster in a file's content, if this grid key signed it.

        Args:
            document: the content, wherever it came from.
            expected_grid_key: raw Ed25519 public key.
            source: what an error calls it.

        Raises:
            IntegrityViolated: ``roster-forged``.
        """
        try:
            signed = json.loads(document)
            roster = Roster.from_json(signed["roster"])
            signature = bytes.fromhex(signed["signature"])
            same_key = bytes.fromhex(signed["grid_key"]) == expected_grid_key
        except (ValueError, KeyError, TypeError, AttributeError, MemoryFabricError):
            raise _forged(source) from None
        if not same_key or not is_signed(expected_grid_key, roster.canonical(), signature):
            raise _forged(source)
        return roster

    def save(self, roster: Roster, sign: Callable[[bytes], bytes], public_key: bytes) -> None:
        """Replace the roster, durably, as a whole.

        Args:
            roster: the list of all sites.
            sign: signs with the grid key.
            public_key: that key's raw public half.
        """
        signed = {
            "roster": roster.to_json(),
            "grid_key": public_key.hex(),
            "signature": sign(roster.canonical()).hex(),
        }
        replace_file(self.path, canonical(signed), durable=True)


def _forged(source: str) -> IntegrityViolated:
    return IntegrityViolated(
        "roster-forged",
        f"{source} is not what this grid's key signed.",
        "Find out who changed it, and bring the signed roster back.",
        {"damaged": [source]},
    )
