"""Backups in a folder: on a disk, a stick, or whatever is mounted there."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from memory_fabric.adapters.files import replace_file, sync
from memory_fabric.adapters.sealed_columns import SCHEMA, from_columns, to_columns
from memory_fabric.core.errors import InputError, IntegrityViolated, NotFound, Unavailable
from memory_fabric.core.records import SealedRecord

PIECE_BYTES = 1 << 20
"""Length of the pieces that large files are kept in."""

_MARK = "memory-fabric-backup"
_PARTS = ("manifests", "objects")
_NUMBER_DIGITS = 8


class BackupFolder:
    """Port ``BackupStore`` over a folder. Use ``create`` for a new one.

        memory-fabric-backup      says what this folder is; locked by whoever writes
        manifests/00000001.json   one a backup
        objects/ab/abcd...        everything else, by its SHA-256

    Raises:
        NotFound: ``backup-unknown``: there is none at this place.
        Unavailable: ``backup-unwritable``, from methods that write.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / _MARK).is_file():
            raise NotFound(
                "backup-unknown",
                f"There is no backup in {folder}.",
                "Name the folder that `backup create` wrote to.",
            )
        self._folder = folder

    @classmethod
    def create(cls, folder: Path) -> BackupFolder:
        """The folder, made ready where it is new or empty.

        Raises:
            InputError: ``backup-place-taken``: something else is in it.
            Unavailable: ``backup-unwritable``.
        """
        if not (folder / _MARK).is_file():
            if folder.exists() and not (folder.is_dir() and _ours_so_far(folder)):
                raise InputError(
                    "backup-place-taken",
                    f"There is something in {folder} that is no backup.",
                    "Name a new folder, or one that holds this site's backups.",
                )
            with _errors(folder):
                for part in _PARTS:
                    (folder / part).mkdir(mode=0o700, parents=True, exist_ok=True)
                replace_file(folder / _MARK, b"1\n", durable=True)
        return cls(folder)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold it alone; ``backup-busy`` where somebody else does."""
        with (self._folder / _MARK).open("rb") as mark:
            try:
                fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Unavailable(
                    "backup-busy",
                    f"Another process writes a backup to {self._folder}.",
                    "Wait for it to end.",
                ) from None
            yield

    def manifests(self) -> list[int]:
        """The numbers of the manifests that are there, ascending."""
        names = [path.stem for path in (self._folder / "manifests").glob("*.json")]
        return sorted(int(name) for name in names if name.isdecimal())

    def read_manifest(self, number: int) -> tuple[bytes, bytes]:
        """A manifest's body and its signature, unchecked."""
        path = self._manifest(number)
        try:
            told = json.loads(path.read_bytes())
            return told["body"].encode(), bytes.fromhex(told["signature"])
        except FileNotFoundError:
            raise NotFound(
                "backup-unknown",
                f"There is no backup {number} in {self._folder}.",
                "Leave the number out to take the newest.",
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise _damaged(path) from None

    def write_manifest(self, number: int, body: bytes, signature: bytes) -> None:
        """Keep a manifest, durably: with it the backup counts."""
        told = json.dumps({"body": body.decode(), "signature": signature.hex()})
        with _errors(self._folder):
            replace_file(self._manifest(number), told.encode(), durable=True)

    def put(self, content: bytes) -> str:
        """Keep an object, durably; its name."""
        name = hashlib.sha256(content).hexdigest()
        path = self._object(name)
        if path.exists():
            # What stands there may be cut or rotten: only bytes that are right are left.
            try:
                self.get(name)
            except IntegrityViolated:
                path.unlink()
            else:
                return name
        with _errors(self._folder):
            if not path.parent.exists():
                path.parent.mkdir(mode=0o700)
                sync(path.parent.parent)
            replace_file(path, content, durable=True)
        return name

    def get(self, name: str) -> bytes:
        """An object."""
        path = self._object(name)
        try:
            content = path.read_bytes()
        except OSError:
            raise _damaged(path) from None
        if hashlib.sha256(content).hexdigest() != name:
            raise _damaged(path)
        return content

    def put_records(self, records: Sequence[SealedRecord]) -> str:
        """Keep sealed records as one object: an Arrow IPC stream."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, SCHEMA) as writer:
            writer.write_table(to_columns(records))
        return self.put(sink.getvalue().to_pybytes())

    def get_records(self, name: str) -> list[SealedRecord]:
        """The inverse."""
        try:
            with pa.ipc.open_stream(self.get(name)) as reader:
                table = reader.read_all()
                if table.schema != SCHEMA:
                    raise ValueError("other columns")
                return from_columns(table)
        except (pa.ArrowException, ValueError):
            raise _damaged(self._object(name)) from None

    def put_file(self, path: Path) -> list[str]:
        """Keep a file in pieces of one size."""
        names = []
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                names.append(self.put(piece))
        return names

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """A folder of its own for copies in the making, gone afterwards."""
        with _errors(self._folder):
            for left in self._folder.glob(".making-*"):
                shutil.rmtree(left)
            made = Path(tempfile.mkdtemp(dir=self._folder, prefix=".making-"))
        try:
            yield made
        finally:
            shutil.rmtree(made, ignore_errors=True)

    def forget(self, numbers: Sequence[int], needed: frozenset[str]) -> int:
        """Drop manifests, and every object that is not among the needed ones; how many went."""
        with _errors(self._folder):
            for number in numbers:
                self._manifest(number).unlink(missing_ok=True)
            sync(self._folder / "manifests")
            stale = [
                path for path in (self._folder / "objects").glob("*/*") if path.name not in needed
            ]
            for path in stale:
                path.unlink()
            for folder in {path.parent for path in stale}:
                sync(folder)
        return len(stale)

    def _manifest(self, number: int) -> Path:
        return self._folder / "manifests" / f"{number:0{_NUMBER_DIGITS}}.json"

    def _object(self, name: str) -> Path:
        # Names come from manifests, which may be anybody's until their signature is checked.
        if len(name) != 2 * hashlib.sha256().digest_size or not set(name) <= set(
            "0123456789abcdef"
        ):
            raise _damaged(self._folder / "manifests")
        return self._folder / "objects" / name[:2] / name


def _ours_so_far(folder: Path) -> bool:
    """Whether nothing is in it but what a ``create`` that was cut short leaves."""
    return all(
        not any(path.iterdir())
        if path.name in _PARTS and path.is_dir()
        # The draft of the mark: it holds no data that could be lost.
        else path.name == f"{_MARK}.new"
        for path in folder.iterdir()
    )


@contextmanager
def _errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(
            "backup-unwritable",
            f"The backup in {folder} cannot be written ({os.strerror(error.errno or 0)}).",
            "Make sure that the disk is there and has room; what was complete stays complete.",
        ) from None


def _damaged(path: Path) -> IntegrityViolated:
    return IntegrityViolated(
        "backup-damaged",
        f"A file of the backup is not as it was written: {path.name}.",
        "Back up into a new folder while the site still stands, and find out what happened here.",
        {"damaged": [f"{path.parent.name}/{path.name}"]},
    )
