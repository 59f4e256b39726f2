"""Rewriting a Lance table in the background: fragments merged, removed bytes dropped.

A piece is rewritten while others read and write; only to put it in place do they wait. A piece
that a writer changed meanwhile is given up and planned anew.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from pathlib import Path

import lance
from lance.optimize import Compaction, CompactionOptions, RewriteResult

from memory_fabric.adapters.files import sync
from memory_fabric.adapters.lance_files import SyncedFiles, check_end

FRAGMENT_ROWS = 4096
"""Rows of a merged fragment: what has to be rewritten to get rid of one removed record."""

_ROUNDS = 20  # of planning; each gets past the pieces that writers changed in the one before
_CONFLICT = "commit conflict"  # how Lance begins what it says of one; it has no type of its own

Halt = Callable[[], bool]
"""Whether to give up: asked between two pieces."""


def never() -> bool:
    """Go on to the end."""
    return False


class Compactor:
    """Rewrites one table. One rewriting or cleaning at a time; each of its steps is bounded.

    Args:
        folder: the table's.
        lock: held by whoever changes the table, and by this class to put a piece in place.
        files: made durable by.
        writing: turns what goes wrong on the disk into the stack's own error.
        newest: the newest version of the table.
        moved: told that rows have other places now; called with the lock held.
    """

    def __init__(
        self,
        folder: Path,
        lock: threading.RLock,
        files: SyncedFiles,
        writing: Callable[[], AbstractContextManager[None]],
        newest: Callable[[], lance.LanceDataset],
        moved: Callable[[], None],
    ) -> None:
        self._folder = folder
        self._lock = lock
        self._files = files
        self._writing = writing
        self._newest = newest
        self._moved = moved
        self._busy = threading.Lock()
        self._scans = 0
        self._postponed = False

    def compact(self, threshold: float, halt: Halt = never, wait: bool = True) -> bool:
        """Rewrite small fragments, and those of whose rows more than a part was removed; then
        drop old versions, and files that no version names.

        Args:
            threshold: that part; 0 for a single row.
            halt: asked between two pieces.
            wait: false where the caller holds the lock, and to do nothing while another is at it.

        Returns:
            Whether nothing is left to do: not where it was halted, where writers were faster,
            or where somebody still reads an old version.
        """
        if not self._busy.acquire(blocking=wait):
            return False
        try:
            return self._rewrite(threshold, halt) and self._clean_up()
        finally:
            self._busy.release()

    def clean_up(self, wait: bool = True) -> bool:
        """Drop old versions, and files that no version names; whether that could be done now."""
        if not self._busy.acquire(blocking=wait):
            return False
        try:
            return self._clean_up()
        finally:
            self._busy.release()

    def reading(self) -> None:
        """Somebody reads the newest version from now on; called with the lock held."""
        self._scans += 1

    def read(self) -> None:
        """They have done; what was kept for them can go."""
        with self._lock:
            self._scans -= 1
        if self._postponed:
            self.clean_up(wait=False)

    def _rewrite(self, threshold: float, halt: Halt) -> bool:
        options: CompactionOptions = {
            "target_rows_per_fragment": FRAGMENT_ROWS,
            "materialize_deletions_threshold": threshold,
        }
        last: int | None = None
        for _ in range(_ROUNDS):
            with self._lock, self._writing():
                dataset = self._newest()
            with self._writing():
                if last is None:
                    present = (fragment.fragment_id for fragment in dataset.get_fragments())
                    last = max(present, default=-1)
                tasks = [
                    task
                    for task in Compaction.plan(dataset, options).tasks
                    # Whoever writes on meanwhile shall not keep this from ending.
                    if any(fragment.id <= last for fragment in task.fragments)
                ]
            if not tasks:
                return True
            for task in tasks:
                if halt():
                    return False
                with self._writing():
                    piece = task.execute(dataset)
                    for fragment in piece.new_fragments:
                        for file in fragment.files:
                            path = self._folder / "data" / file.path
                            sync(path)
                            check_end(path)
                self._put(dataset, piece)
        return False

    def _put(self, dataset: lance.LanceDataset, piece: RewriteResult) -> None:
        """Put a rewritten piece in the place of its fragments, unless those have changed."""
        with self._lock, self._writing():
            try:
                Compaction.commit(dataset, [piece])
            except OSError as error:
                if _CONFLICT not in str(error):
                    raise
            else:
                self._files.sync()
                self._moved()

    def _clean_up(self) -> bool:
        with self._lock, self._writing():
            self._postponed = self._scans > 0
            if self._postponed:
                return False
            self._files.sync()  # before older versions go, the newest must be there to stay
            # Nothing is being written: every file that no version names was left by a crash.
            self._newest().cleanup_old_versions(older_than=timedelta(0), delete_unverified=True)
            self._files.sync()
            return True
