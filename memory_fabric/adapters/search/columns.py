"""Columns that grow at the end, one value a slot: no Python object is kept for a row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Slots = npt.NDArray[np.int64]
"""Places of rows, ascending: the order in which they were added."""


class Growing:
    """An array whose first axis grows; appending costs amortised O(1) a row.

    What was appended stays where a view of it was taken, whatever is appended later.
    """

    def __init__(self, dtype: npt.DTypeLike, width: int | None = None) -> None:
        self._tail = () if width is None else (width,)
        self._data: npt.NDArray[Any] = np.empty((4, *self._tail), dtype)
        self._size = 0

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> Growing:
        """A column that begins with these values; they are taken over and not copied."""
        fresh = cls(values.dtype, *values.shape[1:])
        fresh._data, fresh._size = values, len(values)
        return fresh

    def __len__(self) -> int:
        return self._size

    @property
    def view(self) -> npt.NDArray[Any]:
        """What was appended so far; writable in place."""
        return self._data[: self._size]

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken, room to grow included."""
        return self._data.nbytes

    def extend(self, values: npt.ArrayLike) -> None:
        """Append rows."""
        rows = np.asarray(values, self._data.dtype)
        if not len(rows):
            return
        needed = self._size + len(rows)
        if needed > len(self._data):
            room = max(needed, len(self._data) + max(len(self._data) // 4, 4))
            larger = np.empty((room, *self._tail), self._data.dtype)
            larger[: self._size] = self.view
            self._data = larger
        self._data[self._size : needed] = rows
        self._size = needed


class Strings:
    """A column of short byte strings: one buffer, and where each of them ends in it."""

    def __init__(self) -> None:
        self._bytes = Growing(np.uint8)
        self._ends = Growing(np.int64)

    @classmethod
    def of(cls, block: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]) -> Strings:
        """A column of what ``block`` and ``ends`` gave."""
        fresh = cls()
        fresh._bytes, fresh._ends = Growing.of(block), Growing.of(ends)
        return fresh

    @property
    def block(self) -> npt.NDArray[np.uint8]:
        """All strings, one after another."""
        return self._bytes.view

    @property
    def ends(self) -> npt.NDArray[np.int64]:
        """Where each string ends in ``block``."""
        return self._ends.view

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken."""
        return self._bytes.nbytes + self._ends.nbytes

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, at: int) -> bytes:
        ends = self._ends.view
        return self._bytes.view[ends[at - 1] if at else 0 : ends[at]].tobytes()

    def all(self) -> list[bytes]:
        """Every string."""
        block, ends = self.block.tobytes(), self.ends.tolist()
        return [block[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def extend(self, strings: Sequence[bytes]) -> None:
        """Append strings."""
        lengths = np.fromiter(map(len, strings), np.int64, len(strings))
        self._ends.extend(len(self._bytes) + np.cumsum(lengths))
        self._bytes.extend(np.frombuffer(b"".join(strings), np.uint8))


def taken(
    block: npt.NDArray[Any], ends: npt.NDArray[np.int64], kept: Slots
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """The lists that end at ``ends`` in ``block``, for these slots only."""
    lengths = np.diff(ends, prepend=0)
    if len(kept) == len(ends):
        return block, ends
    held = np.zeros(len(ends), np.bool_)
    held[kept] = True
    return block[np.repeat(held, lengths)], np.cumsum(lengths[kept])


class Finder:
    """From a 64-bit key to the newest slot that has it: an open-addressing hash table of slots.

    Keys must be well spread by themselves. Every key is kept, also of rows that are gone: whoever
    asks looks whether the slot is still held, and that it holds what was meant (two of a million
    different names have the same key with a probability below 1e-7).
    """

    def __init__(self, keys: npt.NDArray[np.int64] | None = None) -> None:
        self._keys = Growing(np.int64) if keys is None else Growing.of(keys)
        self._rebuild()

    @property
    def keys(self) -> npt.NDArray[np.int64]:
        """The key of each slot."""
        return self._keys.view

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken."""
        return self._keys.nbytes + self._table.nbytes

    def extend(self, keys: npt.NDArray[np.int64]) -> None:
        """Give the next slots these keys."""
        first = len(self._keys)
        self._keys.extend(keys)
        if 2 * len(self._keys) > len(self._table):
            self._rebuild()
        elif len(keys) < _FEW:
            for slot, key in enumerate(keys.tolist(), first):
                self._single[self._place(key)] = slot + 1
        else:
            self._enter(np.arange(first, len(self._keys)))

    def slot(self, key: int) -> int | None:
        """The newest slot with this key."""
        found = self._single[self._place(key)]
        return found - 1 if found else None

    def slots(self, keys: npt.NDArray[np.int64]) -> Slots:
        """The newest slot with each key, -1 where there is none."""
        if len(keys) < _FEW:
            return np.array([self._single[self._place(key)] - 1 for key in keys.tolist()], np.int64)
        known, mask = self._keys.view, len(self._table) - 1
        found = np.full(len(keys), -1, np.int64)
        asked, places = np.arange(len(keys)), keys & mask
        while len(asked):
            holders = self._table[places].astype(np.int64) - 1
            same = (holders >= 0) & (known[holders] == keys[asked]) if len(known) else holders >= 0
            found[asked[same]] = holders[same]
            onward = (holders >= 0) & ~same
            asked, places = asked[onward], (places[onward] + 1) & mask
        return found

    def _place(self, key: int) -> int:
        """Where the key stands, or where it would."""
        table, mask, keys = self._single, len(self._table) - 1, self._keys.view
        place = key & mask
        while (found := table[place]) and keys[found - 1] != key:
            place = (place + 1) & mask
        return place

    def _rebuild(self) -> None:
        self._table = np.zeros(1 << (3 * len(self._keys) + 8).bit_length(), np.int32)
        self._single = self._table.data  # a single entry is read four times as fast so
        self._enter(np.arange(len(self._keys)))

    def _enter(self, slots: Slots) -> None:
        """All at once: each tries its place; who finds another key there, or loses, goes on."""
        keys, mask = self._keys.view, len(self._table) - 1
        places = keys[slots] & mask
        while len(slots):
            holders = self._table[places]
            mine = (holders == 0) | (keys[holders - 1] == keys[slots])
            np.maximum.at(self._table, places[mine], slots[mine].astype(np.int32) + 1)
            lost = keys[self._table[places] - 1] != keys[slots]
            slots, places = slots[lost], (places[lost] + 1) & mask


class Interned:
    """Names that occur on many rows, each kept once and known by a number."""

    def __init__(self, strings: Strings | None = None) -> None:
        self._strings = Strings() if strings is None else strings
        self._finder = Finder(name_keys(self._strings.all()))
        self._recent: dict[bytes, int] = {}

    @property
    def strings(self) -> Strings:
        """The names by number."""
        return self._strings

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken, but for those lately asked for."""
        return self._strings.nbytes + self._finder.nbytes

    def find(self, name: bytes) -> int | None:
        """The number of a name that is known."""
        number = self._finder.slot(hash(name))
        return number if number is not None and self._strings[number] == name else None

    def number(self, name: bytes) -> int:
        """The number of a name; new names get the next one."""
        number = self._recent.get(name)
        if number is None:
            number = self.find(name)
            if number is None:
                number = len(self._strings)
                self._strings.extend([name])
                self._finder.extend(name_keys([name]))
            if len(self._recent) >= _RECENT:
                self._recent.clear()
            self._recent[name] = number
        return number


def name_keys(names: Sequence[bytes]) -> npt.NDArray[np.int64]:
    """Keys of names for a ``Finder``: Python's hash, keyed anew in each process, so that nobody
    who chooses names can make them collide.
    """
    return np.fromiter(map(hash, names), np.int64, len(names))


_FEW = 32
"""Up to so many entries a loop is faster than NumPy."""
_RECENT = 65_536
