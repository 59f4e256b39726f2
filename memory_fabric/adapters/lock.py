"""One process at a time in a home."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path

from memory_fabric.core.errors import HomeError

_PAUSE = 0.05  # seconds between attempts


class HomeLock:
    """An exclusive lock on a home, held as long as the process lives at most.

    The kernel keeps the lock (``flock``), so that it is free again after any end of the process.
    The file names the holder for people to read, and stays where it is.

    Args:
        path: the lock file, ``run/lock`` in the home; its folder is made if need be.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self, wait: float = 10.0) -> None:
        """Take the lock.

        Args:
            wait: seconds to wait for the present holder, so that short calls queue up.

        Raises:
            HomeError: ``home-busy``, naming the process that holds it; ``home-unwritable``.
        """
        if self._descriptor is not None:
            raise RuntimeError("this lock is held already")
        try:
            self._path.parent.mkdir(mode=0o700, exist_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HomeError(
                "home-unwritable",
                f"The home cannot be written ({error.strerror}).",
                "Make sure that its disk has room and works, and that it is yours.",
            ) from None
        try:
            self._take(descriptor, wait)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back; nothing happens where it is not held."""
        if self._descriptor is not None:
            with suppress(OSError):  # the name in it is for people; a bad disk keeps nobody locked
                os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def _take(self, descriptor: int, wait: float) -> None:
        deadline = time.monotonic() + wait
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    raise self._busy(descriptor) from None
                time.sleep(_PAUSE)
        with suppress(OSError):  # as in ``release``
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)

    def _busy(self, descriptor: int) -> HomeError:
        holder = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
        who = f"process {holder}" if holder.isdigit() else "another process"
        return HomeError(
            "home-busy",
            f"The home is in use by {who}.",
            "Wait for it to end, or serve the home with `memory-fabric site serve`.",
            {"pid": int(holder)} if holder.isdigit() else None,
        )
