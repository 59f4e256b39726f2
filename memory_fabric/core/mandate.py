"""By whose authority the rules of a site are in force, and until when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

WARN_BEFORE = {
    "root": timedelta(days=30),
    "targets": timedelta(days=30),
    "timestamp": timedelta(days=2),
}
"""How long before its end a part is warned of: enough to bring officers together, or a stick."""

_OF = {
    "root": "The list of officers",
    "targets": "The officers' signature on the rules",
    "timestamp": "The publisher's word that these rules are the newest",
}


@dataclass(frozen=True)
class Officer:
    """Somebody whose signature puts rules in force.

    Attributes:
        name: as colleagues know it.
        key_id: names the key in TUF metadata, 64 hexadecimal digits.
        public: raw Ed25519 public key, 32 bytes.
    """

    name: str
    key_id: str
    public: bytes


@dataclass(frozen=True)
class Mandate:
    """What signed metadata says of the installed rules.

    Attributes:
        version: of the signed rules; grows by one with each.
        root_version: of the list of officers.
        signers: whose signatures count, by name; the site's own where ``self_signed``.
        self_signed: no officers: the site signs whatever its operator puts in force.
        officers: who may sign; none where ``self_signed``.
        threshold: how many of them it takes.
        ends: when each part of the metadata ends, by its role.
    """

    version: int
    root_version: int
    signers: tuple[str, ...]
    self_signed: bool
    officers: tuple[Officer, ...]
    threshold: int
    ends: Mapping[str, datetime] = field(hash=False)

    @property
    def expires(self) -> datetime:
        """From then on nothing crosses: the first of ``ends``."""
        return min(self.ends.values())

    def to_json(self) -> dict[str, Any]:
        """As receipts name it."""
        if self.self_signed:
            return {"version": self.version, "self_signed": True}
        return {"version": self.version, "signers": list(self.signers)}

    def officer(self, key_id: str) -> Officer | None:
        """Who holds a key."""
        return next((one for one in self.officers if one.key_id == key_id), None)

    def warnings(self, now: datetime) -> list[str]:
        """What ends soon or has ended, as sentences."""
        if self.self_signed and now < self.expires:
            return []  # the site renews it by itself
        found = []
        for role, end in self.ends.items():
            if role not in WARN_BEFORE or end - now > WARN_BEFORE[role]:
                continue
            when = f"{end:%Y-%m-%d %H:%M} UTC"
            found.append(
                f"{_OF[role]} ended on {when}: nothing crosses until newer rules are installed."
                if end <= now
                else f"{_OF[role]} ends on {when}: install newer rules, or nothing crosses then."
            )
        return found
