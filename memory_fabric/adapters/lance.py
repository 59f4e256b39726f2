"""The memory stack: sealed records in a LanceDB table that holds nothing else."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault("RUST_LOG", "error")  # read once, when lancedb is loaded

import lance

from memory_fabric.adapters.lance_compaction import FRAGMENT_ROWS, Compactor, Halt, never
from memory_fabric.adapters.lance_files import (
    SyncedFiles,
    check_end,
    damaged_file,
    is_read_error,
    manifest,
    step_over_torn,
)
from memory_fabric.adapters.lance_reading import RecordReader
from memory_fabric.adapters.sealed_columns import SCHEMA, from_columns, to_columns
from memory_fabric.core.errors import HomeError, IntegrityViolated, MemoryFabricError, Unavailable
from memory_fabric.core.records import SealedRecord

if TYPE_CHECKING:
    from lancedb.db import DBConnection

TABLE = "memories"
"""Name of the table."""
TIDY_EVERY = 64
"""Commits, or small fragments, from which on merging them is due: single adds must not slow what
follows."""
PRESSING = 2.0
"""Clutter that is not left to somebody else: whoever writes on clears it away."""
_TIDY_THRESHOLD = 0.1  # removed rows of a fragment that merging takes along, which costs little

_COLUMNS = SCHEMA.names
_SCAN_ROWS = 2048


class LanceStack:
    """Port ``Stack`` over a LanceDB table in a directory. Safe to share between threads.

    What is written is on stable storage before ``write`` returns. One process at a time may hold
    it.

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
        self._records = RecordReader()
        self._commits = 0
        self._small = self._scattered = 0
        self._compactor = Compactor(
            self._folder,
            self._lock,
            self._files,
            self._writing,
            self._newest,
            self._moved,
        )
        with self._reading():
            if durable is not None:
                step_over_torn(self._folder, durable)
            self._dataset = self._newest()
            check_end(manifest(self._folder, self.version))  # Lance minds it only when it writes
            self._learn()
        with self._writing():
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
        _connect(directory).create_table(TABLE, schema=SCHEMA)
        return cls(directory)

    def __len__(self) -> int:
        """Records held."""
        return len(self._records)

    @property
    def version(self) -> int:
        """The current version; grows with every change."""
        return int(self._dataset.version)

    def write(self, records: Sequence[SealedRecord]) -> int:
        """Add records, or replace those with the same ``rid``; all or none. The new version."""
        by_rid = {record.rid: record for record in records}
        if len(by_rid) < len(records):
            raise ValueError("a record stands twice in one write")
        with self._lock:
            if not records:
                with self._writing():
                    self._files.sync()
                return self.version
            before, replacing = self.version, bool(self._records.addresses(list(by_rid)))
            with self._writing():
                if replacing:
                    dataset = self._newest()  # a view that somebody may be reading stays
                    merge = dataset.merge_insert("rid")
                    merge = merge.when_matched_update_all().when_not_matched_insert_all()
                    merge.execute(to_columns(records))
                    self._dataset = dataset
                else:
                    rows = to_columns(records)
                    self._dataset = lance.write_dataset(rows, self._dataset, mode="append")
            # Somebody else's hand in the table shows as a version between: then all is read.
            added_alone = not replacing and self.version == before + 1
            return self._committed(records if added_alone else ())

    def remove(self, rids: Sequence[bytes]) -> int:
        """Remove records from the current version, unknown ones left aside. The new version.

        It is synced with the next write or compaction: where power is lost before, the records
        are there again, and the ledger knows that they are not to be.
        """
        with self._lock:
            known = self._records.addresses(rids)
            if not known:
                return self.version
            with self._writing():
                dataset = self._newest()
                # The addresses spare looking through all ids; the ids make sure of them.
                dataset.delete(f"{_at(known.values())} AND {_where(known)}")
                self._dataset = dataset
            self._records.forget(list(known))
            return self._committed(durable=False)

    def fetch(self, rids: Sequence[bytes]) -> list[SealedRecord]:
        """The records with these ids, in this order; missing ones are left out."""
        try:
            return self._records.fetch(rids)
        except OSError:  # a compaction may have taken a file away: without one, it is damage
            with self._lock, self._reading():
                return self._records.fetch(rids)

    def versions(self) -> tuple[bytes, bytes]:
        """The ids of all records, end to end, and in the same order their versions (8 bytes each,
        little-endian).
        """
        return self._records.versions()

    def scan(self) -> Iterator[list[SealedRecord]]:
        """All records of the version at the first step, in batches."""
        with self._lock, self._reading():
            dataset = self._newest()
            self._compactor.reading()
        try:
            with self._reading():
                for batch in dataset.to_batches(columns=_COLUMNS, batch_size=_SCAN_ROWS):
                    yield from_columns(batch)
        finally:
            self._compactor.read()

    def epochs(self) -> dict[int, int]:
        """How many records were sealed in which epoch; reads nothing else of them."""
        with self._lock, self._reading():
            column = self._newest().to_table(columns=["epoch"])["epoch"]
        return {item["values"].as_py(): item["counts"].as_py() for item in column.value_counts()}

    @property
    def clutter(self) -> float:
        """How much has piled up that ``tidy`` clears away: from 1 on it is due."""
        return max(self._commits, self._small - self._scattered) / TIDY_EVERY

    def tidy(self, halt: Halt = never) -> bool:
        """Merge small fragments, and drop what is left over; whether it came to its end."""
        return self._compact(_TIDY_THRESHOLD, halt)

    def compact(self, halt: Halt = never) -> bool:
        """Rewrite what is left so that the bytes of removed records are gone from the disk.

        Returns:
            Whether they are: not where it was halted, and not while a ``scan`` is still being
            read; then they go when that ends.
        """
        return self._compact(0.0, halt)

    def collect(self) -> None:
        """Drop files that no version names, which a crash may have left, and old versions."""
        self._compactor.clean_up()

    def _newest(self) -> lance.LanceDataset:
        """The newest version, as a view of its own that no later change moves."""
        return lance.dataset(self._folder)

    def _committed(self, added: Sequence[SealedRecord] = (), durable: bool = True) -> int:
        """Make the last commit durable, know its rows, and merge fragments when it is time."""
        if durable:
            with self._writing():
                self._files.sync()
        with self._reading():
            self._learn(added)
        self._commits += 1
        if self.clutter >= PRESSING:
            self._compact(_TIDY_THRESHOLD, wait=False)
        return self.version

    def _compact(self, threshold: float, halt: Halt = never, wait: bool = True) -> bool:
        done = self._compactor.compact(threshold, halt, wait)
        if done:
            with self._lock:
                # What is small now stands between large ones, and nothing merges it.
                self._commits, self._scattered = 0, self._small
        return done

    def _learn(self, added: Sequence[SealedRecord] = ()) -> None:
        """Know where the records of new fragments lie, and let go of fragments that are gone.

        Args:
            added: what the last commit added, if that is all that it did.
        """
        fragments = self._dataset.get_fragments()
        self._records.learn(self._dataset, fragments, added)
        self._small = sum(part.physical_rows < FRAGMENT_ROWS // 2 for part in fragments)

    def _moved(self) -> None:
        """Rows have moved to other fragments."""
        with self._reading():
            self._dataset = self._newest()
            self._learn()

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
            if self._files.failed:  # what could not be written cannot be read
                raise self._unwritable() from None
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
            raise self._unwritable() from None

    def _unwritable(self) -> Unavailable:
        return Unavailable(
            "stack-unwritable",
            f"The memory stack {self._folder} could not be written.",
            "Make sure that the disk has room and works, then open the site again.",
        )

    def _damaged(self, said: str) -> IntegrityViolated:
        file = damaged_file(self._folder, said).relative_to(self._folder.parent.parent)
        return IntegrityViolated(
            "stack-damaged",
            f"A file of the memory stack is not as it was written: {file}.",
            "Restore it from a backup; do not go on with what is left.",
            {"damaged": [str(file)]},
        )


def _connect(directory: Path) -> DBConnection:
    import lancedb  # takes a second, and most commands only read

    return lancedb.connect(directory)


def _at(addresses: Iterable[int]) -> str:
    return "_rowaddr IN (" + ",".join(map(str, addresses)) + ")"


def _where(rids: Iterable[bytes]) -> str:
    return "rid IN (" + ",".join(f"X'{rid.hex()}'" for rid in rids) + ")"
