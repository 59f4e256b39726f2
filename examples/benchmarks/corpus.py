"""What is measured on: rows with a vector, a text, a subject and a class, and queries for them.

A corpus lies in a folder as flat arrays, so that every side reads the same bytes from a process of
its own. Whoever reads it needs NumPy only; ``making`` makes it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast, overload

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

CLASSES = 1000
SUBJECT_ROWS = 100
"""Rows about each subject."""
TOP = 10
SHARES = (1.0, 0.5, 0.01)
"""Shares of the classes that a search may look at: all, every second one, every hundredth."""


class Texts(Sequence[str]):
    """Texts as one block of UTF-8 and the places where each ends; read when asked for."""

    def __init__(self, block: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]) -> None:
        self._block = block
        self._ends = ends

    @classmethod
    def read(cls, folder: Path, name: str) -> Texts:
        block = np.memmap(folder / f"{name}.utf8", np.uint8, "r")
        return cls(block, np.load(folder / f"{name}.npy"))

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, at: int) -> str: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[str]: ...

    def __getitem__(self, at: int | slice) -> str | Sequence[str]:
        if isinstance(at, slice):
            return [self[row] for row in range(*at.indices(len(self)))]
        start = int(self._ends[at - 1]) if at else 0
        return bytes(self._block[start : int(self._ends[at])]).decode()

    def size(self, rows: int) -> int:
        """Bytes of the first so many texts."""
        return int(self._ends[rows - 1])


class TextWriter:
    """Writes what ``Texts`` reads, part by part. A context manager."""

    def __init__(self, folder: Path, name: str) -> None:
        self._ends = folder / f"{name}.npy"
        self._file = (folder / f"{name}.utf8").open("wb")
        self._lengths: list[int] = []

    def write(self, texts: Sequence[str]) -> None:
        encoded = [text.encode() for text in texts]
        self._lengths += map(len, encoded)
        self._file.write(b"".join(encoded))

    def __enter__(self) -> TextWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        np.save(self._ends, np.cumsum(self._lengths))


class Corpus:
    """The first ``rows`` rows of a folder, and its queries.

    Attributes:
        vectors: of the rows, unit length, shape (rows, dim).
        texts, subjects, classes: of the rows; subjects and classes as numbers.
        asked: vectors of the queries.
        questions: texts of the queries.
    """

    def __init__(self, folder: str | Path, rows: int) -> None:
        self.folder, self.rows = Path(folder), rows
        about: dict[str, Any] = json.loads((self.folder / "about.json").read_text("utf-8"))
        self.name: str = about["name"]
        self.vectors: Floats = np.load(self.folder / "vectors.npy", mmap_mode="r")[:rows]
        self.dim = self.vectors.shape[1]
        self.asked: Floats = np.load(self.folder / "asked.npy")
        self.questions: list[str] = about["questions"]
        self._tenth: dict[float, Floats] = {}

    def __len__(self) -> int:
        return self.rows

    # Read when asked for: what a side holds in memory is measured, and shall be its own.

    @cached_property
    def texts(self) -> Texts:
        return Texts.read(self.folder, "texts")

    @cached_property
    def classes(self) -> npt.NDArray[np.int64]:
        return cast("npt.NDArray[np.int64]", np.load(self.folder / "classes.npy")[: self.rows])

    @cached_property
    def subjects(self) -> npt.NDArray[np.int64]:
        # A stride that shares no factor with the number of subjects deals them out evenly.
        return np.arange(self.rows) * 7919 % max(1, self.rows // SUBJECT_ROWS)

    @property
    def content_bytes(self) -> int:
        """Vectors and texts: what any copy in memory must hold."""
        return 4 * self.rows * self.dim + self.texts.size(self.rows)

    def recall(self, found: Sequence[Sequence[int]], share: float) -> float:
        """Recall@10 within a share of the classes: of the ten nearest rows, how many were found.

        Where rows are equally near, as copies of one text are, any of them will do. A row of
        another class ends the measurement: that side did not filter.
        """
        near = 0
        permitted = np.arange(0, CLASSES, round(1 / share))
        for rows, query, tenth in zip(found, self.asked, self.tenth(share), strict=True):
            if not np.isin(self.classes[rows], permitted).all():
                raise ValueError("a row outside the filter was found")
            near += np.count_nonzero(self.vectors[sorted(set(rows))] @ query >= tenth - 1e-6)
        return near / (TOP * len(found))

    def tenth(self, share: float) -> Floats:
        """For each query the tenth highest cosine of all rows in these classes."""
        if share not in self._tenth:
            file = self.folder / f"tenth-{self.rows}-{share}.npy"
            if not file.exists():
                np.save(file, self._compared(share))
            self._tenth[share] = np.load(file)
        return self._tenth[share]

    def _compared(self, share: float) -> Floats:
        best = np.full((len(self.asked), TOP), -np.inf, np.float32)
        step = 50_000
        for start in range(0, self.rows, step):
            part = slice(start, min(start + step, self.rows))
            allowed = self.classes[part] % round(1 / share) == 0
            cosines = self.asked @ self.vectors[part][allowed].T
            best = np.sort(np.hstack([best, cosines]), axis=1)[:, -TOP:]
        return best[:, 0]
