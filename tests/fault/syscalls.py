"""Faults beneath everything: the kernel asks a supervisor before each call that changes a file.

A process that has called ``supervise`` is stopped by seccomp (user notification, Linux 5.5) at
each call of ``CALLS``, in all of its threads, Python's, SQLite's and Lance's Rust alike. ``Watch``
in the test's process looks which file is meant and answers: go on, fail with this error, or die
here. Unlike injection by ``strace`` it counts over all threads, needs no name beforehand, and no
package. Only x86_64 and aarch64 are known.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import select
import signal
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_X86, _ARM = 0xC000003E, 0xC00000B7  # AUDIT_ARCH_*, linux/audit.h
_NONE = -1


@dataclass(frozen=True)
class _Call:
    """A system call: its numbers, and where it says which file it is about."""

    name: str
    x86: int
    arm: int
    file: int | None = None
    """Argument that holds a descriptor."""
    path: int | None = None
    """Argument that points to a path."""
    base: int | None = None
    """Argument with the folder that the path starts from; none is the working directory."""


_CALLS = [
    _Call("write", 1, 64, file=0),
    _Call("write", 18, 68, file=0),  # pwrite64
    _Call("write", 20, 66, file=0),  # writev
    _Call("write", 296, 70, file=0),  # pwritev
    _Call("write", 328, 287, file=0),  # pwritev2
    _Call("write", 326, 285, file=2),  # copy_file_range
    _Call("write", 40, 71, file=0),  # sendfile
    _Call("truncate", 77, 46, file=0),
    _Call("allocate", 285, 47, file=0),
    _Call("fsync", 74, 82, file=0),
    _Call("fsync", 75, 83, file=0),  # fdatasync
    _Call("rename", 82, _NONE, path=1),
    _Call("rename", 264, 38, base=2, path=3),
    _Call("rename", 316, 276, base=2, path=3),  # renameat2
    _Call("link", 86, _NONE, path=1),
    _Call("link", 265, 37, base=2, path=3),
    _Call("unlink", 87, _NONE, path=0),
    _Call("unlink", 263, 35, base=0, path=1),
    _Call("unlink", 84, _NONE, path=0),  # rmdir
    _Call("mkdir", 83, _NONE, path=0),
    _Call("mkdir", 258, 34, base=0, path=1),
    _Call("create", 257, 56, base=0, path=1),  # openat with O_CREAT
]
CALLS = sorted({call.name for call in _CALLS})
"""What is watched: each call that changes what lies on a disk, or makes it durable."""


@dataclass(frozen=True)
class Event:
    """One call that is about to happen; of a rename or link the new name."""

    call: str
    path: str


@dataclass(frozen=True)
class Fail:
    """The call does not happen and answers with an error."""

    error: int


class Die:
    """The process is killed here, by SIGKILL; the call does not happen."""


Answer = Fail | Die | None
Rule = Callable[[Event], Answer]
"""What becomes of an event; ``None`` lets it happen."""


# --- in the process that is watched -------------------------------------------------------------


def unsupported() -> str | None:
    """Why faults cannot be injected on this machine; ``None`` where they can."""
    if platform.machine() not in ("x86_64", "aarch64"):
        return f"system calls of {platform.machine()} are not known"
    try:
        with open("/proc/sys/kernel/seccomp/actions_avail") as actions:
            return None if "user_notif" in actions.read().split() else "no seccomp user_notif"
    except OSError:
        return "no seccomp here"


def supervise() -> int:
    """Put this process with all of its threads under supervision.

    Returns:
        The descriptor to be handed to a ``Watch``.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    program = _program()
    filters = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HQ", len(program) // 8, ctypes.addressof(filters))
    prog = ctypes.create_string_buffer(header, len(header))
    if libc.prctl(38, 1, 0, 0, 0):  # PR_SET_NO_NEW_PRIVS
        raise OSError(ctypes.get_errno(), "prctl")
    libc.prctl(0x59616D61, ctypes.c_ulong(-1), 0, 0, 0)  # PR_SET_PTRACER_ANY, where Yama asks
    number = {"x86_64": 317, "aarch64": 277}[platform.machine()]
    # SET_MODE_FILTER; TSYNC, NEW_LISTENER, TSYNC_ESRCH: LanceDB has begun a thread already.
    listener = libc.syscall(number, 1, 1 | 8 | 16, ctypes.byref(prog))
    if listener < 0:
        raise OSError(ctypes.get_errno(), "seccomp")
    return int(listener)


