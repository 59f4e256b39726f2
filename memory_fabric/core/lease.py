"""Exports on a lease: what left for another site, for how long, and the package it left in.

Both ends keep a ``Lease``. It holds random row ids and record ids, no text and no subject: which
memory a row stands for is known at its origin alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any

from memory_fabric.core.access import Form, Plan
from memory_fabric.core.canonical import digest
from memory_fabric.core.labels import LabelClass
from memory_fabric.core.memory import Vector

PACKAGE_FORMAT = "memory-fabric/package/1"
"""Name and version of what a package holds."""


class LeaseState(StrEnum):
    """Where a leased row stands.

    ``sent``: its package was made, and nobody said yet that it arrived. ``held``: the importer has
    it, or a file with it left. ``ending``: it is to be given up, and the importer has not answered
    yet. ``ended``: the importer gave it up, or never took it.
    """

    SENT = "sent"
    HELD = "held"
    ENDING = "ending"
    ENDED = "ended"

    @property
    def out(self) -> bool:
        """Whether the importer may have the row."""
        return self is not LeaseState.ENDED


@dataclass(frozen=True)
class LeasedRow:
    """One row of a lease.

    Attributes:
        id: random; the only name of the memory that the importer learns.
        rid: record id at the site that keeps this lease: of the memory itself at the origin, of
            the leased copy at the importer.
        version: of that record.
        state: where it stands.
    """

    id: str
    rid: bytes
    version: int
    state: LeaseState


@dataclass(frozen=True)
class Lease:
    """Rows of one label class that one package took to another site.

    Attributes:
        id: random, unique.
        package: id of the package.
        sequence: which package from this origin to this destination it was, from 1.
        manifest: digest of the package's manifest.
        origin, destination: ``site_id`` of both ends.
        tenant, purpose: what it was exported for.
        label_class: of every row.
        form: in which all rows left.
        plan: the numbers undertaken.
        rules: ids of the rules that granted it.
        expires_at: when the importer gives it up by itself.
        rows: what it is made of.
    """

    id: str
    package: str
    sequence: int
    manifest: str
    origin: str
    destination: str
    tenant: str
    purpose: str
    label_class: LabelClass
    form: Form
    plan: Plan
    rules: tuple[str, ...]
    expires_at: datetime
    rows: tuple[LeasedRow, ...]

    def with_states(self, change: Callable[[LeasedRow], LeaseState]) -> Lease:
        """The lease with the state of each row as ``change`` says."""
        return replace(self, rows=tuple(replace(row, state=change(row)) for row in self.rows))

    def count(self, state: LeaseState) -> int:
        """Rows in that state."""
        return sum(row.state is state for row in self.rows)

    @property
    def state(self) -> LeaseState:
        """The lease as a whole: what most calls for attention among its rows."""
        states = {row.state for row in self.rows}
        order = (LeaseState.ENDING, LeaseState.SENT, LeaseState.HELD)
        return next((state for state in order if state in states), LeaseState.ENDED)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready and canonical."""
        return {
            "id": self.id,
            "package": self.package,
            "sequence": self.sequence,
            "manifest": self.manifest,
            "origin": self.origin,
            "destination": self.destination,
            "tenant": self.tenant,
            "purpose": self.purpose,
            "class": self.label_class.to_json(),
            "form": str(self.form),
            "plan": self.plan.to_json(),
            "rules": list(self.rules),
            "expires_at": self.expires_at.isoformat(),
            "rows": [[row.id, row.rid.hex(), row.version, str(row.state)] for row in self.rows],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Lease:
        """The inverse of ``to_json``."""
        return cls(
            id=value["id"],
            package=value["package"],
            sequence=value["sequence"],
            manifest=value["manifest"],
            origin=value["origin"],
            destination=value["destination"],
            tenant=value["tenant"],
            purpose=value["purpose"],
            label_class=LabelClass.from_json(value["class"]),
            form=Form(value["form"]),
            plan=Plan(**value["plan"]),
            rules=tuple(value["rules"]),
            expires_at=datetime.fromisoformat(value["expires_at"]),
            rows=tuple(
                LeasedRow(name, bytes.fromhex(rid), version, LeaseState(state))
                for name, rid, version, state in value["rows"]
            ),
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical bytes: what the receipt of each change says of the lease."""
        return digest(self.to_json())


def lease_digests(leases: Sequence[Lease]) -> dict[str, str]:
    """What a receipt says of the leases that it made or changed."""
    return {lease.id: lease.digest for lease in leases}


@dataclass(frozen=True)
class Terms:
    """What a package says of one lease in it, to its receiver.

    Attributes:
        lease: its id.
        label_class, form, plan, rules, expires_at: as in ``Lease``.
        rows: how many.
    """

    lease: str
    label_class: LabelClass
    form: Form
    plan: Plan
    rules: tuple[str, ...]
    expires_at: datetime
    rows: int

    def to_json(self) -> dict[str, Any]:
        """JSON-ready and canonical."""
        return {
            "lease": self.lease,
            "class": self.label_class.to_json(),
            "form": str(self.form),
            "plan": self.plan.to_json(),
            "rules": list(self.rules),
            "expires_at": self.expires_at.isoformat(),
            "rows": self.rows,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Terms:
        """The inverse of ``to_json``; raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        expires_at = datetime.fromisoformat(value["expires_at"])
        if expires_at.tzinfo is None:
            raise ValueError("no time zone")
        return cls(
            lease=str(value["lease"]),
            label_class=LabelClass.from_json(value["class"]),
            form=Form(value["form"]),
            plan=Plan(**value["plan"]),
            rules=tuple(str(rule) for rule in value["rules"]),
            expires_at=expires_at,
            rows=int(value["rows"]),
        )


@dataclass(frozen=True)
class Manifest:
    """What a package says of itself.

    Attributes:
        package: random id.
        origin, destination: ``site_id`` of both ends.
        tenant, purpose: what it was exported for.
        embedder: id of the one that all vectors in it, and those of its texts, come from.
        bundle: digest of the policy bundle that it was decided under.
        sequence: from 1, one more with each package from this origin to this destination.
        previous: digest of the manifest before it; empty for the first.
        expires_at: when its last lease ends; nobody takes it in after that.
        leases: one for each label class in it.
    """

    package: str
    origin: str
    destination: str
    tenant: str
    purpose: str
    embedder: str
    bundle: str
    sequence: int
    previous: str
    expires_at: datetime
    leases: tuple[Terms, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready and canonical."""
        return {
            "format": PACKAGE_FORMAT,
            "package": self.package,
            "origin": self.origin,
            "destination": self.destination,
            "tenant": self.tenant,
            "purpose": self.purpose,
            "embedder": self.embedder,
            "bundle": self.bundle,
            "sequence": self.sequence,
            "previous": self.previous,
            "expires_at": self.expires_at.isoformat(),
            "leases": [terms.to_json() for terms in self.leases],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Manifest:
        """The inverse of ``to_json``; raises ``KeyError``, ``TypeError`` or ``ValueError``."""
        if value["format"] != PACKAGE_FORMAT:
            raise ValueError("another format")
        return cls(
            package=str(value["package"]),
            origin=str(value["origin"]),
            destination=str(value["destination"]),
            tenant=str(value["tenant"]),
            purpose=str(value["purpose"]),
            embedder=str(value["embedder"]),
            bundle=str(value["bundle"]),
            sequence=int(value["sequence"]),
            previous=str(value["previous"]),
            expires_at=datetime.fromisoformat(value["expires_at"]),
            leases=tuple(Terms.from_json(item) for item in value["leases"]),
        )

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical bytes, hexadecimal."""
        return digest(self.to_json())


@dataclass(frozen=True)
class PackedRow:
    """One row as it stands in a package.

    Attributes:
        id: random, see ``LeasedRow``.
        lease: id of the lease that it belongs to.
        form: of the row.
        label_class: of the memory.
        text: ``None`` where the form carries none.
        vector: ``None`` where the form carries none.
        embedder: that the vector comes from.
        memory_type: the layer it stands in.
        expires_at: when the lease ends.
    """

    id: str
    lease: str
    form: str
    label_class: Mapping[str, Any]
    text: str | None
    vector: Vector | None
    embedder: str
    memory_type: str
    expires_at: str
