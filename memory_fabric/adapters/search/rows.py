"""Who is in which slot, and what its label says: columns, and rows made of them when asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt

from memory_fabric.adapters.search.columns import (
    Finder,
    Growing,
    Interned,
    Slots,
    Strings,
    name_keys,
    taken,
)
from memory_fabric.core.labels import Label, LabelClass
from memory_fabric.core.memory import Leased, MemoryType
from memory_fabric.core.records import RID_BYTES, IndexRow

NEVER = np.iinfo(np.int64).max
"""The end of a retention that has none."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TYPES = tuple(MemoryType)
_NUMBERS = {memory_type: number for number, memory_type in enumerate(_TYPES)}
_SPREAD = np.int64(0x9E3779B97F4A7C15 - (1 << 64))  # odd, so that both halves of a rid count

Arrays = dict[str, npt.NDArray[Any]]


class Rows:
    """Rows without text and vector, by slot. A slot whose row is gone stays empty.

    About 140 bytes a row besides its id and its subjects' names.
    """

    def __init__(self) -> None:
        self._rids = Growing(np.uint8, RID_BYTES)
        self._by_rid = Finder()
        self._names = Strings()
        self._by_name = Finder()
        self._classes: dict[LabelClass, int] = {}
        self._class_of: list[LabelClass] = []
        self._tenants: dict[str, int] = {}
        self._tenant_of = Growing(np.int32)
        self.label_class = Growing(np.int32)
        self.kind = Growing(np.int8)
        self.created = Growing(np.int64)
        self.expires = Growing(np.int64)
        self.held = Growing(np.bool_)
        self._written = Growing(np.int64)
        self._subjects = Interned()
        self._about = Growing(np.int32)
        self._about_ends = Growing(np.int64)
        self._leased = Strings()
        self._sorted = np.empty((2, 0), np.int32)
        self._count = 0
        self._next = 0

    def __len__(self) -> int:
        """Rows that are there."""
        return self._count

    @property
    def slots(self) -> int:
        """Slots, with and without a row."""
        return len(self.held)

    @property
    def gone(self) -> int:
        """Slots whose row was removed or replaced."""
        return self.slots - self._count

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken."""
        parts = (
            self._rids, self._by_rid, self._names, self._by_name, self._tenant_of,
            self.label_class, self.kind, self.created, self.expires, self.held, self._written,
            self._subjects, self._about, self._about_ends, self._leased, self._sorted,
        )  # fmt: skip
        return sum(part.nbytes for part in parts)

    @property
    def classes(self) -> Mapping[LabelClass, int]:
        """Label classes of the rows there are or were, with the numbers that stand for them."""
        return self._classes

    def slot(self, rid: bytes) -> int | None:
        """Where the row is."""
        found = self.slots_of([rid])
        return int(found[0]) if len(found) else None

    def slots_of(self, rids: Sequence[bytes]) -> Slots:
        """Slots of the rows with these ids, in this order; unknown ones are left out."""
        sound = [rid for rid in rids if len(rid) == RID_BYTES]
        given = np.frombuffer(b"".join(sound), np.uint8).reshape(-1, RID_BYTES)
        found = self._by_rid.slots(_rid_keys(given))
        known = found >= 0
        found, given = found[known], given[known]
        right = (self._rids.view[found] == given).all(1) & self.held.view[found]
        slots: Slots = found[right]
        return slots

    def named(self, tenant: str, memory_id: str) -> int | None:
        """Where the row of a memory is."""
        number, name = self._tenants.get(tenant), memory_id.encode()
        if number is None:
            return None
        slot = self._by_name.slot(hash(name) ^ _mixed(number))
        if slot is None or not self.held.view[slot] or self._names[slot] != name:
            return None
        return slot

    def known(self, tenant: str, memory_ids: Sequence[str]) -> set[str]:
        """Those of these ids that rows of the tenant have."""
        number = self._tenants.get(tenant)
        if number is None:
            return set()
        keys = name_keys([memory_id.encode() for memory_id in memory_ids]) ^ _mixed(number)
        likely = np.flatnonzero(self._by_name.slots(keys) >= 0).tolist()
        return {memory_ids[at] for at in likely if self.named(tenant, memory_ids[at]) is not None}

    def tenant(self, slot: int) -> str:
        """Whose the row in a slot is."""
        own: LabelClass = self._class_of[self.label_class.view[slot]]
        return own.tenant

    def all_rids(self) -> bytes:
        """The record ids of all rows, end to end."""
        return bytes(self._rids.view[self.held.view].tobytes())

    def rids(self, slots: Slots) -> list[bytes]:
        """The record ids in these slots."""
        block = self._rids.view[slots].tobytes()
        return [block[at : at + RID_BYTES] for at in range(0, len(block), RID_BYTES)]

    def row(self, slot: int) -> IndexRow:
        """The row in a slot that has one."""
        label_class = self._class_of[self.label_class.view[slot]]
        ends = self._about_ends.view
        about = self._about.view[ends[slot - 1] if slot else 0 : ends[slot]].tolist()
        subjects = [self._subjects.strings[number] for number in about]
        expires, leased = int(self.expires.view[slot]), self._leased[slot]
        return IndexRow(
            rid=self._rids.view[slot].tobytes(),
            memory_id=self._names[slot].decode(),
            text="",
            vector=b"",
            label=Label(
                label_class.home, label_class.tenant, label_class.data_class, label_class.personal,
                label_class.purposes, label_class.special, label_class.consent,
                label_class.legal_hold, None if expires == NEVER else moment(expires),
                tuple(subject.partition(b"\0")[2].decode() for subject in subjects),
            ),
            memory_type=_TYPES[self.kind.view[slot]],
            created_at=moment(int(self.created.view[slot])),
            leased=Leased(*json.loads(leased)) if leased else None,
        )  # fmt: skip

    def of_subject(self, tenant: str, subject: str) -> Slots:
        """Slots of the rows about a subject, ascending."""
        number = self._subjects.find(_subject_key(tenant, subject))
        if number is None:
            return np.empty(0, np.int64)
        numbers, slots = self._sorted
        first, last = np.searchsorted(numbers, [number, number + 1])
        late = len(numbers) + np.flatnonzero(self._about.view[len(numbers) :] == number)
        late_slots = np.searchsorted(self._about_ends.view, late, "right")
        found = np.concatenate([slots[first:last].astype(np.int64), late_slots])
        kept: Slots = found[self.held.view[found]]
        return kept

    def kinds(self, wanted: Iterable[MemoryType]) -> npt.NDArray[np.int8]:
        """The numbers that stand for memory types."""
        return np.array([_NUMBERS[kind] for kind in wanted], np.int8)

    def kept(self) -> Slots:
        """Slots that hold a row, ascending."""
        return np.flatnonzero(self.held.view)

    def earliest(self, slots: Slots, after: int | None, limit: int) -> Slots:
        """The first slots in the order in which their rows were created and written.

        Args:
            after: only those that come after this slot.
        """
        created, written = self.created.view, self._written.view
        if after is not None:
            same = created[slots] == created[after]
            later = (created[slots] > created[after]) | (same & (written[slots] > written[after]))
            slots = slots[later]
        if len(slots) > 4 * limit > 0:  # do not sort all for a page of them
            times = created[slots]
            cut = np.partition(times, limit - 1)[limit - 1]
            before, at = slots[times < cut], slots[times == cut]
            if len(at) > limit:
                last = np.partition(written[at], limit - 1)[limit - 1]
                at = at[written[at] <= last]
            slots = np.concatenate([before, at])
        return slots[np.lexsort((written[slots], created[slots]))][:limit]

    def add(self, rows: Sequence[IndexRow]) -> Slots:
        """Append rows with different ids in the next slots; the slots of those that they replace.

        A replaced row keeps its place in the order of writing, so that paging misses none.
        """
        rids = np.frombuffer(b"".join([row.rid for row in rows]), np.uint8)
        rids = rids.reshape(-1, RID_BYTES)
        keys = _rid_keys(rids)
        older = self._by_rid.slots(keys)
        replacing = older >= 0
        replacing[replacing] = self.held.view[older[replacing]]
        older = older[replacing]
        written = np.arange(self._next, self._next + len(rows))
        written[replacing] = self._written.view[older]
        self._next += len(rows)
        self._empty(older)

        labels = [row.label for row in rows]
        classes = _each(labels, attrgetter("label_class"), self._class_number)
        tenants = _each(labels, attrgetter("tenant"), self._tenant_number)
        names = [row.memory_id.encode() for row in rows]
        subjects = [
            self._subjects.number(_subject_key(label.tenant, subject))
            for label in labels
            for subject in label.subjects
        ]
        counts = np.fromiter((len(label.subjects) for label in labels), np.int64, len(rows))
        self._rids.extend(rids)
        self._by_rid.extend(keys)
        self._names.extend(names)
        self._by_name.extend(name_keys(names) ^ _mixed(np.array(tenants, np.int64)))
        self._tenant_of.extend(tenants)
        self.label_class.extend(classes)
        self.kind.extend(_each(rows, attrgetter("memory_type"), _NUMBERS.__getitem__))
        self.created.extend(_each(rows, attrgetter("created_at"), microseconds))
        self.expires.extend(_each(labels, attrgetter("expires_at"), microseconds))
        self._written.extend(written)
        self._about.extend(subjects)
        self._about_ends.extend(len(self._about) - counts.sum() + np.cumsum(counts))
        self._leased.extend([_leased(row.leased) if row.leased else b"" for row in rows])
        self.held.extend(np.ones(len(rows), np.bool_))
        self._count += len(rows)
        if len(self._about) > 2 * self._sorted.shape[1] + 1024:
            self._sort_subjects()
        return older

    def remove(self, rids: Sequence[bytes]) -> Slots:
        """Empty the slots of these rows; unknown ids are ignored. The slots."""
        slots = np.unique(self.slots_of(rids))
        self._empty(slots)
        return slots

    def frozen(self) -> Callable[[Slots], Arrays]:
        """What makes columns of some slots there are now; may be called when more has changed."""
        columns = {
            "rids": self._rids, "class": self.label_class, "tenant": self._tenant_of,
            "kind": self.kind, "created": self.created, "expires": self.expires,
            "written": self._written,
        }  # fmt: skip
        views = {name: column.view for name, column in columns.items()}
        lists = {
            name: (block, ends)
            for name, block, ends in (
                ("names", self._names.block, self._names.ends),
                ("about", self._about.view, self._about_ends.view),
                ("leased", self._leased.block, self._leased.ends),
            )
        }
        subjects = self._subjects.strings
        known = (subjects.block, subjects.ends)
        table = [label_class.to_json() for label_class in self._class_of], list(self._tenants)
        words = np.frombuffer(json.dumps(table).encode(), np.uint8)

        def columns_of(kept: Slots) -> Arrays:
            found = {name: view[kept] for name, view in views.items()}
            for name, (block, ends) in lists.items():
                found[name], found[f"{name}-ends"] = taken(block, ends, kept)
            # only who is still spoken of is named
            about, found["about"] = np.unique(found["about"], return_inverse=True)
            found["about"] = found["about"].astype(np.int32)
            found["subjects"], found["subjects-ends"] = taken(*known, about.astype(np.int64))
            return {"words": words, **found}

        return columns_of

    @classmethod
    def thawed(cls, parts: Arrays) -> Rows:
        """Rows of the columns that ``frozen`` made."""
        fresh = cls()
        classes, tenants = json.loads(parts["words"].tobytes())
        fresh._class_of = [LabelClass.from_json(one) for one in classes]
        fresh._classes = {one: number for number, one in enumerate(fresh._class_of)}
        fresh._tenants = {tenant: at for at, tenant in enumerate(tenants)}
        fresh._rids, fresh._tenant_of = Growing.of(parts["rids"]), Growing.of(parts["tenant"])
        fresh._by_rid = Finder(_rid_keys(parts["rids"]))
        fresh._names = Strings.of(parts["names"], parts["names-ends"])
        mixed = _mixed(parts["tenant"].astype(np.int64))
        fresh._by_name = Finder(name_keys(fresh._names.all()) ^ mixed)
        fresh.label_class, fresh.kind = Growing.of(parts["class"]), Growing.of(parts["kind"])
        fresh.created, fresh.expires = Growing.of(parts["created"]), Growing.of(parts["expires"])
        fresh.held = Growing.of(np.ones(len(parts["rids"]), np.bool_))
        fresh._written = Growing.of(parts["written"])
        fresh._subjects = Interned(Strings.of(parts["subjects"], parts["subjects-ends"]))
        fresh._about = Growing.of(parts["about"])
        fresh._about_ends = Growing.of(parts["about-ends"])
        fresh._leased = Strings.of(parts["leased"], parts["leased-ends"])
        fresh._count = len(fresh.held)
        fresh._next = int(parts["written"].max(initial=-1)) + 1
        fresh._sort_subjects()
        return fresh

    def _empty(self, slots: Slots) -> None:
        self.held.view[slots] = False
        self._count -= len(slots)

    def _sort_subjects(self) -> None:
        """Put who is spoken of in order, so that a subject's rows are found without a scan."""
        about = self._about.view
        order = np.argsort(about, kind="stable")
        slots = np.repeat(np.arange(self.slots, dtype=np.int32),
                          np.diff(self._about_ends.view, prepend=0))  # fmt: skip
        self._sorted = np.stack([about[order], slots[order]])

    def _class_number(self, label_class: LabelClass) -> int:
        number = self._classes.setdefault(label_class, len(self._classes))
        if number == len(self._class_of):
            self._class_of.append(label_class)
        return number

    def _tenant_number(self, tenant: str) -> int:
        return self._tenants.setdefault(tenant, len(self._tenants))


