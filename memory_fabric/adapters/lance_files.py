"""The files under a Lance table: synced after a commit, checked after a crash, named when damaged.

Lance writes data, transaction and manifest of a version and syncs none of them; power lost
within half a minute leaves empty files behind. Files never change once written, save the hint
at the newest version; so what is new by name is what has to be synced.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import takewhile
from pathlib import Path

import lance
from lance.file import LanceFileReader

from memory_fabric.adapters.files import sync

_MAGIC = b"LANC"  # how Lance ends data files and manifests
_LAST = 2**64 - 1
_FOLDERS = ("data", "_deletions", "_transactions", "_versions")
_WRITTEN_ONCE = (".lance", ".manifest", ".txn", ".arrow", ".bin")
_HINT = "latest_version_hint.json"
_NAMED = re.compile(r"(?:data|_deletions|_versions|_transactions)/[^\s:,'\"]+\.\w+")


class SyncedFiles:
    """Knows which files of a table are on stable storage already.

    Args:
        table: the table's folder.

    Attributes:
        failed: a sync failed once. The kernel may have dropped what it could not write, and says
            so only that once: nothing may be built on these files until they are read anew.
    """

    def __init__(self, table: Path) -> None:
        self.failed = False
        self._table = table
        self._synced: dict[str, set[str]] = {}

    def sync(self) -> None:
        """Bring every file that is not yet known to stable storage, and its folder.

        Raises:
            OSError: the disk failed; what the last commit wrote may be lost.
        """
        try:
            self._sync_new()
        except OSError:
            self.failed = True
            raise

    def _sync_new(self) -> None:
        """Files first and then the folders that name them; those of a kind at once, since the
        disk takes several in one go.
        """
        present: dict[str, set[str]] = {}
        files: list[Path] = []
        folders: list[Path] = []
        for folder in _FOLDERS:
            path = self._table / folder
            names = present[folder] = {name for name in _names(path) if not _unfinished(name)}
            before = self._synced.get(folder, set())
            files += [path / name for name in names - before | names & {_HINT}]
            if names != before:
                folders.append(path)
        if not self._synced:
            folders += [self._table, self._table.parent]
        _each(sync, files)
        if self._synced:  # at opening there may be torn files that no version names any more
            for file in files:
                if file.name != _HINT:
                    check_end(file)
        _each(sync, folders)
        self._synced = present


_SYNCING = ThreadPoolExecutor(4, "sync")


def _each(act: Callable[[Path], None], paths: Sequence[Path]) -> None:
    """Do it to all of them, side by side; the first error where there is any."""
    for _ in _SYNCING.map(act, paths):
        pass


def step_over_torn(table: Path, durable: int) -> None:
    """Drop the newest versions, as far as a crash left them unreadable and they are not durable.

    Nobody was told that they hold. Where a newer one can be read, an older one that cannot is none
    that power loss tore: a cleanup was cut short, which removes data before manifests. Versions
    that can be read stay: the ledger's catalog decides about their records.

    Args:
        table: the table's folder.
        durable: the version up to which damage is damage.
    """
    manifests = _manifests(table)
    newer = sorted((version for version in manifests if version > durable), reverse=True)
    torn = list(takewhile(lambda version: not _whole(table, version), newer))
    # An erasure's compaction goes on from the durable version and cleans it away.
    if not torn or not any(durable <= version < torn[-1] for version in manifests):
        return
    for version in torn:
        manifests[version].unlink()
    (table / "_versions" / _HINT).unlink(missing_ok=True)
    for transaction in (table / "_transactions").glob("*.txn"):
        if transaction.stat().st_size == 0:
            transaction.unlink()
    sync(table / "_versions")


def damaged_file(table: Path, said: str) -> Path:
    """The file behind an error: the one it names, or the first that cannot be read."""
    named = _NAMED.search(said)
    if named:
        return table / named[0]
    manifests = [path for _, path in sorted(_manifests(table).items(), reverse=True)]
    if not manifests:
        return table / "_versions"
    for path in [manifests[0], *sorted((table / "data").glob("*.lance"))]:
        if not _ends_well(path):
            return path
    try:
        dataset = lance.dataset(table)
    except BaseException as error:
        if not is_read_error(error):
            raise
        return manifests[0]
    for fragment in dataset.get_fragments():
        try:
            fragment.to_table()
        except BaseException as error:
            if not is_read_error(error):
                raise
            return _unreadable(table, fragment)
    return manifests[0]


def _unreadable(table: Path, fragment: lance.LanceFragment) -> Path:
    """Which file of a fragment that cannot be read is to blame: its data, or its deletions."""
    data = table / "data" / fragment.data_files()[0].path
    deletions = fragment.deletion_file()
    if not deletions:
        return data
    try:
        LanceFileReader(str(data)).read_all().to_table()
    except BaseException as error:
        if not is_read_error(error):
            raise
        return data
    return table / deletions


def is_read_error(error: BaseException) -> bool:
    """Whether Lance raised it over what it read: its errors share no base, and it may panic."""
    return isinstance(error, (RuntimeError, ValueError, OSError)) or (
        type(error).__name__ in ("PanicException", "RustPanic")
    )


def manifest(table: Path, version: int) -> Path:
    """The file that says what a version consists of."""
    return table / "_versions" / f"{_LAST - version}.manifest"


def _manifests(table: Path) -> dict[int, Path]:
    """Every version that has a manifest: named 2^64 - 1 - version, so that the newest is first."""
    paths = (table / "_versions").glob("*.manifest")
    return {_LAST - int(path.stem): path for path in paths if path.stem.isdigit()}


def _whole(table: Path, version: int) -> bool:
    """Whether a version's manifest and the files that it refers to were written to their ends."""
    if not _ends_well(_manifests(table)[version]):
        return False
    try:
        return all(_ends_well(path) for path in _files_of(table, version))
    except BaseException as error:
        if not is_read_error(error):
            raise
        return False


def _files_of(table: Path, version: int) -> Iterator[Path]:
    for fragment in lance.dataset(table, version=version).get_fragments():
        yield from (table / "data" / file.path for file in fragment.data_files())
        deletions = fragment.deletion_file()
        if deletions:
            yield table / deletions


def _names(folder: Path) -> list[str]:
    return [entry.name for entry in os.scandir(folder)] if folder.is_dir() else []


def _unfinished(name: str) -> bool:
    """Whether Lance is still writing the file, or was when it died: it names what is whole."""
    return name != _HINT and not name.endswith(_WRITTEN_ONCE)


def check_end(path: Path) -> None:
    """Lance does not hear of an error in the last write to a file, and commits it nevertheless.

    Raises:
        OSError: the file is shorter than it should be.
    """
    if not _ends_well(path):
        raise OSError(errno.EIO, "a file was not written to its end")


def _ends_well(path: Path) -> bool:
    """Whether the file is there and has its end; deletion files have no mark of their own."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if path.suffix not in (".lance", ".manifest"):
                return size > 0
            file.seek(max(0, size - len(_MAGIC)))
            return file.read() == _MAGIC
    except FileNotFoundError:
        return False
