"""Rows without text and vector, as bytes and back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from memory_fabric.core.labels import Label
from memory_fabric.core.memory import Leased, MemoryType
from memory_fabric.core.records import IndexRow


def frozen_rows(rows: Sequence[IndexRow]) -> npt.NDArray[np.uint8]:
    """Rows as JSON."""
    found = [
        (row.rid.hex(), row.memory_id, row.label.to_json(), str(row.memory_type),
         row.created_at.isoformat(), row.leased and row.leased.to_json())
        for row in rows
    ]  # fmt: skip
    return np.frombuffer(json.dumps(found).encode(), np.uint8)


def thawed_rows(block: bytes) -> list[IndexRow]:
    """The inverse of ``frozen_rows``."""
    return [
        IndexRow(
            bytes.fromhex(rid), name, "", b"", Label.from_json(label), MemoryType(kind),
            datetime.fromisoformat(created), Leased(**leased) if leased else None,
        )
        for rid, name, label, kind, created, leased in json.loads(block)
    ]  # fmt: skip
