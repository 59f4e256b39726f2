"""Whose row each slot is and what its label says: turns a scope into the slots it allows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from memory_fabric.adapters.search.growing import Growing, Slots
from memory_fabric.core.labels import ClassState, LabelClass
from memory_fabric.core.memory import MemoryType
from memory_fabric.core.records import IndexRow, Scope

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEVER = np.iinfo(np.int64).max
_TYPES = {memory_type: number for number, memory_type in enumerate(MemoryType)}
_GONE = -1


class Rows:
    """Labels, types and times by slot, as arrays; rows themselves without text and vector."""

    def __init__(self) -> None:
        self._rows: list[IndexRow | None] = []
        self._slots: dict[bytes, int] = {}
        self._names: dict[tuple[str, str], int] = {}
        self._subjects: defaultdict[tuple[str, str], Growing] = defaultdict(_new_slots)
        self._classes: dict[LabelClass, int] = {}
        self._class = Growing(np.int32)
        self._type = Growing(np.int8)
        self._created = Growing(np.int64)
        self._expires = Growing(np.int64)
        self._written = Growing(np.int64)

    def __len__(self) -> int:
        """Rows that are there."""
        return len(self._slots)

    @property
    def slots(self) -> int:
        """Slots, with and without a row."""
        return len(self._rows)

    @property
    def gone(self) -> int:
        """Slots whose row was removed or replaced."""
        return len(self._rows) - len(self._slots)

    def slot(self, rid: bytes) -> int | None:
        """Where the row is."""
        return self._slots.get(rid)

    def named(self, tenant: str, memory_id: str) -> IndexRow | None:
        """The row of a memory."""
        slot = self._names.get((tenant, memory_id))
        return None if slot is None else self._rows[slot]

    def row(self, slot: int) -> IndexRow:
        """The row in a slot that has one."""
        row = self._rows[slot]
        if row is None:
            raise LookupError("the slot is empty")
        return row

    def add(self, rows: Sequence[IndexRow]) -> None:
        """Append rows in the next slots, leaving the slots of those with the same ``rid``.

        A replaced row keeps its place in the order of writing, so that paging misses none.
        """
        written = [self._written.view[slot] if slot is not None else len(self._rows) + at
                   for at, slot in enumerate(self.slot(row.rid) for row in rows)]  # fmt: skip
        self.remove([row.rid for row in rows])
        self._append(rows, np.array(written, np.int64))

    def written(self, slots: Slots) -> npt.NDArray[np.int64]:
        """A number for each slot that grows with when its row was first written."""
        numbers: npt.NDArray[np.int64] = self._written.view[slots]
        return numbers

    @classmethod
    def thawed(cls, rows: Sequence[IndexRow], written: npt.NDArray[np.int64]) -> Rows:
        """Rows that were written in this order, and lie in the order in which they are given."""
        fresh = cls()
        fresh._append(rows, written)
        return fresh

    def remove(self, rids: Sequence[bytes]) -> Slots:
        """Empty the slots of these rows; unknown ids are ignored. The slots."""
        slots = [slot for rid in rids if (slot := self._slots.pop(rid, None)) is not None]
        touched: set[tuple[str, str]] = set()
        for slot in slots:
            row = self.row(slot)
            key = (row.label.tenant, row.memory_id)
            if self._names.get(key) == slot:
                del self._names[key]
            touched.update((row.label.tenant, subject) for subject in row.label.subjects)
            self._rows[slot] = None
        found = np.array(slots, np.int64)
        self._class.view[found] = _GONE
        for tenant, subject in touched:
            if not len(self.of_subject(tenant, subject)):
                self._subjects.pop((tenant, subject), None)
        return found

    def compacted(self, kept: Slots) -> Rows:
        """Only these slots, numbered anew in the same order."""
        fresh = Rows()
        fresh._append([self.row(int(slot)) for slot in kept], self._written.view[kept])
        return fresh

    def kept(self) -> Slots:
        """Slots that hold a row, ascending."""
        return np.flatnonzero(self._class.view != _GONE)

    def of_subject(self, tenant: str, subject: str) -> Slots:
        """Slots of the rows about a subject, ascending."""
        if (tenant, subject) not in self._subjects:
            return np.empty(0, np.int64)
        slots: Slots = self._subjects[tenant, subject].view
        held: Slots = slots[self._class.view[slots] != _GONE]
        return held

    def allowed(self, scope: Scope) -> Slots:
        """Slots that the scope allows, ascending."""
        now = microseconds(scope.now)
        permitted = np.zeros(2 * len(self._classes) + 2, np.bool_)  # the last two are _GONE's
        for state in scope.states:
            number = self._classes.get(state.label_class)
            if number is not None and state.label_class.tenant == scope.tenant:
                permitted[2 * number + state.retention_over] = True
        if scope.subject is None:
            slots = np.flatnonzero(permitted[self._state(slice(None), now)])
        else:
            slots = self.of_subject(scope.tenant, scope.subject)
            slots = slots[permitted[self._state(slots, now)]]
        if scope.memory_types:
            types = np.array([_TYPES[wanted] for wanted in scope.memory_types], np.int8)
            slots = slots[np.isin(self._type.view[slots], types)]
        if scope.created_after is not None:
            slots = slots[self._created.view[slots] >= microseconds(scope.created_after)]
        if scope.created_before is not None:
            slots = slots[self._created.view[slots] < microseconds(scope.created_before)]
        return slots

    def states(self, tenant: str, now: datetime) -> frozenset[ClassState]:
        """The class states that occur among a tenant's rows."""
        codes = self._state(slice(None), microseconds(now))
        counts = np.bincount(codes[codes >= 0], minlength=2 * len(self._classes))
        return frozenset(
            ClassState(label_class, over)
            for label_class, number in self._classes.items()
            for over in (False, True)
            if label_class.tenant == tenant and counts[2 * number + over]
        )

    def in_order(self, slots: Slots) -> Slots:
        """The slots by when their row was first written."""
        return slots[np.lexsort((self._written.view[slots], self._created.view[slots]))]

    def follows(self, slots: Slots, slot: int) -> npt.NDArray[np.bool_]:
        """Which slots come after this one in the order of writing."""
        created, written = self._created.view, self._written.view
        later = created[slots] > created[slot]
        same = created[slots] == created[slot]
        follows: npt.NDArray[np.bool_] = later | (same & (written[slots] > written[slot]))
        return follows

    def _state(self, slots: Slots | slice, now: int) -> npt.NDArray[np.int32]:
        """Twice the class number, plus one where retention is over; negative where gone."""
        over = self._expires.view[slots] <= now
        codes: npt.NDArray[np.int32] = 2 * self._class.view[slots] + over
        return codes

    def _append(self, rows: Sequence[IndexRow], written: npt.NDArray[np.int64]) -> None:
        first = len(self._rows)
        subjects: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
        for slot, row in enumerate(rows, first):
            self._slots[row.rid] = slot
            self._names[row.label.tenant, row.memory_id] = slot
            for subject in row.label.subjects:
                subjects[row.label.tenant, subject].append(slot)
        for key, slots in subjects.items():
            self._subjects[key].extend(slots)
        self._rows += [replace(row, text="", vector=b"") for row in rows]
        labels = [row.label for row in rows]
        self._class.extend([self._number(label.label_class) for label in labels])
        self._type.extend([_TYPES[row.memory_type] for row in rows])
        self._created.extend([microseconds(row.created_at) for row in rows])
        self._expires.extend([microseconds(label.expires_at) for label in labels])
        self._written.extend(written)

    def _number(self, label_class: LabelClass) -> int:
        return self._classes.setdefault(label_class, len(self._classes))


def microseconds(moment: datetime | None) -> int:
    """Whole microseconds since 1970; ``None`` is later than everything."""
    return int(_NEVER) if moment is None else (moment - _EPOCH) // timedelta(microseconds=1)


def _new_slots() -> Growing:
    return Growing(np.int64)
