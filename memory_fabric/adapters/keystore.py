"""The keyring at rest: one SQLite file of wrapped keys, which forgets what it deletes."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from memory_fabric.core.errors import HomeError, IntegrityViolated, Unavailable
from memory_fabric.core.ports import WrappedKey

_SCHEMA = """
CREATE TABLE IF NOT EXISTS keys (
    id BLOB PRIMARY KEY, kind TEXT NOT NULL, epoch INTEGER NOT NULL, wrapped BLOB NOT NULL
) STRICT, WITHOUT ROWID
"""
_INSERT = "INSERT INTO keys (id, kind, epoch, wrapped) VALUES (?, ?, ?, ?)"


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
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        with self._errors():
            for pragma in ("secure_delete=ON", "journal_mode=DELETE", "synchronous=EXTRA"):
                self._database.execute(f"PRAGMA {pragma}")
        with self._transaction():
            self._database.execute(_SCHEMA)

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
        """All keys, after a check of the file's structure."""
        with self._lock, self._errors():
            verdict = self._database.execute("PRAGMA integrity_check(1)").fetchone()[0]
            if verdict != "ok":
                raise self._damaged()
            rows = self._database.execute("SELECT id, kind, epoch, wrapped FROM keys")
            return [WrappedKey(*row) for row in rows]

    def put(self, keys: Sequence[WrappedKey]) -> None:
        """Add keys, durably."""
        with self._transaction():
            self._database.executemany(_INSERT, map(_row, keys))

    def destroy(self, ids: Sequence[bytes]) -> None:
        """Remove keys; their bytes are gone from the file."""
        with self._transaction():
            self._database.executemany("DELETE FROM keys WHERE id = ?", ([id_] for id_ in ids))

    def replace(self, keys: Sequence[WrappedKey]) -> None:
        """Replace the whole content; the old bytes are gone from the file."""
        with self._transaction():
            self._database.execute("DELETE FROM keys")
            self._database.executemany(_INSERT, map(_row, keys))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock, self._errors():
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:
                    self._database.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
                raise self._damaged() from None
            raise Unavailable(
                "keyring-unwritable",
                f"The keyring {self._path} cannot be used now ({error.sqlite_errorname}).",
                "Make sure that the disk has room and that nobody else holds the home.",
            ) from None
        except sqlite3.DatabaseError:
            raise self._damaged() from None

    def _damaged(self) -> IntegrityViolated:
        return IntegrityViolated(
            "keyring-damaged",
            f"The keyring {self._path} is not as it was written.",
            "Restore it from its escrow.",
            {"damaged": [f"{self._path.parent.name}/{self._path.name}"]},
        )


def _row(key: WrappedKey) -> tuple[bytes, str, int, bytes]:
    return key.id, key.kind, key.epoch, key.wrapped
