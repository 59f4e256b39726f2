"""Sealed records as Arrow columns: what the stack's table and the packs of a backup hold."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from memory_fabric.core.records import RID_BYTES, SealedRecord

SCHEMA = pa.schema(
    [
        pa.field("rid", pa.binary(RID_BYTES), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
        pa.field("epoch", pa.int64(), nullable=False),
        pa.field("blob", pa.large_binary(), nullable=False),
    ]
)


def to_columns(records: Sequence[SealedRecord]) -> pa.Table:
    """The records as columns, laid end to end: that takes half the time of handing over each."""
    blobs = [record.blob for record in records]
    ends = np.fromiter(map(len, blobs), np.int64, len(blobs)).cumsum()
    columns = [
        (b"".join([record.rid for record in records]),),
        (np.fromiter((record.version for record in records), np.int64, len(records)),),
        (np.fromiter((record.epoch for record in records), np.int64, len(records)),),
        (np.concatenate([np.zeros(1, np.int64), ends]), b"".join(blobs)),
    ]
    arrays = [
        pa.Array.from_buffers(
            field.type, len(records), [None, *(pa.py_buffer(buffer) for buffer in buffers)]
        )
        for field, buffers in zip(SCHEMA, columns, strict=True)
    ]
    return pa.table(arrays, schema=SCHEMA)


def from_columns(rows: pa.Table | pa.RecordBatch) -> list[SealedRecord]:
    """The inverse of ``to_columns``."""
    columns = (rows.column(name).to_pylist() for name in SCHEMA.names)
    return [SealedRecord(*values) for values in zip(*columns, strict=True)]
