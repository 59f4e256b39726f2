"""Arrays that grow at the end, and a lock that lets searches run side by side."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Slots = npt.NDArray[np.int64]
"""Places of rows, ascending: the order in which they were added."""


class Growing:
    """An array whose first axis grows; appending costs amortised O(1) a row."""

    def __init__(self, dtype: npt.DTypeLike, width: int | None = None) -> None:
        self._tail = () if width is None else (width,)
        self._data: npt.NDArray[Any] = np.empty((4, *self._tail), dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    @property
    def view(self) -> npt.NDArray[Any]:
        """What was appended so far; writable in place."""
        return self._data[: self._size]

    def extend(self, values: npt.ArrayLike) -> None:
        """Append rows."""
        rows = np.asarray(values, self._data.dtype)
        needed = self._size + len(rows)
        if needed > len(self._data):
            larger = np.empty((max(needed, 2 * len(self._data)), *self._tail), self._data.dtype)
            larger[: self._size] = self.view
            self._data = larger
        self._data[self._size : needed] = rows
        self._size = needed


class SharedLock:
    """Many readers or one writer; a waiting writer goes before new readers."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._readers = 0
        self._writing = False
        self._waiting = 0

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Hold it together with other readers. Not re-entrant."""
        with self._changed:
            self._changed.wait_for(lambda: not self._writing and not self._waiting)
            self._readers += 1
        try:
            yield
        finally:
            with self._changed:
                self._readers -= 1
                self._changed.notify_all()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold it alone. Not re-entrant."""
        with self._changed:
            self._waiting += 1
            self._changed.wait_for(lambda: not self._writing and not self._readers)
            self._waiting -= 1
            self._writing = True
        try:
            yield
        finally:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
