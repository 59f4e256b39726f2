"""The vault: memories in, sealed records out; and back only against a permit."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from memory_fabric.core.access import Act, Decision
from memory_fabric.core.errors import NotFound
from memory_fabric.core.labels import ClassState
from memory_fabric.core.memory import Memory
from memory_fabric.core.records import RID_BYTES, IndexRow, SealedRecord
from memory_fabric.gate.permits import (
    ClearedUpdate,
    Discharged,
    Mint,
    Opened,
    OpenedMemory,
    Permit,
    PermitVoid,
    Redeemed,
    Shown,
    TakenUpdate,
    Trained,
    cleared,
    opened,
    taken_in,
    update_taken_in,
)
from memory_fabric.vault.binding import bind, derive
from memory_fabric.vault.keyring import Keyring
from memory_fabric.vault.sealing import Sealer, Unsealed

_OPENING = frozenset({Act.RECALL, Act.EXPORT, Act.TRAIN, Act.RELABEL})
_VOUCHING = frozenset({Act.QUERY})
_NO_SCORES: Mapping[bytes, float] = MappingProxyType({})


@dataclass(frozen=True)
class Indexed:
    """What the searchable copy is rebuilt from.

    Attributes:
        rows: one for each record that can be opened, in order.
        closed: ids of records that an erased subject closed.
    """

    rows: list[IndexRow]
    closed: list[bytes]


class Vault:
    """Seals a site's memories and opens them against permits. Safe to share between threads.

    Args:
        keyring: the site's keys.
        mint: redeems the permits that the gate struck.
        table: name of the stack's table, part of what every seal is bound to.
        log_size: tells how many receipts the site's log has; sealed into every record.
    """

    def __init__(
        self,
        keyring: Keyring,
        mint: Mint,
        table: str = "memories",
        log_size: Callable[[], int] = lambda: 0,
    ) -> None:
        self._log_size = log_size
        self._keyring = keyring
        self._mint = mint
        self._sealer = Sealer(keyring, table)

    def seal(self, memories: Sequence[Memory]) -> list[SealedRecord]:
        """New records, one a memory, in order. Missing keys are made first, in one write."""
        about = {(memory.label.tenant, memory.label.subjects): None for memory in memories}
        self._keyring.ensure(
            (tenant, subject) for tenant, subjects in about for subject in subjects or (None,)
        )
        drawn = os.urandom(RID_BYTES * len(memories))
        rids = [drawn[at : at + RID_BYTES] for at in range(0, len(drawn), RID_BYTES)]
        return self._sealer.seal(
            [Unsealed(rid, 1, memory) for rid, memory in zip(rids, memories, strict=True)],
            self._log_size(),
        )

    def reseal(self, changes: Sequence[tuple[SealedRecord, Memory]]) -> list[SealedRecord]:
        """The next version of records whose memories changed.

        Raises:
            NotFound: ``subject-unknown``: a subject was erased meanwhile; nothing comes back.
        """
        return self._sealer.seal(
            [Unsealed(old.rid, old.version + 1, memory) for old, memory in changes],
            self._log_size(),
        )

    def index_rows(self, records: Iterable[SealedRecord]) -> Indexed:
        """Rows for the searchable copy, which lives in this process's memory only.

        Raises:
            IntegrityViolated: ``record-damaged`` names the record; ``keyring-damaged``.
        """
        indexed = Indexed([], [])
        for record in records:
            memory = self._open(record)
            if memory is None:
                indexed.closed.append(record.rid)
            else:
                indexed.rows.append(_row(record.rid, memory))
        return indexed

    def sealed_at(self, record: SealedRecord) -> int:
        """How many receipts the site's log had when the record was sealed.

        Raises:
            IntegrityViolated: ``record-damaged``: nobody with this site's keys sealed it.
        """
        return self._sealer.header(record).log_size

    def open(
        self,
        permit: Permit,
        records: Sequence[SealedRecord],
        scores: Mapping[bytes, float] = _NO_SCORES,
        *,
        now: datetime,
    ) -> Opened:
        """The memories that the permit covers, each with the decision on its class.

        Whatever the permit does not grant (another tenant, another subject, a class or retention
        state that was not decided) and whatever is closed by an erasure is left out.

        Args:
            permit: what policy allowed; used up by this.
            records: sealed; a search found them.
            scores: by record id.
            now: decides which memories are past their retention.

        Raises:
            PermitVoid: forged, altered, used, expired, or for an act that reads nothing.
            IntegrityViolated: ``record-damaged``, ``keyring-damaged``.
        """
        redeemed = self._redeem(permit, now, _OPENING)
        items = []
        for record in records:
            memory = self._open(record)
            decision = memory and _granted(permit, memory, now)
            if memory and decision:
                items.append(OpenedMemory(memory, decision, scores.get(record.rid)))
        return opened(redeemed, items)

    def vouch(self, permit: Permit, memory: Memory, now: datetime) -> Opened:
        """Take data that is not at rest, such as a query, into the chain towards a release.

        Raises:
            PermitVoid: forged, altered, used, expired, or for an act on stored memories.
        """
        redeemed = self._redeem(permit, now, _VOUCHING)
        decision = _granted(permit, memory, now)
        return opened(redeemed, [OpenedMemory(memory, decision)] if decision else [])

    def take_in(self, permit: Permit, items: Sequence[Shown], now: datetime) -> Discharged:
        """Accept what another site released to this one, as far as the permit covers it.

        Raises:
            PermitVoid: forged, altered, used, expired, or not for taking in.
        """
        redeemed = self._redeem(permit, now, frozenset({Act.TAKE_IN}))
        granted = [item for item in items if ClassState(item.label_class) in permit.grants]
        return taken_in(redeemed, granted)

    def clear_update(self, permit: Permit, update: Trained, now: datetime) -> ClearedUpdate:
        """Take a trained update into the chain towards its release to the permit's destination.

        Raises:
            PermitVoid: forged, altered, used, expired, not for sending updates, or it does not
                cover every class that the update was trained on.
        """
        return cleared(self._redeem(permit, now, frozenset({Act.SEND_UPDATE})), update)

    def take_in_update(
        self, permit: Permit, states: frozenset[ClassState], arrays: bytes, now: datetime
    ) -> TakenUpdate:
        """Accept an update that another site released to this one: whole or not at all.

        Raises:
            PermitVoid: forged, altered, used, expired, not for taking in, or not covering it.
        """
        redeemed = self._redeem(permit, now, frozenset({Act.TAKE_IN}))
        if not all(state in permit.grants for state in states):
            raise _misused()
        return update_taken_in(redeemed, states, arrays)

    def name_for(self, tenant: str, content: bytes) -> str:
        """An id for a memory that came without one: the same for the same content at this site, and
        telling nothing of it, since it is a keyed hash.
        """
        key = derive(self._keyring.table_key, bind("memory-fabric/imported-id/1"))
        return hmac.digest(key, bind(tenant, content), "sha256")[:12].hex()

    def key_ids(self, tenant: str, subject: str) -> list[bytes]:
        """What to destroy to erase a subject: opaque ids, fit for a receipt."""
        return self._keyring.key_ids(tenant, subject)

    def destroy(self, permit: Permit, key_ids: Sequence[bytes], now: datetime) -> int:
        """Destroy keys of the subject that the permit names; what they sealed is closed at once.

        Returns:
            How many of them were there.

        Raises:
            PermitVoid: forged, altered, used, expired, or not for erasing this subject.
        """
        self._redeem(permit, now, frozenset({Act.ERASE}))
        covered = self._keyring.key_ids(permit.tenant, permit.subject) if permit.subject else []
        if any(key_id not in covered and self._keyring.holds(key_id) for key_id in key_ids):
            raise _misused()
        return self._keyring.destroy_keys(key_ids)

    def _redeem(self, permit: Permit, now: datetime, acts: frozenset[Act]) -> Redeemed:
        redeemed = self._mint.redeem(permit, now)
        if permit.act not in acts:
            raise _misused()
        return redeemed

    def _open(self, record: SealedRecord) -> Memory | None:
        """The memory, or ``None`` where a key of it is destroyed."""
        header = self._sealer.header(record)
        keys = []
        for key_id in header.key_ids:
            key = self._keyring.by_id(key_id)
            if key is None:
                return None
            keys.append(key)
        try:
            return self._sealer.body(record, header, keys)
        except NotFound:  # erased since the line above
            return None


def _granted(permit: Permit, memory: Memory, now: datetime) -> Decision | None:
    """The permit's decision on this memory; ``None`` where it does not cover it."""
    label = memory.label
    if label.tenant != permit.tenant:
        return None
    if permit.subject is not None and permit.subject not in label.subjects:
        return None
    return permit.grants.get(label.state(now))


def _row(rid: bytes, memory: Memory) -> IndexRow:
    return IndexRow(
        rid=rid,
        memory_id=memory.id,
        text=memory.text,
        vector=memory.vector,
        label=memory.label,
        memory_type=memory.memory_type,
        created_at=memory.created_at,
        leased=memory.leased,
    )


def _misused() -> PermitVoid:
    return PermitVoid(
        "permit-void",
        "A permit was used for something else than it was given for; nothing was done.",
        "Report it as a defect.",
    )
