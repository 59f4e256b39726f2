"""Reading single records of a Lance table fast: by where they lie, without a query."""

from __future__ import annotations

from collections.abc import Sequence

import lance
import numpy as np

from memory_fabric.adapters.lance_files import is_read_error
from memory_fabric.adapters.lance_rows import NOWHERE, RowIndex, Rows, as_rids
from memory_fabric.core.records import RID_BYTES, SealedRecord

_FRAGMENT = 2**32
"""An address is the fragment's number times this, plus the row's number in its file."""


class RecordReader:
    """Knows where every record of a table lies, and reads records from there.

    A data file never changes once written, so a row is read from its fragment by its number there.
    Only the blob is read: rid, version and epoch are known, and the blob's seal is bound
    to all three, so that another row in its place does not open.

    One thread changes what it knows at a time; any may read meanwhile.
    """

    def __init__(self) -> None:
        self._index = RowIndex()
        self._fragments: set[int] = set()
        self._dataset: lance.LanceDataset | None = None

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
            dataset: nobody changes this view of the table from now on.
            added: what the new fragments hold, in this order; where it is not known, they are
                read.
        """
        present = {fragment.fragment_id for fragment in fragments}
        new = [part for part in fragments if part.fragment_id not in self._fragments]
        # A reader on its way must find the file of every address: dataset first, then rows.
        self._dataset, self._fragments = dataset, present
        if new:
            self._index.put(_rows_added(new, added) if added else _rows_of(dataset, new))

    def forget(self, rids: Sequence[bytes]) -> None:
        """Removed records are no longer found; unknown ids are ignored."""
        self._index.remove(rids)

    def fetch(self, rids: Sequence[bytes]) -> list[SealedRecord]:
        """The records with these ids, in this order; unknown ones are left out.

        Raises:
            OSError: one of them could not be read, or a change of the table took it away.
        """
        wanted = list(dict.fromkeys(rids))
        rows = self._index.find(wanted)
        there = np.flatnonzero(rows.address != NOWHERE)
        there = there[np.argsort(rows.address[there])]
        blobs = self._blobs(rows.address[there].tolist())
        versions, epochs = rows.version.tolist(), rows.epoch.tolist()
        records = {
            wanted[at]: SealedRecord(wanted[at], versions[at], epochs[at], blob)
            for at, blob in zip(there.tolist(), blobs, strict=True)
        }
        return [records[rid] for rid in rids if rid in records]

    def _blobs(self, addresses: list[int]) -> list[bytes]:
        """The blobs at these addresses, which ascend."""
        dataset = self._dataset
        if not addresses or dataset is None:
            return []
        try:
            # Lance calls this unstable; what is public takes rows by their rank, counts them anew
            # after each removal, or ends the process over a damaged file.
            # The index knows what was removed, so that no deletion file need be read.
            table = dataset._take_rows(addresses, ["blob"], ignore_deletions=True)
            blobs: list[bytes] = table["blob"].to_pylist()
        except BaseException as error:
            if not is_read_error(error):
                raise
            raise OSError(f"records could not be read: {error}") from None
        if len(blobs) != len(addresses):
            raise OSError("a record is gone")
        return blobs


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
