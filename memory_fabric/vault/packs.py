"""Keys of tenants and subjects in their rows: which stretch of the table each row holds."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from memory_fabric.vault.keytable import HeldKey, KeyTable, packed, size_of
from memory_fabric.vault.rows import Plain, SealedRows

PACK = 1024
"""Keys in one row at most."""
KEYS = "keys"
"""Kind of these rows."""

_LOOSE = 64
"""So many rows that are not full are brought together."""


class _Row(NamedTuple):
    """A row's id, and the stretch of places in it."""

    id: bytes
    start: int
    stop: int


class Packs:
    """Writes changes of the keys through to their rows. Whoever calls it holds ``rows.changing``;
    the table itself is changed by its caller, once the rows are durable.
    """

    def __init__(self, rows: SealedRows, opened: Sequence[tuple[bytes, bytes]]) -> None:
        # Full rows first: the others stand at the end, where they can be brought together.
        ordered = sorted(opened, key=lambda row: -size_of(row[1]))
        self.table = KeyTable(pack for _, pack in ordered)
        self._rows = rows
        self._packs: list[_Row] = []
        self._note([row_id for row_id, _ in ordered], [size_of(pack) for _, pack in ordered])

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._packs)

    def write(self, made: Sequence[HeldKey]) -> None:
        """Write new keys, which the table is to have at its end."""
        parts = [made[at : at + PACK] for at in range(0, len(made), PACK)]
        ids = self._rows.change([(KEYS, packed(part)) for part in parts])
        self._note(ids, [len(part) for part in parts])

    def bury(self, places: Collection[int]) -> None:
        """Write tombstones in the place of keys, and nothing of those any more."""
        touched: dict[int, list[int]] = defaultdict(list)
        starts = [row.start for row in self._packs]
        for place in places:
            touched[bisect_right(starts, place) - 1].append(place)
        old = [self._packs[at] for at in touched]
        plains = [
            (KEYS, self.table.pack(row.start, row.stop, gone))
            for row, gone in zip(old, touched.values(), strict=True)
        ]
        ids = self._rows.change(plains, [row.id for row in old])
        for at, row_id in zip(touched, ids, strict=True):
            self._packs[at] = self._packs[at]._replace(id=row_id)

    def gather(self) -> None:
        """Bring many rows that are not full together: single writes leave one each."""
        full = next((n for n, row in enumerate(self._packs) if row.stop - row.start < PACK), None)
        if full is None or len(self._packs) - full < _LOOSE:
            return
        loose = self._packs[full:]
        bounds = list(_stretches(loose[0].start, loose[-1].stop))
        ids = self._rows.change(
            [(KEYS, self.table.pack(*ends)) for ends in bounds], [row.id for row in loose]
        )
        del self._packs[full:]
        self._note(ids, [stop - start for start, stop in bounds])

    def plains(self) -> Iterator[Plain]:
        """The content of as few rows as hold all keys."""
        for ends in _stretches(0, len(self.table)):
            yield KEYS, self.table.pack(*ends)

    def renewed(self, ids: Sequence[bytes]) -> None:
        """Those rows are the ones now."""
        self._packs = []
        self._note(ids, [stop - start for start, stop in _stretches(0, len(self.table))])

    def _note(self, ids: Sequence[bytes], sizes: Sequence[int]) -> None:
        at = self._packs[-1].stop if self._packs else 0
        for row_id, size in zip(ids, sizes, strict=True):
            self._packs.append(_Row(row_id, at, at + size))
            at += size


def _stretches(start: int, stop: int) -> Iterator[tuple[int, int]]:
    for at in range(start, stop, PACK):
        yield at, min(at + PACK, stop)
