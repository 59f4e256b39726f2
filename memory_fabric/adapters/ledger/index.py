"""The index of receipts: for each its kind and its moment, so that a search reads no bodies.

It repeats what the receipts say, and nothing is shown from it: each receipt that it finds is read
and checked against the tree. What is missing in it is made anew at opening; an entry that says
something else than its receipt is found by the audit.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, bindparam, false, func, or_, select

from memory_fabric.adapters.ledger.database import Database
from memory_fabric.adapters.ledger.tables import ENTRY, KIND, RECEIPT
from memory_fabric.core.receipt_search import Marks, Tally, Wanted, marks_of

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KIND, _ENTRY = tuple(KIND.c), tuple(ENTRY.c)
_BATCH = 1000


class Entry(NamedTuple):
    """What the index says of one receipt: ``at`` in microseconds since 1970."""

    marks: Marks
    at: int

    @classmethod
    def of(cls, receipt: Mapping[str, Any]) -> Entry:
        """What it should say of a receipt given as JSON."""
        return cls(marks_of(receipt), _microseconds(datetime.fromisoformat(receipt["at"])))


class Index:
    """The entries of one ledger; its few kinds are kept in memory.

    Args:
        database: where they stand.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kinds: dict[Marks, int] = {}

    def load(self, size: int) -> None:
        """Read the kinds, and enter those of the first ``size`` receipts that have no entry: an
        older version wrote them.

        Raises:
            IntegrityViolated: ``ledger-damaged``.
            Unavailable: ``ledger-unwritable``.
        """
        with self._database.reading() as connection:
            self._kinds = {marks: kind for kind, marks in kinds(self._database, connection).items()}
            whole = connection.scalar(select(func.count()).select_from(ENTRY)) == size
        if not whole:
            with self._database.writing() as connection:
                self._complete(connection)

    def _complete(self, connection: Connection) -> None:
        entered = select(ENTRY.c.leaf).where(ENTRY.c.leaf == RECEIPT.c.leaf).exists()
        missing = select(RECEIPT.c.leaf, RECEIPT.c.body).where(~entered)
        below, last = True, -1
        while below:
            batch: list[tuple[int, Entry]] = []
            page = missing.where(RECEIPT.c.leaf > last).order_by(RECEIPT.c.leaf).limit(_BATCH)
            below = False
            for row in self._database.rows(connection, page):
                below, last = True, row.leaf
                try:
                    batch.append((row.leaf, Entry.of(json.loads(row.body))))
                except (ValueError, LookupError, TypeError, AttributeError):
                    continue  # edited: the checks of the log say so
            self.known(self.add(connection, batch))

    def add(
        self, connection: Connection, entries: Sequence[tuple[int, Entry]]
    ) -> Mapping[Marks, int]:
        """Enter receipts by their leaves; the kinds that are new, to be made ``known`` once they
        are on stable storage.
        """
        fresh: dict[Marks, int] = {}
        for _, entry in entries:
            if entry.marks not in self._kinds and entry.marks not in fresh:
                fresh[entry.marks] = len(self._kinds) + len(fresh)
        named = [(kind, _text(marks)) for marks, kind in fresh.items()]
        self._database.insert(connection, _KIND, named)
        rows = [
            (leaf, fresh[entry.marks] if entry.marks in fresh else self._kinds[entry.marks],
             entry.at)
            for leaf, entry in entries
        ]  # fmt: skip
        self._database.insert(connection, _ENTRY, rows)
        return fresh

    def known(self, fresh: Mapping[Marks, int]) -> None:
        """Kinds that were committed."""
        if fresh:
            self._kinds = {**self._kinds, **fresh}

    def leaves(self, wanted: Wanted, below: int, limit: int) -> Select[int]:
        """Of the newest ``limit`` receipts that are wanted, with a leaf smaller than ``below``."""
        query = select(ENTRY.c.leaf).where(ENTRY.c.leaf < below, *self._conditions(wanted))
        return query.order_by(ENTRY.c.leaf.desc()).limit(limit)

    def tally(self, connection: Connection, wanted: Wanted, size: int) -> Iterator[Tally]:
        """How many of the first ``size`` receipts are wanted, by kind."""
        by_number = {kind: marks for marks, kind in self._kinds.items()}
        query = (
            select(ENTRY.c.kind, func.count().label("receipts"), func.max(ENTRY.c.at).label("at"))
            .where(ENTRY.c.leaf < size, *self._conditions(wanted))
            .group_by(ENTRY.c.kind)
        )
        for row in connection.execute(query):
            if row.kind not in by_number:
                raise self._database.damaged("its index names a kind that is not there.")
            newest = _EPOCH + row.at * _MICROSECOND
            yield Tally(by_number[row.kind], row.receipts, newest)

    def _conditions(self, wanted: Wanted) -> Iterator[ColumnElement[bool]]:
        if wanted.since:
            yield ENTRY.c.at >= _microseconds(wanted.since)
        if wanted.until:
            yield ENTRY.c.at < _microseconds(wanted.until)
        if wanted.any_kind:
            return
        seen = {marks: kind for marks, kind in self._kinds.items() if wanted.admits(marks)}
        named = _among([kind for marks, kind in seen.items() if wanted.names(marks)])
        prefix = wanted.id_prefix
        if prefix is None:
            yield named
            return
        after = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        by_id = select(RECEIPT.c.leaf).where(RECEIPT.c.id >= prefix, RECEIPT.c.id < after)
        yield or_(named, ENTRY.c.leaf.in_(by_id) & _among(list(seen.values())))


def kinds(database: Database, connection: Connection) -> dict[int, Marks]:
    """All kinds by their number.

    Raises:
        IntegrityViolated: ``ledger-damaged``.
    """
    found: dict[int, Marks] = {}
    for row in database.rows(connection, select(KIND.c.kind, KIND.c.marks).order_by(KIND.c.kind)):
        try:
            found[row.kind] = frozenset((str(name), str(value)) for name, value in _pairs(row))
        except (ValueError, TypeError):
            raise database.damaged("a kind of its index was edited.") from None
    if list(found) != list(range(len(found))) or len(set(found.values())) < len(found):
        raise database.damaged("a kind of its index is missing.")
    return found


def entries(database: Database, connection: Connection, first: int = 0) -> dict[int, Entry]:
    """The index by leaf from ``first`` on; empty where an older version wrote none."""
    if not database.has(connection, ENTRY):
        return {}
    by_number = kinds(database, connection)
    nothing: Marks = frozenset()
    query = select(ENTRY.c.leaf, ENTRY.c.kind, ENTRY.c.at).where(ENTRY.c.leaf >= first)
    return {
        row.leaf: Entry(by_number.get(row.kind, nothing), row.at)
        for row in database.rows(connection, query)
    }


def _among(numbers: Sequence[int]) -> ColumnElement[bool]:
    if not numbers:
        return false()
    # Written out: there may be more kinds than a statement may have parameters.
    return ENTRY.c.kind.in_(bindparam(None, numbers, expanding=True, literal_execute=True))


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _text(marks: Marks) -> str:
    return json.dumps(sorted(marks), separators=(",", ":"), ensure_ascii=False)


def _pairs(row: Any) -> Iterable[tuple[object, object]]:
    pairs: list[tuple[object, object]] = json.loads(row.marks)
    return pairs
