"""The chain of capabilities: permit, redeemed, opened, discharged, release.

Each link can only be made from the one before it, by the room that owns the step:

    gate.decide   -> Permit       (struck here, for exactly these classes, forms and destination)
    vault.open    -> Opened       (redeems the permit: once, unaltered, in time)
    duties        -> Discharged   (redacted, embedded: only what the granted form may show)
    ledger.commit -> Committed    (the receipt is on stable storage)
    release()     -> Release      (the only thing that responses, letters and exporters take)

A model update takes the same way under two permits, one to train and one to send:

    vault.open    -> Opened         (what the permit to train covers)
    trained()     -> Trained        (an update, tied to what it was trained on)
    vault.clear_update -> ClearedUpdate (redeems the permit to send: it covers all of that)
    release_update()   -> UpdateRelease (its receipt is in the log; only this is sealed and sent)

Within one process this stops accidents and shortcuts, not hostile code: the wall against that is
the process boundary and who holds the keys (``docs/internals/security.md``).
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple, NoReturn

from memory_fabric.core.access import Act, Decision, Form
from memory_fabric.core.errors import MemoryFabricError
from memory_fabric.core.labels import ClassState, LabelClass
from memory_fabric.core.memory import Memory, Vector
from memory_fabric.core.receipt import Committed
from memory_fabric.gate.decisions import Decisions

PERMIT_LIFETIME = timedelta(seconds=60)
"""A permit not redeemed by then is void: decisions are about now."""

_STAMP = object()


class PermitVoid(MemoryFabricError):
    """A permit was forged, altered, used twice or kept too long. Always a defect, never data."""

    http_status = 500


@dataclass(frozen=True, eq=False)
class _Capability:
    """Immutable, and made by this module only: neither copied, pickled, replaced nor derived."""

    stamp: InitVar[object]

    def __post_init__(self, stamp: object) -> None:
        if stamp is not _STAMP:
            raise TypeError(f"{type(self).__name__} is made by the gate's chain only")

    def __reduce__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} does not leave its process")

    def __copy__(self) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is not copied")

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise TypeError(f"{type(self).__name__} is not copied")


@dataclass(frozen=True, eq=False)
class Permit(_Capability):
    """The gate's yes: for this act, these classes and forms, this destination, now.

    Attributes:
        id: random; known to the mint until redeemed.
        act: what may be done.
        origin: ``site_id`` of where the data lies.
        tenant, purpose: the scope it was asked in.
        subject: the one subject it covers, or ``None`` for all that the requester may ask about.
        destination: ``site_id`` of the receiver.
        grants: the decision for each class state that may be touched; only allowed ones.
        expires_at: when it becomes void.
    """

    id: str
    act: Act
    origin: str
    tenant: str
    purpose: str
    subject: str | None
    destination: str
    grants: Mapping[ClassState, Decision]
    expires_at: datetime

    def says(self) -> tuple[object, ...]:
        """Everything the permit says; the grants are a view that nobody can change."""
        return (
            self.id, self.act, self.origin, self.tenant, self.purpose, self.subject,
            self.destination, self.grants, self.expires_at,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Redeemed(_Capability):
    """A permit that was valid, and is now used."""

    permit: Permit


class _Struck(NamedTuple):
    """What the mint remembers of a permit until it is redeemed."""

    says: tuple[object, ...]
    expires_at: datetime


class Mint:
    """Strikes permits and redeems each exactly once. The gate strikes; the vault redeems."""

    def __init__(self) -> None:
        self._live: dict[str, _Struck] = {}
        self._lock = threading.Lock()

    def strike(
        self,
        *,
        act: Act,
        origin: str,
        tenant: str,
        purpose: str,
        subject: str | None,
        destination: str,
        grants: Mapping[ClassState, Decision],
        now: datetime,
    ) -> Permit:
        """A new permit over the allowed ones among ``grants``."""
        decisions = grants if isinstance(grants, Decisions) else Decisions(grants)
        ends = now + PERMIT_LIFETIME
        permit = Permit(
            _STAMP,
            id=secrets.token_hex(16),
            act=act,
            origin=origin,
            tenant=tenant,
            purpose=purpose,
            subject=subject,
            destination=destination,
            grants=decisions.granted,
            expires_at=min(ends, decisions.changes_at or ends),
        )
        with self._lock:
            self._live = {key: live for key, live in self._live.items() if live.expires_at > now}
            self._live[permit.id] = _Struck(permit.says(), permit.expires_at)
        return permit

    def redeem(self, permit: Permit, now: datetime) -> Redeemed:
        """Use a permit up.

        Raises:
            PermitVoid: ``permit-void``: not struck here, altered, used before, or expired.
        """
        with self._lock:
            struck = self._live.pop(permit.id, None)
        if struck is None or struck.says != permit.says() or now >= struck.expires_at:
            raise PermitVoid(
                "permit-void",
                "A release was attempted without a valid permit; nothing was released.",
                "Ask again; if it happens again, report it as a defect.",
            )
        return Redeemed(_STAMP, permit)


@dataclass(frozen=True)
class OpenedMemory:
    """A memory in plaintext and the form it may leave in. Lives between vault and duties only."""

    memory: Memory
    decision: Decision
    score: float | None = None


@dataclass(frozen=True, eq=False)
class Opened(_Capability):
    """What the vault opened against a redeemed permit."""

    permit: Permit
    items: Sequence[OpenedMemory]


def opened(redeemed: Redeemed, items: Sequence[OpenedMemory]) -> Opened:
    """The vault's step: plaintext, tied to the permit it was opened against."""
    if not isinstance(redeemed, Redeemed):
        raise TypeError("only a redeemed permit opens anything")
    return Opened(_STAMP, redeemed.permit, tuple(items))


