"""The site's own keys: table, identity, grid, snapshots; and when the keyring was escrowed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from memory_fabric.core.canonical import canonical

TABLE = "table"
"""Name of the key that seals record headers."""
_SNAPSHOT = "snapshot/"


@dataclass(frozen=True)
class EscrowNote:
    """What an escrow held when it was written: by this it is seen to be out of date.

    Attributes:
        made_at: when.
        epoch: number of the epoch.
        root: id of the root key.
        keys: keys of tenants and subjects, destroyed ones among them.
        destroyed: destroyed ones.
        secrets: the site's own.
    """

    made_at: datetime
    epoch: int
    root: str
    keys: int
    destroyed: int
    secrets: int


@dataclass(frozen=True, repr=False)
class Secrets:
    """Secrets by name, each with the time when it was made. A change makes a new object.

    Attributes:
        values: the secret bytes.
        made: when.
        escrow: the newest escrow that was written.
    """

    values: Mapping[str, bytes] = field(default_factory=dict)
    made: Mapping[str, datetime] = field(default_factory=dict)
    escrow: EscrowNote | None = None

    def with_secret(self, name: str, value: bytes, now: datetime) -> Secrets:
        """With one more, or another in its place."""
        return replace(self, values={**self.values, name: value}, made={**self.made, name: now})

    def without(self, *names: str) -> Secrets:
        """Without these."""
        kept = self.values.keys() - set(names)
        return replace(
            self,
            values={name: self.values[name] for name in kept},
            made={name: self.made[name] for name in kept},
        )

    def snapshots(self) -> dict[bytes, bytes]:
        """Snapshot keys by the snapshots' ids."""
        return {
            bytes.fromhex(name.removeprefix(_SNAPSHOT)): value
            for name, value in self.values.items()
            if name.startswith(_SNAPSHOT)
        }

    def lasting(self) -> Secrets:
        """Without the keys of snapshots, which live no longer than their files."""
        return self.without(*(snapshot_name(key_id) for key_id in self.snapshots()))

    def to_bytes(self) -> bytes:
        """As their row holds them."""
        note = self.escrow and {**vars(self.escrow), "made_at": self.escrow.made_at.isoformat()}
        return canonical(
            {
                "escrow": note,
                "secrets": {
                    name: [value.hex(), self.made[name].isoformat()]
                    for name, value in self.values.items()
                },
            }
        )

    @classmethod
    def from_bytes(cls, plain: bytes) -> Secrets:
        """The inverse of ``to_bytes``."""
        told = json.loads(plain)
        note = told["escrow"]
        return cls(
            {name: bytes.fromhex(value) for name, (value, _) in told["secrets"].items()},
            {name: datetime.fromisoformat(at) for name, (_, at) in told["secrets"].items()},
            note and EscrowNote(**{**note, "made_at": datetime.fromisoformat(note["made_at"])}),
        )


def snapshot_name(key_id: bytes) -> str:
    """What the key of a snapshot is called."""
    return f"{_SNAPSHOT}{key_id.hex()}"
