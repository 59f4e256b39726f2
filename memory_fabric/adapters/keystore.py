"""The keyring at rest: one SQLite file of sealed rows, which forgets what it deletes."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from memory_fabric.adapters.files import sync, wipe
from memory_fabric.core.errors import HomeError, IntegrityViolated, Unavailable
from memory_fabric.core.key_ports import WrappedKey

_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    id BLOB PRIMARY KEY, kind TEXT NOT NULL, epoch INTEGER NOT NULL, wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID
"""
_INSERT = "INSERT INTO keys (id, kind, epoch, wrapped) VALUES (?, ?, ?, ?)"
_DELETE = "DELETE FROM keys WHERE id = ?"


class SqliteKeyStore:
    """Port ``KeyStore`` over a file of mode 0600.

    Rows stand in the order of their random ids, deleted bytes are overwritten, and every change
    is synced with its directory before it returns. Use ``create`` for a new file.

    Raises:
        HomeError: ``keyring-missing``.
        IntegrityViolated: ``keyring-damaged``, here and from every method.
        Unavailable: ``keyring-unwritable``, from methods that write; nothing was changed.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise HomeError(
                "keyring-missing",
                f"There is no keyring {path}.",
                "Restore it from its escrow; without it the memories cannot be opened.",
            )
        os.chmod(path, 0o600)
        self._path = path
        self._next, self._last = path.with_suffix(".next"), path.with_suffix(".last")
        self._lock = threading.Lock()
        self._unsure = False
        with self._errors():
            self._clear_away()
            self._database = self._connect()

    @classmethod
    def create(cls, path: Path) -> SqliteKeyStore:
        """An empty store.

        Raises:
            HomeError: ``keyring-exists``.
        """
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except FileExistsError:
            raise HomeError(
                "keyring-exists",
                f"There is a keyring {path} already.",
                "Open it, or choose another home.",
            ) from None
        return cls(path)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def load(self) -> list[WrappedKey]:
        """All rows, after a check of the file's structure."""
        with self._lock, self._errors():
            verdict = self._database.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if verdict != "ok":
                raise self._damaged()
            rows = self._database.execute("SELECT id, kind, epoch, wrapped FROM keys")
            return [WrappedKey(*row) for row in rows]

    def change(self, add: Sequence[WrappedKey], remove: Sequence[bytes] = ()) -> None:
        """Remove rows, whose bytes are gone from the file, and add others: one transaction."""
        with self._lock, self._errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                self._database.executemany(_DELETE, ([row_id] for row_id in remove))
                self._database.executemany(_INSERT, map(_row, add))
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    def replace(self, rows: Iterable[WrappedKey]) -> None:
        """Put a new file in the place of this one, and overwrite the old one's bytes.

        A crash leaves either file in force; what is left of the other is overwritten by the next
        opening.
        """
        with self._lock, self._errors():
            try:
                self._clear_away()
                self._write_next(rows)
                os.link(self._path, self._last)
                self._next.replace(self._path)
            except BaseException:
                with suppress(OSError):
                    self._clear_away()
                raise
            self._unsure = True  # which of the two a power loss would leave
            self._database.close()
            self._database = self._connect()
            sync(self._path.parent)
            self._unsure = False
            with suppress(OSError):  # or else the next opening does it
                self._clear_away()

    def _write_next(self, rows: Iterable[WrappedKey]) -> None:
        os.close(os.open(self._next, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        database = sqlite3.connect(self._next, isolation_level=None)
        try:
            # Nobody reads this file before it is whole and synced.
            for pragma in ("journal_mode=OFF", "synchronous=OFF"):
                database.execute(f"PRAGMA {pragma}")
            database.execute("BEGIN IMMEDIATE")
            database.execute(_SCHEMA)
            database.executemany(_INSERT, map(_row, rows))
            database.execute("COMMIT")
        finally:
            database.close()
        sync(self._next)

    def _clear_away(self) -> None:
        """Overwrite and remove what a replacement has left of the keyring that is not in force."""
        for path in (self._next, self._last):
            if path.exists():
                if path.samefile(self._path):  # a crash before the new one took its place
                    path.unlink()
                    sync(path.parent)
                else:
                    wipe(path)

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None)
        for pragma in ("secure_delete=ON", "journal_mode=DELETE", "synchronous=EXTRA"):
            database.execute(f"PRAGMA {pragma}")
        database.execute(_SCHEMA)
        return database

    @contextmanager
    def _errors(self) -> Iterator[None]:
        if self._unsure:
            raise self._unwritable("it failed in a way that only reopening the home gets over")
        try:
            yield
        except sqlite3.OperationalError as error:
            # After a failed sync nobody knows what is on the disk, so nothing is built on it.
            self._unsure |= error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_IOERR
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise self._damaged() from None
            raise self._unwritable(error.sqlite_errorname) from None
        except sqlite3.DatabaseError:
            raise self._damaged() from None
        except OSError as error:
            raise self._unwritable(error.strerror or "input or output failed") from None

    def _unwritable(self, why: str) -> Unavailable:
        return Unavailable(
            "keyring-unwritable",
            f"The keyring {self._path} cannot be used now ({why}).",
            "Make sure that the disk has room and that nobody else holds the home.",
        )

    def _damaged(self) -> IntegrityViolated:
        return IntegrityViolated(
            "keyring-damaged",
            f"The keyring {self._path} is not as it was written.",
            "Restore it from its escrow.",
            {"damaged": [f"{self._path.parent.name}/{self._path.name}"]},
        )


def _row(key: WrappedKey) -> tuple[bytes, str, int, bytes]:
    return key.id, key.kind, key.epoch, key.wrapped