@dataclass(frozen=True)
class Shown:
    """One memory as its form shows it: what may leave.

    ``memory`` is ``None`` where the form carries no text, ``vector`` where it carries none.
    The label class always goes along: whoever receives data must know what it is.
    """

    id: str
    form: Form
    label_class: LabelClass
    memory: str | None
    vector: Vector | None
    embedder: str
    score: float | None
    rules: tuple[str, ...]
    facts: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Discharged(_Capability):
    """Data after its duties; not yet released, since its receipt is not yet committed."""

    permit: Permit
    items: Sequence[Shown]
    withheld: Sequence[str]


def taken_in(redeemed: Redeemed, items: Sequence[Shown]) -> Discharged:
    """The vault's step for what another site released to this one: its duties are done already."""
    if not isinstance(redeemed, Redeemed):
        raise TypeError("only a redeemed permit takes anything in")
    return Discharged(_STAMP, redeemed.permit, tuple(items), ())


def discharged(data: Opened, items: Sequence[Shown], withheld: Sequence[str]) -> Discharged:
    """The duties' step. ``withheld`` are ids of memories whose duty could not be done."""
    if not isinstance(data, Opened):
        raise TypeError("only opened data has duties to discharge")
    return Discharged(_STAMP, data.permit, tuple(items), tuple(withheld))


@dataclass(frozen=True, eq=False)
class Release(_Capability):
    """What may leave the process: shown items, and the receipt that is already in the log.

    Each part is what one permit let out; ``part.permit.origin`` names the site it comes from.
    """

    parts: Sequence[Discharged]
    receipt: Committed


def release(parts: Sequence[Discharged], receipt: Committed) -> Release:
    """The last step: the receipt stands in the log, so the data may go."""
    if not all(isinstance(part, Discharged) for part in parts):
        raise TypeError("a release needs discharged data")
    if not isinstance(receipt, Committed):
        raise TypeError("a release needs a committed receipt")
    return Release(_STAMP, tuple(parts), receipt)


