"""Break-glass: an emergency that two officers vouch for, for one purpose and some hours."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from memory_fabric.core.access import BreakGlass
from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import InputError

LONGEST = timedelta(hours=24)
"""How far ahead an emergency may end: who needs longer has time to change the rules."""
APPROVERS = 2

_TYPE = "memory-fabric/break-glass/1"
_TICKET = re.compile(r"[A-Z][A-Z0-9]{0,15}-[0-9]{1,12}")
_FIELDS = {"type", "site", "ticket", "purpose", "to", "expires"}


@dataclass(frozen=True)
class Statement:
    """What officers vouch for.

    Attributes:
        site: the only one at which it holds.
        ticket: of the incident, such as ``INC-2041``.
        purpose: the only one that it serves.
        to: the only site that may receive anything for it; any other one where it is ``None``.
        expires: when it ends; it is never longer open than that.
    """

    site: str
    ticket: str
    purpose: str
    to: str | None
    expires: datetime

    def __post_init__(self) -> None:
        if not _TICKET.fullmatch(self.ticket):
            raise InputError(
                "ticket-invalid",
                "This is no ticket.",
                "Write it like INC-2041: capitals, a hyphen, digits.",
            )

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "type": _TYPE,
            "site": self.site,
            "ticket": self.ticket,
            "purpose": self.purpose,
            "to": self.to,
            "expires": self.expires.isoformat(),
        }

    def signed_bytes(self) -> bytes:
        """What an approver signs: canonical JSON (RFC 8785)."""
        return canonical(self.to_json())

    @classmethod
    def from_json(cls, value: Any) -> Statement:
        """The inverse of ``to_json``.

        Raises:
            InputError: ``approval-invalid``, ``ticket-invalid``.
        """
        if not isinstance(value, Mapping) or set(value) != _FIELDS or value["type"] != _TYPE:
            raise approval_invalid()
        texts = [value["site"], value["ticket"], value["purpose"], value["expires"]]
        if not all(isinstance(text, str) for text in (*texts, value["to"] or "")):
            raise approval_invalid()
        try:
            expires = datetime.fromisoformat(value["expires"])
        except ValueError:
            raise approval_invalid() from None
        if expires.tzinfo is None:
            raise approval_invalid()
        return cls(value["site"], value["ticket"], value["purpose"], value["to"], expires)


@dataclass(frozen=True)
class Approval:
    """An officer's signature on a statement.

    Attributes:
        key_id: of the officer's key.
        signature: Ed25519 over ``Statement.signed_bytes``.
    """

    key_id: str
    signature: bytes

    def to_json(self) -> dict[str, str]:
        """JSON-ready."""
        return {"key_id": self.key_id, "signature": self.signature.hex()}

    @classmethod
    def from_json(cls, value: Any) -> Approval:
        """The inverse of ``to_json``.

        Raises:
            InputError: ``approval-invalid``.
        """
        try:
            return cls(str(value["key_id"]), bytes.fromhex(value["signature"]))
        except (KeyError, TypeError, ValueError):
            raise approval_invalid() from None


@dataclass(frozen=True)
class Emergency:
    """An emergency that is open: its statement, and the names of two different approvers."""

    statement: Statement
    approvers: tuple[str, str]

    def covers(self, purpose: str, destination: str, now: datetime) -> bool:
        """Whether a question is asked within it."""
        said = self.statement
        return (
            purpose == said.purpose
            and destination == (said.to or destination)
            and (now < said.expires)
        )

    @property
    def glass(self) -> BreakGlass:
        """As rules see it."""
        said = self.statement
        return BreakGlass(said.ticket, *self.approvers, said.expires)


def approval_invalid() -> InputError:
    """The error of a document that is no approval."""
    return InputError(
        "approval-invalid",
        "This is no request for an emergency, or it was changed.",
        "Make one with `memory-fabric breakglass request`.",
    )
