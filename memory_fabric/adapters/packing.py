"""Rows of a package as an Arrow IPC stream: columns that any Arrow reader knows."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from memory_fabric.core.lease import PackedRow

_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("lease", pa.string(), nullable=False),
        pa.field("form", pa.string(), nullable=False),
        pa.field("label_class", pa.string(), nullable=False),  # JSON
        pa.field("text", pa.string()),
        pa.field("vector", pa.list_(pa.float32())),
        pa.field("embedder", pa.string(), nullable=False),
        pa.field("memory_type", pa.string(), nullable=False),
        pa.field("expires_at", pa.string(), nullable=False),  # ISO 8601
    ]
)


class ArrowPacking:
    """Port ``Packing`` over pyarrow."""

    def pack(self, rows: Sequence[PackedRow]) -> bytes:
        """The rows as one Arrow IPC stream."""
        columns = [
            [row.id for row in rows],
            [row.lease for row in rows],
            [row.form for row in rows],
            [json.dumps(row.label_class, sort_keys=True) for row in rows],
            [row.text for row in rows],
            [None if row.vector is None else np.frombuffer(row.vector, "<f4") for row in rows],
            [row.embedder for row in rows],
            [row.memory_type for row in rows],
            [row.expires_at for row in rows],
        ]
        arrays = [
            pa.array(column, field.type) for column, field in zip(columns, _SCHEMA, strict=True)
        ]
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, _SCHEMA) as writer:
            writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA))
        return bytes(sink.getvalue())

    def unpack(self, block: bytes) -> list[PackedRow]:
        """The inverse of ``pack``.

        Raises:
            ValueError: the bytes are none that ``pack`` makes.
        """
        try:
            with pa.ipc.open_stream(block) as reader:
                table = reader.read_all()
            if table.schema != _SCHEMA:
                raise ValueError("another schema")
            table.validate(full=True)
            return [
                PackedRow(
                    id=row["id"],
                    lease=row["lease"],
                    form=row["form"],
                    label_class=json.loads(row["label_class"]),
                    text=row["text"],
                    vector=None if row["vector"] is None else _floats(row["vector"]),
                    embedder=row["embedder"],
                    memory_type=row["memory_type"],
                    expires_at=row["expires_at"],
                )
                for row in table.to_pylist()
            ]
        except (pa.ArrowException, OSError, RecursionError) as error:
            raise ValueError("the rows of the package cannot be read") from error


def _floats(numbers: Sequence[float]) -> bytes:
    return np.array(numbers, "<f4").tobytes()
