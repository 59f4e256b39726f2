"""The searchable copy by brute force, and rows to put into it."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from memory_fabric.core.errors import InputError
from memory_fabric.core.labels import ClassState, DataClass, Label
from memory_fabric.core.memory import Leased, MemoryType, Vector
from memory_fabric.core.places import Region
from memory_fabric.core.records import Hit, IndexRow, Scope

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
DIM = 16
_rids = itertools.count(1)


def unit(*numbers: float, dim: int = DIM) -> Vector:
    """A unit vector in the direction of the given first coordinates."""
    padded = np.zeros(dim)
    padded[: len(numbers)] = numbers
    return (padded / np.linalg.norm(padded)).astype("<f4").tobytes()


def label(
    *subjects: str,
    tenant: str = "acme",
    purpose: str = "care",
    expires_at: datetime | None = None,
) -> Label:
    """A label with the fields that searching looks at."""
    return Label(
        home=Region("DE"),
        tenant=tenant,
        data_class=DataClass.CONFIDENTIAL,
        personal=True,
        purposes=frozenset({purpose}),
        subjects=subjects,
        expires_at=expires_at,
    )


def row(
    text: str = "some text",
    vector: Vector | None = None,
    labelled: Label | None = None,
    *,
    memory_id: str | None = None,
    memory_type: MemoryType = MemoryType.EPISODIC,
    created_at: datetime = NOON,
) -> IndexRow:
    """A row with a record id of its own."""
    number = next(_rids)
    return IndexRow(
        rid=number.to_bytes(16, "big"),
        memory_id=memory_id or f"memory-{number}",
        text=text,
        vector=vector or unit(1.0),
        label=labelled or label(),
        memory_type=memory_type,
        created_at=created_at,
    )


def scope(*labels: Label, subject: str | None = None, now: datetime = NOON) -> Scope:
    """A scope over the live classes of these labels (the plain one where none is given)."""
    chosen = labels or (label(),)
    states = frozenset(ClassState(one.label_class) for one in chosen)
    return Scope(tenant=chosen[0].tenant, states=states, subject=subject, now=now)


def frozen_rows(rows: Sequence[IndexRow]) -> bytes:
    """Rows as JSON."""
    found = [
        (row.rid.hex(), row.memory_id, row.label.to_json(), str(row.memory_type),
         row.created_at.isoformat(), row.leased and row.leased.to_json())
        for row in rows
    ]  # fmt: skip
    return json.dumps(found).encode()


def thawed_rows(block: bytes) -> list[IndexRow]:
    """The inverse of ``frozen_rows``."""
    return [
        IndexRow(
            bytes.fromhex(rid), name, "", b"", Label.from_json(label), MemoryType(kind),
            datetime.fromisoformat(created), Leased(**leased) if leased else None,
        )
        for rid, name, label, kind, created, leased in json.loads(block)
    ]  # fmt: skip


class BruteSearchCopy:
    """The port ``SearchCopy`` in the plainest way: look at every row, every time."""

    def __init__(self, dim: int = DIM) -> None:
        self._dim = dim
        self._rows: dict[bytes, IndexRow] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: Sequence[IndexRow]) -> None:
        for one in rows:
            self._numbers(one.vector)
        self._rows.update((one.rid, one) for one in rows)

    def remove(self, rids: Sequence[bytes]) -> None:
        for rid in rids:
            self._rows.pop(rid, None)

    def search(
        self, text: str | None, vector: Vector | None, scope: Scope, limit: int
    ) -> list[Hit]:
        if text is None and vector is None:
            raise InputError("query-missing", "Neither text nor vector.", "Give one.")
        query = None if vector is None else self._numbers(vector)
        hits = []
        for one in self._within(scope):
            parts = []
            if query is not None:
                parts.append(float(self._numbers(one.vector) @ query))
            if text is not None:
                asked = set(text.lower().split())
                parts.append(len(asked & set(one.text.lower().split())) / max(len(asked), 1))
            score = min(max(sum(parts) / len(parts), 0.0), 1.0)
            if vector is not None or score:
                hits.append(Hit(one.rid, score))
        return sorted(hits, key=lambda hit: -hit.score)[:limit]

    def states(self, tenant: str, now: datetime) -> frozenset[ClassState]:
        return frozenset(one.label.state(now) for one in self._of(tenant))

    def find(self, tenant: str, memory_id: str) -> IndexRow | None:
        named = (one for one in self._of(tenant) if one.memory_id == memory_id)
        found = next(named, None)
        return found and replace(found, text="", vector=b"")

    def named(self, tenant: str, memory_ids: Sequence[str]) -> set[str]:
        return {one.memory_id for one in self._of(tenant)} & set(memory_ids)

    def row(self, rid: bytes) -> IndexRow | None:
        found = self._rows.get(rid)
        return found and replace(found, text="", vector=b"")

    def of_subject(self, tenant: str, subject: str) -> list[IndexRow]:
        about = (one for one in self._of(tenant) if subject in one.label.subjects)
        return [replace(one, text="", vector=b"") for one in about]

    def page(self, scope: Scope, after: bytes | None, limit: int) -> list[bytes]:
        rids = [one.rid for one in sorted(self._within(scope), key=lambda one: one.created_at)]
        if after is not None and after not in rids:
            raise InputError("cursor-unknown", "The cursor's memory is gone.", "Start again.")
        return rids[rids.index(after) + 1 if after else 0 :][:limit]

    def rids(self) -> bytes:
        return b"".join(self._rows)

    def reserve(self, rows: int, characters: int, again: bool = False) -> None:
        pass

    def memory(self) -> Mapping[str, int]:
        return {"rows": sum(len(one.text) + len(one.vector) for one in self._rows.values())}

    def freeze(self) -> Iterator[tuple[str, memoryview]]:
        rows = list(self._rows.values())
        texts = json.dumps([(one.text, one.vector.hex()) for one in rows]).encode()
        parts = {"dim": bytes([self._dim]), "rows": frozen_rows(rows), "texts": texts}
        return ((name, memoryview(part)) for name, part in parts.items())

    def thaw(self, parts: Iterable[tuple[str, bytes | bytearray | memoryview]]) -> None:
        taken = dict(parts)
        try:
            if taken["dim"] != bytes([self._dim]):
                raise ValueError("the vectors have another length")
            texts = json.loads(taken["texts"])
            rows = thawed_rows(taken["rows"])
        except KeyError as error:
            raise ValueError("a part is missing") from error
        for one, (text, vector) in zip(rows, texts, strict=True):
            self._rows[one.rid] = replace(one, text=text, vector=bytes.fromhex(vector))

    def _of(self, tenant: str) -> list[IndexRow]:
        return [one for one in self._rows.values() if one.label.tenant == tenant]

    def _within(self, scope: Scope) -> list[IndexRow]:
        return [
            one
            for one in self._of(scope.tenant)
            if one.label.state(scope.now) in scope.states
            and (scope.subject is None or scope.subject in one.label.subjects)
            and (not scope.memory_types or one.memory_type in scope.memory_types)
            and (scope.created_after is None or one.created_at >= scope.created_after)
            and (scope.created_before is None or one.created_at < scope.created_before)
        ]

    def _numbers(self, vector: Vector) -> np.ndarray:
        if len(vector) != 4 * self._dim:
            raise InputError("vector-dimension", "A vector has another length.", "Embed again.")
        numbers = np.frombuffer(vector, "<f4")
        if not np.isfinite(numbers).all():
            raise InputError("vector-not-finite", "A vector is not finite.", "Embed again.")
        return numbers
