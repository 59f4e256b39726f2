"""Reading single records of a Lance table fast: straight from its data files, without a query."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import lance
import numpy as np
from lance.file import LanceFileReader, ReaderResults

from memory_fabric.adapters.lance_files import is_read_error
from memory_fabric.adapters.lance_rows import NOWHERE, RowIndex, Rows, as_rids
from memory_fabric.core.records import RID_BYTES, SealedRecord

OPEN_FILES = 256
"""Data files kept open at most."""
_AT_ONCE = 16
"""So many files are asked before the first answer is waited for."""
_FRAGMENT = 2**32
"""An address is the fragment's number times this, plus the row's number in its file."""


class RecordReader:
    """Knows where every record of a table lies, and reads records from there.

    A data file never changes once written, so a row is read from its fragment's file by its
    number. Only the blob is read: rid, version and epoch are known, and the blob's seal is bound
    to all three, so that another row in its place does not open.

    One thread changes what it knows at a time; any may read meanwhile.

    Args:
        table: the table's folder.
    """

    def __init__(self, table: Path) -> None:
        self._table = table
        self._index = RowIndex()
        self._files: dict[int, str] = {}
        self._open: dict[int, LanceFileReader] = {}
        self._opening = threading.Lock()

    def __len__(self) -> int:
        """Records known."""
        return len(self._index)

    def addresses(self, rids: Sequence[bytes]) -> dict[bytes, int]:
        """Where the records with these ids lie, as Lance counts rows; unknown ids are left out."""
        found = zip(rids, self._index.find(rids).address.tolist(), strict=True)
        return {rid: address for rid, address in found if address != NOWHERE}

    def versions(self) -> tuple[bytes, bytes]:
        """All ids end to end, and in the same order their versions as int64, little-endian."""
        rows = self._index.all()
        return rows.rid.tobytes(), rows.version.astype("<i8").tobytes()

    def learn(
        self,
        dataset: lance.LanceDataset,
        fragments: Sequence[lance.LanceFragment],
        added: Sequence[SealedRecord] = (),
    ) -> None:
        """Take in fragments that are new among all of a dataset's, and let go of those gone.

        Args:
            added: what the new fragments hold, in this order; where it is not known, they are
                read.
        """
        new = [fragment for fragment in fragments if fragment.fragment_id not in self._files]
        # A reader on its way must find the file of every address: names first, then rows.
        self._files |= {fragment.fragment_id: fragment.data_files()[0].path for fragment in new}
        if new:
            self._index.put(_rows_added(new, added) if added else _rows_of(dataset, new))
        with self._opening:
            for gone in self._files.keys() - {fragment.fragment_id for fragment in fragments}:
                del self._files[gone]
                self._open.pop(gone, None)

    def forget(self, rids: Sequence[bytes]) -> None:
        """Removed records are no longer found; unknown ids are ignored."""
        self._index.remove(rids)

    def fetch(self, rids: Sequence[bytes]) -> list[SealedRecord]:
        """The records with these ids, in this order; unknown ones are left out.

        Raises:
            OSError: names the file that could not be read.
        """
        wanted = list(dict.fromkeys(rids))
        rows = self._index.find(wanted)
        columns = (rows.address.tolist(), rows.version.tolist(), rows.epoch.tolist())
        by_fragment: dict[int, dict[int, tuple[bytes, int, int]]] = {}
        for rid, address, version, epoch in zip(wanted, *columns, strict=True):
            if address != NOWHERE:
                fragment, number = divmod(address, _FRAGMENT)
                by_fragment.setdefault(fragment, {})[number] = (rid, version, epoch)
        records: dict[bytes, SealedRecord] = {}
        fragments = list(by_fragment)
        for start in range(0, len(fragments), _AT_ONCE):
            some = fragments[start : start + _AT_ONCE]
            answers = [self._ask(fragment, sorted(by_fragment[fragment])) for fragment in some]
            for fragment, answer in zip(some, answers, strict=True):
                found = by_fragment[fragment]
                for number, blob in zip(sorted(found), self._blobs(fragment, answer), strict=True):
                    record = SealedRecord(*found[number], blob)
                    records[record.rid] = record
        return [records[rid] for rid in rids if rid in records]

    def _ask(self, fragment: int, numbers: list[int]) -> ReaderResults:
        """Begin to read some rows of a fragment's file, whose numbers ascend."""
        with self._naming(fragment) as name:
            # One thread at a time asks a reader: it is taken out, and put back as the newest.
            reader = self._open.pop(fragment, None) or LanceFileReader(
                str(self._table / "data" / name), columns=["blob"]
            )
            answer = reader.take_rows(numbers)
        with self._opening:
            if fragment in self._files:
                self._open[fragment] = reader
            while len(self._open) > OPEN_FILES:
                del self._open[next(iter(self._open))]
        return answer

    def _blobs(self, fragment: int, answer: ReaderResults) -> list[bytes]:
        with self._naming(fragment):
            blobs: list[bytes] = answer.to_table()["blob"].to_pylist()
        return blobs

    @contextmanager
    def _naming(self, fragment: int) -> Iterator[str]:
        """The name of a fragment's file, which stands in the error if it cannot be read."""
        name = self._files.get(fragment)
        if name is None:
            raise OSError(f"fragment {fragment} is gone")
        try:
            yield name
        except BaseException as error:
            if not is_read_error(error):
                raise
            raise OSError(f"data/{name} could not be read: {error}") from None


def _rows_of(dataset: lance.LanceDataset, fragments: list[lance.LanceFragment]) -> Rows:
    """Where the records of some fragments lie, as columns."""
    columns = ["rid", "version", "epoch"]
    scanner = dataset.scanner(columns=columns, with_row_address=True, fragments=fragments)
    table = scanner.to_table()
    rids = b"".join(  # not value by value, which would take most of the time of opening
        memoryview(chunk.buffers()[1])[chunk.offset * RID_BYTES :][: len(chunk) * RID_BYTES]
        for chunk in table["rid"].chunks
    )
    numbers = (table[name].to_numpy() for name in ("_rowaddr", "version", "epoch"))
    return Rows(as_rids(rids), *numbers)


def _rows_added(fragments: list[lance.LanceFragment], added: Sequence[SealedRecord]) -> Rows:
    """Where records lie that were just appended, in their order."""
    addresses = [
        fragment.fragment_id * _FRAGMENT + np.arange(fragment.physical_rows, dtype=np.uint64)
        for fragment in sorted(fragments, key=lambda fragment: fragment.fragment_id)
    ]
    return Rows(
        as_rids(b"".join([record.rid for record in added])),
        np.concatenate(addresses),
        np.fromiter((record.version for record in added), np.int64, len(added)),
        np.fromiter((record.epoch for record in added), np.int64, len(added)),
    )