def _program() -> bytes:
    """The filter as classic BPF: calls of ``_CALLS`` ask the supervisor, all others go on."""
    load, equal, any_bit, answer = 0x20, 0x15, 0x45, 0x06
    asks, allows = 0x7FC00000, 0x7FFF0000
    numbers = [number for call in _CALLS if (number := _number(call)) != _NONE]
    opening = numbers.pop()  # the last of _CALLS
    body = [(load, 0, 0, 0)]
    # Jumps are relative to the next instruction; three stand between them and the asking.
    for at, number in enumerate(numbers):
        body.append((equal, len(numbers) - at + 2, 0, number))
    body += [
        (equal, 0, 3, opening),
        (load, 0, 0, 16 + 8 * 2),
        (any_bit, 0, 1, os.O_CREAT),
        (answer, 0, 0, asks),
        (answer, 0, 0, allows),
    ]
    return b"".join(struct.pack("HBBI", *step) for step in body)


def _number(call: _Call) -> int:
    return call.x86 if platform.machine() == "x86_64" else call.arm


# --- in the process that watches ----------------------------------------------------------------

_BY_NUMBER = {_number(call): call for call in _CALLS}
_RECEIVE, _SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, _SEND
_CONTINUE = 1


class Watch:
    """Answers for a supervised process, by the rule that is in force.

    Args:
        listener: what ``supervise`` returned there; closed when the process is gone.
        pid: the process.
        root: only files below it are noticed.
    """

    def __init__(self, listener: int, pid: int, root: Path) -> None:
        self._listener, self._pid = listener, pid
        self._root = f"{root}/"
        self._rule: Rule | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @contextmanager
    def under(self, rule: Rule) -> Iterator[None]:
        """Let a rule decide about what the process does meanwhile."""
        self._rule = rule
        try:
            yield
        finally:
            self._rule = None

    def join(self) -> None:
        """Wait until the process and its watch have ended."""
        self._thread.join(30)

    def _serve(self) -> None:
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        while True:
            if any(found & select.POLLHUP for _, found in poll.poll()):
                os.close(self._listener)
                return
            asked = bytearray(80)
            with suppress(OSError):  # it died meanwhile
                fcntl.ioctl(self._listener, _RECEIVE, asked)
                self._answer(asked)

    def _answer(self, asked: bytearray) -> None:
        cookie, tid, _, number, _, _, *arguments = struct.unpack("QIIiIQ6Q", asked)
        rule, answer = self._rule, None
        if rule is not None:
            path = self._path(tid, _BY_NUMBER[number], arguments)
            if path.startswith(self._root):
                answer = rule(Event(_BY_NUMBER[number].name, path.removeprefix(self._root)))
        if isinstance(answer, Die):
            os.kill(self._pid, signal.SIGKILL)
        elif isinstance(answer, Fail):
            fcntl.ioctl(self._listener, _SEND, struct.pack("QqiI", cookie, 0, -answer.error, 0))
        else:
            fcntl.ioctl(self._listener, _SEND, struct.pack("QqiI", cookie, 0, 0, _CONTINUE))

    def _path(self, tid: int, call: _Call, arguments: list[int]) -> str:
        """The file that a call is about; empty where it is none."""
        try:
            if call.file is not None:
                return os.readlink(f"/proc/{tid}/fd/{arguments[call.file]}")
            assert call.path is not None
            name = _text(tid, arguments[call.path])
            base = ctypes.c_int(arguments[call.base]).value if call.base is not None else -100
            folder = f"/proc/{tid}/cwd" if base == -100 else f"/proc/{tid}/fd/{base}"
            return os.path.join(os.readlink(folder), name)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ESRCH):
                return ""
            raise


def _text(tid: int, address: int) -> str:
    """A C string in another process."""
    with open(f"/proc/{tid}/mem", "rb", buffering=0) as memory:
        memory.seek(address)
        return memory.read(4096).split(b"\0", 1)[0].decode(errors="replace")
