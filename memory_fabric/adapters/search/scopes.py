"""From a scope to the slots that it allows, kept from one search to the next.

Which slots a set of label classes allows depends on the rows and on the time: a row whose
retention ends passes into another state of its class. So what was found holds between two moments
at which a retention ends, and rows that come and go meanwhile are taken over one by one.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from datetime import datetime
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from memory_fabric.adapters.search.columns import Growing, Slots
from memory_fabric.adapters.search.rows import Rows, microseconds
from memory_fabric.core.labels import ClassState
from memory_fabric.core.records import Scope

Mask = npt.NDArray[np.bool_]
KEPT = 32
"""So many scopes are kept, for about one byte a row each."""


class Gathered(NamedTuple):
    """The codes of the rows in scope, and their slots."""

    slots: npt.NDArray[np.int32]
    codes: npt.NDArray[np.uint8]


class Allowed:
    """The slots that a scope allows now."""

    def __init__(self, size: int, mask: Mask | None = None, slots: Slots | None = None) -> None:
        self._size = size
        self._mask = mask
        self._slots = slots
        self._bits: npt.NDArray[np.uint8] | None = None
        self.scans = 0
        self.gathered: Gathered | None = None
        self.words: int | None = None
        """How many terms their texts have together, once somebody has counted."""
        self.holding: dict[int, int] = {}
        """In how many of their texts a term is, once somebody has counted."""
        self.count = int(np.count_nonzero(self.mask)) if slots is None else len(slots)

    @property
    def everything(self) -> bool:
        """Whether each slot there is has a row that is allowed."""
        return self.count == self._size

    @property
    def slots(self) -> Slots:
        """Slots, ascending."""
        if self._slots is not None:
            return self._slots
        slots: Slots = np.flatnonzero(self.mask)
        if 8 * self.count < self._size:  # else they would take more memory than they save time
            self._slots = slots
        return slots

    @property
    def mask(self) -> Mask:
        """For each slot, whether it is allowed."""
        if self._mask is None:
            mask = np.zeros(self._size, np.bool_)
            mask[self._slots] = True
            self._mask = mask
        return self._mask

    @property
    def bits(self) -> npt.NDArray[np.uint8]:
        """The mask, eight slots a byte, the first of them in the lowest bit."""
        if self._bits is None:
            self._bits = np.packbits(self.mask, bitorder="little")
        return self._bits


class _Kept:
    """A mask, up to which slot and which removal it is made, and what permits."""

    def __init__(self, permitted: Mask) -> None:
        self.permitted = permitted
        self.mask = Growing(np.bool_)
        self.removals = 0
        self.allowed: Allowed | None = None


class Scopes:
    """What scopes allow. The one writer says what it added and removed; many readers ask."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._lock = threading.Lock()
        self._kept: OrderedDict[object, _Kept] = OrderedDict()
        self._removed = Growing(np.int64)
        self._now = self._since = self._until = 0
        self._over = Growing(np.bool_)
        self._counts = np.zeros(0, np.int64)
        self._present: dict[str, tuple[bytes, frozenset[ClassState]]] = {}
        self._tell(0)

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken."""
        with self._lock:
            return self._over.nbytes + sum(kept.mask.nbytes for kept in self._kept.values())

    def added(self) -> None:
        """Rows were added."""
        first = len(self._over)
        expires = self._rows.expires.view[first:]
        over = expires <= self._now
        self._since = max(self._since, int(expires[over].max(initial=self._since)))
        self._until = min(self._until, int(expires[~over].min(initial=self._until)))
        self._over.extend(over)
        self._count(slice(first, None), 1)

    def removed(self, slots: Slots) -> None:
        """The rows in these slots are gone."""
        self._removed.extend(slots)
        self._count(slots, -1)

    def allowed(self, scope: Scope) -> Allowed:
        """The slots that a scope allows."""
        if scope.subject is not None:
            slots = self._rows.of_subject(scope.tenant, scope.subject)
            over = self._rows.expires.view[slots] <= microseconds(scope.now)
            held = self._permitted(scope)[self._states(slots, over)] & self._within(scope, slots)
            return Allowed(self._rows.slots, slots=slots[held])
        key = (
            scope.tenant, scope.states, scope.memory_types,
            scope.created_after, scope.created_before,
        )  # fmt: skip
        with self._lock:
            self._at(scope.now)
            kept = self._kept.get(key)
            if kept is None:
                kept = self._kept[key] = _Kept(self._permitted(scope))
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            else:
                self._kept.move_to_end(key)
            return self._brought_up(kept, scope)

    def states(self, tenant: str, now: datetime) -> frozenset[ClassState]:
        """The class states that occur among a tenant's rows: the same object while they do."""
        with self._lock:
            self._at(now)
            occur = self._counts > 0
            mark = occur.tobytes()
            known = self._present.get(tenant)
            if known is None or known[0] != mark:
                states = frozenset(
                    ClassState(label_class, over)
                    for label_class, number in self._rows.classes.items()
                    if label_class.tenant == tenant
                    for over in (False, True)
                    if 2 * number < len(occur) and occur[2 * number + over]
                )
                known = self._present[tenant] = (mark, states)
        return known[1]

    def _brought_up(self, kept: _Kept, scope: Scope) -> Allowed:
        """What a kept mask says, after what came and went since it was last asked."""
        first, size, removals = len(kept.mask), self._rows.slots, len(self._removed)
        if kept.allowed is not None and (first, kept.removals) == (size, removals):
            return kept.allowed
        if first < size:
            if len(kept.permitted) < 2 * len(self._rows.classes):
                kept.permitted = self._permitted(scope)
            late = slice(first, size)
            held = kept.permitted[self._states(late, self._over.view[late])]
            kept.mask.extend(held & self._within(scope, late) & self._rows.held.view[late])
        kept.mask.view[self._removed.view[kept.removals : removals]] = False
        kept.removals = removals
        kept.allowed = Allowed(size, mask=kept.mask.view)
        return kept.allowed

    def _at(self, now: datetime) -> None:
        asked = microseconds(now)
        if not self._since <= asked < self._until:
            self._tell(asked)
        self._now = asked

    def _tell(self, now: int) -> None:
        """Part the rows by whether their retention is over; what was kept is void."""
        expires = self._rows.expires.view
        over = expires <= now
        self._since = int(expires[over].max(initial=np.iinfo(np.int64).min))
        self._until = int(expires[~over].min(initial=np.iinfo(np.int64).max))
        self._over = Growing.of(over)
        self._counts = np.zeros(2 * len(self._rows.classes), np.int64)
        self._count(self._rows.kept(), 1)
        self._kept.clear()

    def _count(self, slots: Slots | slice, by: int) -> None:
        missing = 2 * len(self._rows.classes) - len(self._counts)
        if missing:
            self._counts = np.append(self._counts, np.zeros(missing, np.int64))
        codes = self._states(slots, self._over.view[slots])
        if len(codes) < 16:
            for code in codes.tolist():
                self._counts[code] += by
        else:
            self._counts += by * np.bincount(codes, minlength=len(self._counts))

    def _states(self, slots: Slots | slice, over: Mask) -> npt.NDArray[np.int32]:
        """Twice the class number, plus one where retention is over."""
        codes: npt.NDArray[np.int32] = 2 * self._rows.label_class.view[slots] + over
        return codes

    def _permitted(self, scope: Scope) -> Mask:
        """For each class state, whether the scope permits it."""
        classes = self._rows.classes
        permitted = np.zeros(2 * len(classes), np.bool_)
        for state in scope.states:
            number = classes.get(state.label_class)
            if number is not None and state.label_class.tenant == scope.tenant:
                permitted[2 * number + state.retention_over] = True
        return permitted

    def _within(self, scope: Scope, slots: Slots | slice) -> Mask:
        """Which of the slots have a type and time that the scope permits."""
        rows = self._rows
        created = rows.created.view[slots]
        held = np.ones(len(created), np.bool_)
        if scope.memory_types:
            held &= np.isin(rows.kind.view[slots], rows.kinds(scope.memory_types))
        if scope.created_after is not None:
            held &= created >= microseconds(scope.created_after)
        if scope.created_before is not None:
            held &= created < microseconds(scope.created_before)
        return held