@dataclass(frozen=True, eq=False)
class Trained(_Capability):
    """A model update and the label classes of everything that went into it.

    Attributes:
        states: class states of all memories behind it, also of those behind earlier rounds.
        arrays: the update; empty where only a loss was measured.
        facts: what goes out beside it, JSON-ready.
    """

    origin: str
    tenant: str
    states: frozenset[ClassState]
    arrays: bytes
    facts: Mapping[str, Any]


def trained(
    data: Opened,
    used: Sequence[OpenedMemory],
    arrays: bytes,
    facts: Mapping[str, Any],
    now: datetime,
) -> Trained:
    """The trainer's step: an update from some of the memories that a permit to train opened."""
    if not isinstance(data, Opened):
        raise TypeError("only opened data is trained on")
    if data.permit.act is not Act.TRAIN:
        raise TypeError("only memories opened for training make an update")
    if any(all(item is not opened for opened in data.items) for item in used):
        raise TypeError("an update is made from what was opened, and from nothing else")
    states = frozenset(item.memory.label.state(now) for item in used)
    return Trained(_STAMP, data.permit.origin, data.permit.tenant, states, arrays, facts)


@dataclass(frozen=True, eq=False)
class TakenUpdate(_Capability):
    """Another site's update, accepted under a permit to take it in."""

    permit: Permit
    states: frozenset[ClassState]
    arrays: bytes


def update_taken_in(
    redeemed: Redeemed, states: frozenset[ClassState], arrays: bytes
) -> TakenUpdate:
    """The vault's step for an update that another site released to this one."""
    if not isinstance(redeemed, Redeemed):
        raise TypeError("only a redeemed permit takes anything in")
    if redeemed.permit.act is not Act.TAKE_IN:
        raise TypeError("only a redeemed permit takes an update in")
    if not all(state in redeemed.permit.grants for state in states):
        raise TypeError("an update is taken in whole or not at all")
    return TakenUpdate(_STAMP, redeemed.permit, states, arrays)


def combined(
    origin: str, tenant: str, states: frozenset[ClassState], arrays: bytes, facts: Mapping[str, Any]
) -> Trained:
    """What aggregation made: an update that carries the classes of all that went into the run.

    Args:
        states: as the log of this site has them; empty for a new adapter, trained on nothing.
    """
    return Trained(_STAMP, origin, tenant, frozenset(states), arrays, facts)


@dataclass(frozen=True, eq=False)
class ClearedUpdate(_Capability):
    """An update that may go to one site; not yet released, since its receipt is not in the log."""

    permit: Permit
    arrays: bytes
    facts: Mapping[str, Any]


def cleared(redeemed: Redeemed, update: Trained) -> ClearedUpdate:
    """The vault's step: the permit to send covers every class that went into the update."""
    if not isinstance(redeemed, Redeemed):
        raise TypeError("only a redeemed permit clears an update")
    if redeemed.permit.act is not Act.SEND_UPDATE:
        raise TypeError("only a redeemed permit to send clears an update")
    if not isinstance(update, Trained):
        raise TypeError("only a trained update is cleared")
    permit = redeemed.permit
    if (permit.origin, permit.tenant) != (update.origin, update.tenant) or not all(
        state in permit.grants for state in update.states
    ):
        raise PermitVoid(
            "permit-void",
            "A permit does not cover everything that an update was trained on; it was not sent.",
            "Report it as a defect.",
        )
    return ClearedUpdate(_STAMP, permit, update.arrays, update.facts)


@dataclass(frozen=True, eq=False)
class UpdateRelease(_Capability):
    """A model update that may leave: its receipt is already in the log."""

    part: ClearedUpdate
    receipt: Committed


def release_update(part: ClearedUpdate, receipt: Committed) -> UpdateRelease:
    """The last step of an update."""
    if not isinstance(part, ClearedUpdate):
        raise TypeError("only a cleared update is released")
    if not isinstance(receipt, Committed):
        raise TypeError("a release needs a committed receipt")
    return UpdateRelease(_STAMP, part, receipt)
