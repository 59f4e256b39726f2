"""The memory stack: sealed records in a LanceDB table that holds nothing else."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

os.environ.setdefault("RUST_LOG", "error")  # read once, when lancedb is loaded

import lancedb
import pyarrow as pa

from memory_fabric.adapters.lance_files import (
    SyncedFiles,
    damaged_file,
    is_read_error,
    step_over_torn,
)
from memory_fabric.core.errors import HomeError, IntegrityViolated, MemoryFabricError, Unavailable
from memory_fabric.core.records import RID_BYTES, SealedRecord

TABLE = "memories"
"""Name of the table."""
TIDY_EVERY = 64
"""Commits after which small fragments are merged: single adds must not slow what follows."""
FRAGMENT_ROWS = 4096
"""Rows of a merged fragment: what has to be rewritten to get rid of one removed record."""

_COLUMNS = ["rid", "version", "epoch", "blob"]
_SCHEMA = pa.schema(
    [
        pa.field("rid", pa.binary(RID_BYTES), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
        pa.field("epoch", pa.int64(), nullable=False),
        pa.field("blob", pa.large_binary(), nullable=False),
    ]
)
_SCAN_ROWS = 2048


class LanceStack:
    """Port ``Stack`` over a LanceDB table in a directory. Safe to share between threads.

    Every change is on stable storage before it returns. One process at a time may hold it.

    Args:
        directory: where ``create`` made it.
        durable: the version that the ledger knows to be kept. Newer ones that a crash tore are
            stepped over; a stack that ends before it was rolled back. ``None`` takes it as it is.

    Raises:
        HomeError: ``stack-missing``.
        IntegrityViolated: ``stack-damaged``, here and from every method; ``stack-rolled-back``.
        Unavailable: ``stack-unwritable``, from methods that write.
    """

    def __init__(self, directory: Path, durable: int | None = None) -> None:
        self._folder = directory / f"{TABLE}.lance"
        if not self._folder.is_dir():
            raise HomeError(
                "stack-missing",
                f"There is no memory stack in {directory}.",
                "Restore it from a backup, or create the site anew.",
            )
        self._lock = threading.RLock()
        self._files = SyncedFiles(self._folder)
        self._row_ids: dict[bytes, int] = {}
        self._last_fragment = -1
        self._commits = 0
        self._scans = 0
        self._cleanup_due = False
        with self._reading():
            if durable is not None:
                step_over_torn(self._folder, durable)
            self._table = lancedb.connect(directory).open_table(TABLE)
            self._learn()
            self._files.sync()
        if durable is not None and self.version < durable:
            raise IntegrityViolated(
                "stack-rolled-back",
                f"The memory stack ends at version {self.version}; {durable} was written.",
                "Somebody put an older copy in its place; restore the newest backup.",
                {"damaged": [f"{directory.name}/{self._folder.name}"]},
            )

    @classmethod
    def create(cls, directory: Path) -> LanceStack:
        """An empty stack, durable before this returns.

        Raises:
            HomeError: ``stack-exists``.
        """
        if (directory / f"{TABLE}.lance").exists():
            raise HomeError(
                "stack-exists",
                f"There is a memory stack in {directory} already.",
                "Open it, or choose another home.",
            )
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        lancedb.connect(directory).create_table(TABLE, schema=_SCHEMA)
        return cls(directory)

    def __len__(self) -> int:
        """Records held."""
        return len(self._row_ids)

    @property
    def version(self) -> int:
        """The current version; grows with every change."""
        return int(self._table.version)

    def write(self, records: Sequence[SealedRecord]) -> int:
        """Add records, or replace those with the same ``rid``; all or none. The new version."""
        by_rid = {record.rid: record for record in records}
        if len(by_rid) < len(records):
            raise ValueError("a record stands twice in one write")
        with self._lock:
            if not records:
                return self.version
            with self._writing():
                if any(rid in self._row_ids for rid in by_rid):
                    merge = self._table.merge_insert("rid")
                    merge = merge.when_matched_update_all().when_not_matched_insert_all()
                    merge.execute(_to_arrow(records))
                else:
                    self._table.add(_to_arrow(records))
            return self._committed()

    def remove(self, rids: Sequence[bytes]) -> int:
        """Remove records from the current version, unknown ones left aside. The new version."""
        with self._lock:
            known = [rid for rid in rids if rid in self._row_ids]
            if not known:
                return self.version
            with self._writing():
                self._table.delete(_where(known))
            for rid in known:
                self._row_ids.pop(rid, None)
            return self._committed()

    def fetch(self, rids: Sequence[bytes]) -> list[SealedRecord]:
        """The records with these ids, in this order; missing ones are left out."""
        with self._lock, self._reading():
            row_ids = [self._row_ids[rid] for rid in rids if rid in self._row_ids]
            if not row_ids:
                return []
            taken = self._table.take_row_ids(row_ids).select(_COLUMNS).to_arrow()
            found = {record.rid: record for record in _from_arrow(taken)}
            astray = [rid for rid in rids if rid in self._row_ids and rid not in found]
            if astray:
                asked = self._table.search().where(_where(astray)).select(_COLUMNS)
                found |= {record.rid: record for record in _from_arrow(asked.to_arrow())}
            if any(rid in self._row_ids and rid not in found for rid in rids):
                raise self._damaged("a record is no longer where it was written")
            return [found[rid] for rid in rids if rid in found]

    def scan(self) -> Iterator[list[SealedRecord]]:
        """All records of the version at the first step, in batches."""
        with self._lock, self._reading():
            dataset = self._table.to_lance()
            self._scans += 1
        try:
            with self._reading():
                for batch in dataset.to_batches(columns=_COLUMNS, batch_size=_SCAN_ROWS):
                    yield _from_arrow(batch)
        finally:
            with self._lock:
                self._scans -= 1
                if self._cleanup_due:
                    self._clean_up()

    @property
    def uncompacted(self) -> bool:
        """Whether bytes of removed records are still on the disk."""
        with self._lock, self._reading():
            fragments = self._table.to_lance().get_fragments()
            return any(fragment.deletion_file() for fragment in fragments)

    def compact(self) -> None:
        """Rewrite what is left so that the bytes of removed records are gone from the disk.

        While a ``scan`` is still being read, the old bytes go when it ends.
        """
        with self._lock:
            self._tidy(materialize_deletions_threshold=0.0)

    def _committed(self) -> int:
        """Make the last commit durable, know its rows, and merge fragments when it is time."""
        with self._writing():
            self._files.sync()
        with self._reading():
            self._learn()
        self._commits += 1
        if self._commits >= TIDY_EVERY:
            self._tidy()
        return self.version

    def _learn(self) -> None:
        """Note the row ids of fragments that are new: by these a record is found at once."""
        newest = self._last_fragment
        for fragment in self._table.to_lance().get_fragments():
            if fragment.fragment_id > self._last_fragment:
                rows = fragment.scanner(columns=["rid"], with_row_id=True).to_table()
                pairs = zip(rows["rid"].to_pylist(), rows["_rowid"].to_pylist(), strict=True)
                self._row_ids.update(pairs)
                newest = max(newest, fragment.fragment_id)
        self._last_fragment = newest

    def _tidy(self, **options: Any) -> None:
        """Merge small fragments, and drop the versions and orphans that are left over."""
        with self._writing():
            dataset = self._table.to_lance()
            dataset.optimize.compact_files(target_rows_per_fragment=FRAGMENT_ROWS, **options)
            self._table.checkout_latest()
            self._files.sync()
        with self._reading():
            self._learn()
        self._commits = 0
        self._clean_up()

    def _clean_up(self) -> None:
        self._cleanup_due = self._scans > 0
        if not self._cleanup_due:
            with self._writing():
                dataset = self._table.to_lance()
                dataset.cleanup_old_versions(older_than=timedelta(0), delete_unverified=True)
                self._files.sync()

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Whatever Lance says about files that it reads is damage."""
        try:
            yield
        except MemoryFabricError:
            raise
        except BaseException as error:
            if not is_read_error(error):
                raise
            raise self._damaged(str(error)) from None

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Whatever goes wrong on the way to stable storage leaves the change unacknowledged."""
        try:
            if self._files.failed:
                raise OSError("a sync failed before")
            yield
        except BaseException as error:
            if not is_read_error(error):
                raise
            raise Unavailable(
                "stack-unwritable",
                f"The memory stack {self._folder} could not be written.",
                "Make sure that the disk has room and works, then open the site again.",
            ) from None

    def _damaged(self, said: str) -> IntegrityViolated:
        file = damaged_file(self._folder, said).relative_to(self._folder.parent.parent)
        return IntegrityViolated(
            "stack-damaged",
            f"A file of the memory stack is not as it was written: {file}.",
            "Restore it from a backup; do not go on with what is left.",
            {"damaged": [str(file)]},
        )


def _where(rids: Sequence[bytes]) -> str:
    return "rid IN (" + ",".join(f"X'{rid.hex()}'" for rid in rids) + ")"


def _to_arrow(records: Sequence[SealedRecord]) -> pa.Table:
    return pa.table(
        [
            pa.array([record.rid for record in records], _SCHEMA.field("rid").type),
            pa.array([record.version for record in records], pa.int64()),
            pa.array([record.epoch for record in records], pa.int64()),
            pa.array([record.blob for record in records], pa.large_binary()),
        ],
        schema=_SCHEMA,
    )


def _from_arrow(rows: pa.Table | pa.RecordBatch) -> list[SealedRecord]:
    columns = (rows.column(name).to_pylist() for name in _COLUMNS)
    return [SealedRecord(*values) for values in zip(*columns, strict=True)]