def microseconds(when: datetime | None) -> int:
    """Whole microseconds since 1970; ``None`` is later than everything."""
    return int(NEVER) if when is None else (when - _EPOCH) // _MICROSECOND


def moment(when: int) -> datetime:
    """The inverse of ``microseconds``."""
    return _EPOCH + when * _MICROSECOND


def _each(
    items: Iterable[Any], part: Callable[[Any], Any], number: Callable[[Any], int]
) -> list[int]:
    """A number for a part of each item. Many items share one part, which is numbered once."""
    parts = list(map(part, items))
    names = list(map(id, parts))  # hashing a label class takes longer than all the rest
    numbers = {name: number(one) for name, one in dict(zip(names, parts, strict=True)).items()}
    return list(map(numbers.__getitem__, names))


def _leased(leased: Leased) -> bytes:
    return json.dumps([leased.origin, leased.lease, leased.row, leased.form]).encode()


def _subject_key(tenant: str, subject: str) -> bytes:
    return f"{tenant}\0{subject}".encode()


def _rid_keys(rids: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    halves = np.ascontiguousarray(rids).view("<i8").reshape(-1, 2)
    keys: npt.NDArray[np.int64] = (halves[:, 0] * _SPREAD) ^ halves[:, 1]
    for shift in (32, 29):  # every bit of a rid is to count among the lowest bits of its key
        keys ^= keys >> shift
        keys *= _SPREAD
    return keys ^ (keys >> 32)


def _mixed(tenant: Any) -> Any:
    """A tenant's number spread over 64 bits."""
    return (tenant * 0x5851F42D4C957F2D) & 0x7FFFFFFFFFFFFFFF
