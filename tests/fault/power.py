"""Power loss on a real file system: ext4 in an image file whose copy is what a disk would hold.

What a process has written and nobody has synced is in the kernel's cache and not in the image. A
copy of the image, taken while the process stands still, is the disk at the moment the power went;
mounting it replays ext4's journal, as the next start of the machine would.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fault.actors import Actor

SIZE = 32 << 20  # bytes: room for a journal and a home, and soon copied


def unsupported() -> str | None:
    """Why no image can be mounted here; ``None`` where it can."""
    if os.geteuid() != 0:
        return "mounting an image takes root"
    missing = [tool for tool in ("mkfs.ext4", "mount", "umount") if not shutil.which(tool)]
    if missing:
        return f"{', '.join(missing)} missing: make system-packages"
    if not Path("/dev/loop-control").exists():
        return "no loop devices here"
    return None


def made(image: Path) -> None:
    """An empty file system in a new file."""
    with image.open("xb") as file:
        file.truncate(SIZE)
    _run("mkfs.ext4", "-q", "-F", image)


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    """The file system in an image, for as long as the context is entered.

    ``noauto_da_alloc``: ext4 does not write on its own what was renamed over another file, so that
    only what was synced counts, as on stricter file systems.
    """
    at.mkdir(exist_ok=True)
    _run("mount", "-o", "loop,noauto_da_alloc", image, at)
    try:
        yield at
    finally:
        try:
            _run("umount", at)
        except OSError:  # somebody has a file open, for what a test failed: go when they go
            _run("umount", "-l", at)


def cut(image: Path, to: Path, actor: Actor | None = None, neighbour: Path | None = None) -> None:
    """Copy what the disk holds at this moment, with the process standing still.

    Args:
        neighbour: a file of somebody else on the same disk, synced just before. That commits the
            file system's journal: names and sizes of files whose content is not there yet.
    """
    if actor:
        actor.signal(signal.SIGSTOP)
    try:
        if neighbour:
            with neighbour.open("ab") as file:
                file.write(b"x")
                os.fsync(file.fileno())
        before: bytes | None = None
        while (now := image.read_bytes()) != before:  # the kernel may have been writing
            before = now
        to.write_bytes(now)
    finally:
        if actor:
            actor.signal(signal.SIGCONT)


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise OSError(f"{command[0]}: {done.stderr.strip()}")
