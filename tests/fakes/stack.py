"""A stack in memory, as plain as its port."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from memory_fabric.core.records import SealedRecord


class MemoryStack:
    """Port ``Stack``."""

    def __init__(self) -> None:
        self.version = 1
        self._records: dict[bytes, SealedRecord] = {}

    def write(self, records: Sequence[SealedRecord]) -> int:
        if len({record.rid for record in records}) < len(records):
            raise ValueError("a record stands twice in one write")
        if records:
            self._records |= {record.rid: record for record in records}
            self.version += 1
        return self.version

    def remove(self, rids: Sequence[bytes]) -> int:
        known = [rid for rid in rids if self._records.pop(rid, None)]
        self.version += bool(known)
        return self.version

    def fetch(self, rids: Sequence[bytes]) -> list[SealedRecord]:
        return [self._records[rid] for rid in rids if rid in self._records]

    def versions(self) -> tuple[bytes, bytes]:
        versions = (record.version for record in self._records.values())
        columns = (version.to_bytes(8, "little") for version in versions)
        return b"".join(self._records), b"".join(columns)

    def epochs(self) -> dict[int, int]:
        return dict(Counter(record.epoch for record in self._records.values()))

    def scan(self) -> Iterator[list[SealedRecord]]:
        records = list(self._records.values())
        for start in range(0, len(records), 100):
            yield records[start : start + 100]

    @property
    def clutter(self) -> float:
        return 0.0

    def tidy(self, halt: Callable[[], bool] = bool) -> bool:
        return not halt()

    def compact(self, halt: Callable[[], bool] = bool) -> bool:
        self.version += 1
        return not halt()

    def collect(self) -> None:
        pass
