"""Rows of a file: JSON lines, CSV, Parquet or Arrow, each with its line, good or not."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from memory_fabric.core.errors import InputError

_BATCH = 1000
_SUFFIXES = (".jsonl", ".csv", ".parquet", ".arrow")
_ARROW_FILE = b"ARROW1"


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        line: where it stands, from 1: the line of a text file, the row of any other.
        fields: its values by column; empty where it cannot be read.
        problem: why it cannot be read, without quoting it.
    """

    line: int
    fields: Mapping[str, Any]
    problem: str | None = None


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a ``.jsonl``, ``.csv``, ``.parquet`` or ``.arrow`` file (stream or file format).

    Raises:
        InputError: ``file-unreadable``, ``file-format-unknown``.
    """
    match _suffix(path):
        case ".jsonl":
            return _json_lines(path)
        case ".csv":
            return _csv(path)
        case ".parquet":
            return _parquet(path)
        case _:
            return _arrow(path)


def count_rows(path: Path) -> int:
    """About how many rows there are, for a progress bar."""
    match _suffix(path):
        case ".parquet":
            return int(_parquet_file(path).metadata.num_rows)
        case ".arrow":
            return sum(batch.num_rows for batch in _arrow_batches(path))
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def check_suffix(path: Path) -> str:
    """The format that a file's name tells, or ``file-format-unknown``."""
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(
            "file-format-unknown",
            "The file's name ends in none of the known formats.",
            f"Use {', '.join(_SUFFIXES)}.",
        )
    return path.suffix.lower()


def _suffix(path: Path) -> str:
    suffix = check_suffix(path)
    if not path.is_file():
        raise InputError("file-unreadable", "There is no such file.", "Check the path.")
    return suffix


def _json_lines(path: Path) -> Iterator[Row]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line, object_pairs_hook=_each_once)
            except (ValueError, RecursionError):
                yield Row(number, {}, "The line is not JSON.")
                continue
            if isinstance(value, dict):
                yield Row(number, value)
            else:
                yield Row(number, {}, "The line is not a JSON object.")


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object; a name that stands in it twice is an error, for one value would be lost."""
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a name twice")
    return value


def _csv(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            if len(set(reader.fieldnames or ())) < len(reader.fieldnames or ()):
                raise InputError(
                    "file-unreadable", "Two columns have one name.", "Put lists into one column."
                )
            while True:
                try:
                    row = next(reader, None)
                except csv.Error:
                    yield Row(reader.line_num, {}, "The line is not CSV.")
                    continue
                if row is None:
                    return
                if None in row or None in row.values():
                    yield Row(reader.line_num, {}, "The line has not as many cells as the header.")
                else:
                    yield Row(reader.line_num, {key: _cell(key, row[key]) for key in row})
    except UnicodeDecodeError:
        raise InputError(
            "file-unreadable", "The file is not UTF-8 text.", "Save it as UTF-8."
        ) from None


def _cell(name: str, text: Any) -> Any:
    """A cell: JSON where the column holds JSON as text, and as it is elsewhere."""
    if name in ("metadata", "embedding", "vector", "label") and text and isinstance(text, str):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def _parquet(path: Path) -> Iterator[Row]:
    file = _parquet_file(path)
    line = 0
    for batch in file.iter_batches(batch_size=_BATCH):
        for row in batch.to_pylist():
            line += 1
            yield Row(line, {name: _cell(name, value) for name, value in row.items()})


def _parquet_file(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError):
        raise InputError(
            "file-unreadable", "The file is not Parquet.", "Check how it was written."
        ) from None


def _arrow(path: Path) -> Iterator[Row]:
    line = 0
    for batch in _arrow_batches(path):
        for row in batch.to_pylist():
            line += 1
            yield Row(line, {name: _cell(name, value) for name, value in row.items()})


def _arrow_batches(path: Path) -> Iterator[pa.RecordBatch]:
    """The batches of a stream, which ends where it ends, or of a file with its footer."""
    try:
        with path.open("rb") as file:
            named = file.read(len(_ARROW_FILE)) == _ARROW_FILE
        if named:
            with pa.ipc.open_file(path) as whole:
                yield from (whole.get_batch(number) for number in range(whole.num_record_batches))
        else:
            with pa.OSFile(str(path)) as source, pa.ipc.open_stream(source) as stream:
                yield from stream
    except (pa.ArrowException, OSError):
        raise InputError(
            "file-unreadable", "The file is no Arrow stream.", "Check how it was written."
        ) from None
