"""The database under the ledger: all that is particular to SQLite stands here."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    Column,
    CompoundSelect,
    Connection,
    FromClause,
    Insert,
    Row,
    Select,
    Table,
    Update,
    create_engine,
    event,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPICursor
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel

from memory_fabric.adapters.files import sync
from memory_fabric.adapters.ledger.tables import LATER, TABLES
from memory_fabric.core.errors import HomeError, IntegrityViolated, Unavailable

_PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",  # the log is synced at each commit, not only at its checkpoints
    "secure_delete=ON",
    # Pages of the log are carried over into the file every 16 MiB: each time costs two more syncs,
    # and pages that change with every receipt are carried once.
    "wal_autocheckpoint=4000",
    "temp_store=MEMORY",
    "trusted_schema=OFF",
    "cell_size_check=ON",
)
BUSY_MILLISECONDS = 5000
"""How long to wait for a neighbour, a backup say, to let go of the file."""
_TRIES, _BETWEEN = 40, 0.05  # of emptying the journal between two readers; seconds

_OUT_OF_REACH = frozenset(
    {
        sqlite3.SQLITE_BUSY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_READONLY,
    }
)  # fmt: skip
"""SQLite's words for a disk or a neighbour in the way; any other failure is the file's own."""

Columns = tuple[Column[Any], ...]
"""Some of one table's columns, in the table's order."""
_Query = Select[*tuple[Any, ...]] | CompoundSelect[*tuple[Any, ...]]


class Database:
    """Transactions on one database.

    Args:
        where: a SQLite file, or a SQLAlchemy URL.
    """

    def __init__(self, where: str | Path) -> None:
        is_url = isinstance(where, str) and "://" in where
        url = make_url(where) if isinstance(where, str) and is_url else None
        if url is None:
            url = make_url("sqlite://").set(database=str(where))
        self.file = Path(url.database) if url.database and _is_sqlite(url.drivername) else None
        self.name = self.file.name if self.file else url.render_as_string(hide_password=True)
        self._identity = self._file_identity()
        # Parameters are receipts: they stay out of the texts of errors.
        engine = create_engine(url, hide_parameters=True)
        if self.file:
            event.listen(engine, "connect", _set_up)
            event.listen(engine, "begin", _begin)
        self._engine = engine
        self._compiled: dict[tuple[type, Columns], str] = {}
        self._writer = engine.execution_options(ledger_writes=True)

    def create(self) -> None:
        """An empty file (where there are files) and the tables.

        Raises:
            HomeError: ``ledger-exists``.
        """
        if self.file:
            flags = os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            try:
                os.close(os.open(self.file, flags, 0o600))
            except FileExistsError:
                raise HomeError(
                    "ledger-exists",
                    f"There is a ledger {self.file} already.",
                    "Open it, or choose another home.",
                ) from None
            self._identity = self._file_identity()
            sync(self.file.parent)
        with self.writing() as connection:
            SQLModel.metadata.create_all(connection, tables=list(TABLES))

    def complete(self) -> None:
        """Add tables that an older version did not have; nothing where none is missing.

        Raises:
            IntegrityViolated: ``ledger-damaged``.
            Unavailable: ``ledger-unwritable``.
        """
        with self.reading() as connection:
            known = set(inspect(connection).get_table_names())
        lacking = [table for table in LATER if table.name not in known]
        if lacking and "meta" in known:
            with self.writing() as connection:
                SQLModel.metadata.create_all(connection, tables=lacking)

    @staticmethod
    def has(connection: Connection, table: FromClause) -> bool:
        """Whether a table is there, which an older version may not have made."""
        return isinstance(table, Table) and inspect(connection).has_table(table.name)

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent view of everything committed.

        Raises:
            IntegrityViolated: ``ledger-damaged``.
            Unavailable: ``ledger-unreadable``.
        """
        with self._errors("ledger-unreadable"), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """One transaction, the only one that writes; on stable storage when the block ends.

        Raises:
            IntegrityViolated: ``ledger-damaged``, ``ledger-rolled-back``.
            Unavailable: ``ledger-unwritable``; nothing was committed.
        """
        with self._errors("ledger-unwritable"), self._writer.begin() as connection:
            # Else SQLite would go on writing to a file that no longer has a name.
            if self._file_identity() != self._identity:
                raise self.rolled_back("The file was exchanged while it was open.")
            yield connection

    def rows(
        self,
        connection: Connection,
        query: _Query,
    ) -> Iterator[Row[Any]]:
        """A query's rows, a thousand in memory at a time.

        Raises:
            IntegrityViolated: ``ledger-damaged``, where a column holds another type than its own,
                which SQLite lets anybody write.
        """
        types = [column.type.python_type for column in query.selected_columns]
        for row in connection.execute(query, execution_options={"yield_per": 1000}):
            if [type(value) for value in row] != types:
                raise self.damaged("a column holds a value of another type.")
            yield row

    def only(self, connection: Connection, columns: Columns) -> tuple[Any, ...] | None:
        """Columns of a table that has one row; ``None`` where it has none, or more.

        Raises:
            IntegrityViolated: ``ledger-damaged``, as ``rows`` does.
        """
        found = self._run(connection, select(*columns), columns).fetchmany(2)
        if len(found) != 1:
            return None
        row: tuple[Any, ...] = found[0]
        if [type(value) for value in row] != [column.type.python_type for column in columns]:
            raise self.damaged("a column holds a value of another type.")
        return row

    def insert(
        self, connection: Connection, columns: Columns, rows: Sequence[tuple[Any, ...]]
    ) -> None:
        """Add rows to the columns' table. Each value is of its column's own type, and goes to the
        driver as it is: a bulk write has very many of them.
        """
        if rows:
            self._run(connection, insert(columns[0].table), columns, rows)

    def update_only(self, connection: Connection, columns: Columns, row: tuple[Any, ...]) -> None:
        """Set columns of a table that has one row."""
        self._run(connection, update(columns[0].table), columns, [row])

    def _run(
        self,
        connection: Connection,
        statement: Insert | Update | Select[*tuple[Any, ...]],
        columns: Columns,
        rows: Sequence[tuple[Any, ...]] = (),
    ) -> DBAPICursor:
        """A statement compiled once and given to the driver itself. These are what every receipt
        needs, and what SQLAlchemy does for each takes longer than SQLite does.
        """
        names = [column.name for column in columns]
        known = type(statement), columns
        if known not in self._compiled:
            made = statement.compile(self._engine, column_keys=names)
            self._compiled[known] = str(made)
        numbered = self._engine.dialect.positional
        given: list[Any] = list(rows)
        if not numbered:
            given = [dict(zip(names, row, strict=True)) for row in rows]
        cursor = connection.connection.cursor()
        with _as_sqlalchemy_says(self._engine.dialect.loaded_dbapi.Error):
            if given:
                cursor.executemany(self._compiled[known], given)
            else:
                cursor.execute(self._compiled[known])
        return cursor

    def copy_to(self, path: Path) -> None:
        """One consistent copy of a SQLite file, as one new file.

        Raises:
            Unavailable: ``ledger-unreadable``, ``ledger-not-a-file``.
        """
        if not self.file:
            raise Unavailable(
                "ledger-not-a-file",
                f"The ledger stands in {self.name}, which copies itself.",
                "Back it up with the database server's own tools, at the same time.",
            )
        try:
            with (
                closing(sqlite3.connect(self.file)) as source,
                closing(sqlite3.connect(path)) as target,
            ):
                source.backup(target)
        except sqlite3.Error as error:
            cause = getattr(error, "sqlite_errorname", type(error).__name__)
            raise Unavailable(
                "ledger-unreadable",
                f"The ledger {self.name} could not be copied ({cause}).",
                "Make sure that the disk has room.",
            ) from None

    def structure_faults(self, connection: Connection) -> list[str]:
        """What the database engine itself finds broken below the tables."""
        if not self.file:
            return []
        found = connection.exec_driver_sql("PRAGMA integrity_check(10)").scalars().all()
        return [] if found == ["ok"] else [str(fault) for fault in found]

    def scrub(self) -> None:
        """Bring what stands in the write-ahead log into the file, and empty it. What rows are
        deleted or replaced by is overwritten in the file itself (``secure_delete``).

        Raises:
            Unavailable: ``ledger-unwritable``: a neighbour still reads from the log.
        """
        if not self.file:
            return
        for _ in range(_TRIES):
            if self._emptied():
                return
            time.sleep(_BETWEEN)
        raise Unavailable(
            "ledger-unwritable",
            f"The journal of the ledger {self.name} could not be emptied: somebody reads it.",
            "Nothing needs doing; it is tried again.",
        )

    def _emptied(self) -> bool:
        with closing(self._engine.raw_connection()) as raw:
            try:
                # Waiting for a reader would keep everybody from writing meanwhile.
                raw.cursor().execute("PRAGMA busy_timeout=0")
                told = raw.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                busy = bool(told[0])
            except sqlite3.OperationalError:
                busy = True
            finally:
                raw.cursor().execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
        return not busy

    def damaged(self, what: str) -> IntegrityViolated:
        """``ledger-damaged``, naming the database."""
        return IntegrityViolated(
            "ledger-damaged",
            f"The ledger {self.name} is not as it was written: {what}",
            "Keep it for the inquiry, run `site verify`, and restore the home from a backup.",
            {"damaged": [self.name]},
        )

    def rolled_back(self, what: str) -> IntegrityViolated:
        """``ledger-rolled-back``, naming the database."""
        return IntegrityViolated(
            "ledger-rolled-back",
            f"The ledger {self.name} is behind what was already acknowledged: {what}",
            "Find out who replaced it, and bring the newest ledger back.",
            {"damaged": [self.name]},
        )

    def _file_identity(self) -> tuple[int, int] | None:
        if not self.file or not self.file.exists():
            return None
        status = self.file.stat()
        return status.st_dev, status.st_ino

    @contextmanager
    def _errors(self, code: str) -> Iterator[None]:
        try:
            yield
        except DBAPIError as error:
            name = _damage(error)
            if name:
                raise self.damaged(f"{name}.") from None
            cause = getattr(error.orig, "sqlite_errorname", type(error.orig).__name__)
            raise Unavailable(
                code,
                f"The ledger {self.name} cannot be used now ({cause}); nothing was committed.",
                "Make sure that the disk has room and that nobody else holds the home.",
            ) from None


def _is_sqlite(drivername: str) -> bool:
    return drivername.split("+")[0] == "sqlite"


def _damage(error: DBAPIError) -> str | None:
    """What SQLite says where the file itself is at fault."""
    if not isinstance(error.orig, sqlite3.Error):
        return None
    code = getattr(error.orig, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)
    if code & 0xFF in _OUT_OF_REACH:
        return None
    return str(getattr(error.orig, "sqlite_errorname", "a text is not Unicode"))


def _set_up(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # transactions begin in `_begin`, not where sqlite3 guesses
    for pragma in _PRAGMAS:
        connection.execute(f"PRAGMA {pragma}")
    connection.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")


def _begin(connection: Connection) -> None:
    writes = connection.get_execution_options().get("ledger_writes", False)
    with _as_sqlalchemy_says(sqlite3.Error):
        connection.connection.cursor().execute("BEGIN IMMEDIATE" if writes else "BEGIN")


@contextmanager
def _as_sqlalchemy_says(driver_error: type[Exception]) -> Iterator[None]:
    """The driver's errors as those that SQLAlchemy makes of them, without any parameters."""
    try:
        yield
    except driver_error as error:
        told = DBAPIError.instance(None, None, error, driver_error, hide_parameters=True)
        raise told from None
