"""Rows of a file: JSON lines, CSV or Parquet, each with its line, good or not."""

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
_SUFFIXES = (".jsonl", ".csv", ".parquet")


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        line: where it stands, from 1: the line of a text file, the row of a Parquet file.
        fields: its values by column; empty where it cannot be read.
        problem: why it cannot be read, without quoting it.
    """

    line: int
    fields: Mapping[str, Any]
    problem: str | None = None


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a ``.jsonl``, ``.csv`` or ``.parquet`` file.

    Raises:
        InputError: ``file-unreadable``, ``file-format-unknown``.
    """
    match _suffix(path):
        case ".jsonl":
            return _json_lines(path)
        case ".csv":
            return _csv(path)
        case _:
            return _parquet(path)


def count_rows(path: Path) -> int:
    """About how many rows there are, for a progress bar."""
    if _suffix(path) == ".parquet":
        return int(_parquet_file(path).metadata.num_rows)
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def _suffix(path: Path) -> str:
    if path.suffix.lower() not in _SUFFIXES:
        raise InputError(
            "file-format-unknown",
            "The file's name ends in none of the known formats.",
            f"Use {', '.join(_SUFFIXES)}.",
        )
    if not path.is_file():
        raise InputError("file-unreadable", "There is no such file.", "Check the path.")
    return path.suffix.lower()


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


def _cell(name: str, text: str) -> Any:
    """A CSV cell: JSON where the column holds JSON, text elsewhere."""
    if name in ("metadata", "embedding", "vector", "label") and text:
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
            yield Row(line, row)


def _parquet_file(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError):
        raise InputError(
            "file-unreadable", "The file is not Parquet.", "Check how it was written."
        ) from None
