"""Writing rows to a file that ``rows`` reads again: JSON lines, CSV, Parquet or an Arrow stream.

Rows are gathered as JSON lines beside the file and put into its format at the end, so that what was
interrupted goes on where it was.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import pyarrow as pa
import pyarrow.parquet as pq

from memory_fabric.adapters.rows import check_suffix
from memory_fabric.core.errors import InputError

_COLUMNS = ("id", "memory", "memory_type", "valid_at", "metadata", "label")
_NESTED = ("metadata", "label")
_SCHEMA = pa.schema([pa.field(name, pa.string()) for name in _COLUMNS])
_BATCH = 1000


class RowFile:
    """A file in the making. What is gathered in it survives an interruption.

    Args:
        path: ends in the format's name; must not be there yet.

    Attributes:
        mark: what the last ``add`` was called with; ``None`` at first: where to go on.
        rows: gathered so far.

    Raises:
        InputError: ``file-exists``, ``file-format-unknown``, ``file-unreadable``: what was gathered
            is not of this program's making.
    """

    def __init__(self, path: Path) -> None:
        self._suffix = check_suffix(path)
        if path.exists():
            raise InputError(
                "file-exists", "There is such a file already.", "Name another, or remove it."
            )
        self._path = path
        self._gathered = path.with_name(f".{path.name}.partial")
        self._state = path.with_name(f".{path.name}.state")
        self.mark: str | None = None
        self.rows = 0
        size = 0
        if self._state.exists():
            try:
                told = json.loads(self._state.read_text("utf-8"))
                self.mark, self.rows, size = told["mark"], int(told["rows"]), int(told["size"])
            except (ValueError, KeyError, TypeError):
                raise InputError(
                    "file-unreadable", f"{self._state} is damaged.", "Remove it, and start anew."
                ) from None
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._file = os.fdopen(os.open(self._gathered, flags, 0o600), "r+b")
        self._file.truncate(size)
        self._file.seek(size)

    def add(self, rows: Sequence[Mapping[str, Any]], mark: str | None) -> None:
        """Gather rows, durably, and note where to go on."""
        for row in rows:
            self._file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self.mark, self.rows = mark, self.rows + len(rows)
        told = {"mark": mark, "rows": self.rows, "size": self._file.tell()}
        draft = self._state.with_name(f"{self._state.name}.new")
        draft.write_text(json.dumps(told), "utf-8")
        draft.replace(self._state)

    def finish(self) -> None:
        """Put the file in its place."""
        self._file.close()
        if self._suffix == ".jsonl":
            os.replace(self._gathered, self._path)
        else:
            draft = self._path.with_name(f".{self._path.name}.new")
            os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
            self._convert(draft)
            os.replace(draft, self._path)
            self._gathered.unlink()
        self._state.unlink(missing_ok=True)

    def close(self) -> None:
        """Leave it as it is, to go on later."""
        self._file.close()

    def _convert(self, draft: Path) -> None:
        match self._suffix:
            case ".csv":
                with draft.open("w", encoding="utf-8", newline="") as file:
                    self._write_csv(file)
            case ".parquet":
                with pq.ParquetWriter(draft, _SCHEMA) as writer:
                    for batch in self._batches():
                        writer.write_batch(batch)
            case _:
                with pa.ipc.new_stream(draft, _SCHEMA) as stream:
                    for batch in self._batches():
                        stream.write_batch(batch)

    def _write_csv(self, file: TextIO) -> None:
        writer = csv.DictWriter(file, _COLUMNS)
        writer.writeheader()
        for row in self._flat():
            writer.writerow({name: "" if row[name] is None else row[name] for name in _COLUMNS})

    def _batches(self) -> Iterator[pa.RecordBatch]:
        rows = self._flat()
        while some := list(islice(rows, _BATCH)):
            yield pa.RecordBatch.from_pylist(some, schema=_SCHEMA)

    def _flat(self) -> Iterator[dict[str, str | None]]:
        with self._gathered.open("rb") as file:
            for line in file:
                row = json.loads(line)
                yield {
                    name: json.dumps(row[name], ensure_ascii=False) if name in _NESTED
                    else row.get(name)
                    for name in _COLUMNS
                }  # fmt: skip
