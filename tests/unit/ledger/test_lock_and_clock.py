"""One process in a home, and a time that does not run back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memory_fabric.adapters import clock as clocks
from memory_fabric.adapters.clock import SystemClock
from memory_fabric.adapters.lock import HomeLock
from memory_fabric.core.errors import HomeError
from tests.fakes.clock import ManualClock

_HOLDER = """
import sys, time
from pathlib import Path
from memory_fabric.adapters.lock import HomeLock
lock = HomeLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
time.sleep(60)
"""


def test_the_second_process_is_told_who_holds_the_home(tmp_path: Path) -> None:
    path = tmp_path / "run" / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(path)], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        lock = HomeLock(path)
        started = time.monotonic()
        with pytest.raises(HomeError, match=str(holder.pid)) as caught:
            lock.acquire(wait=0.2)
        assert 0.2 <= time.monotonic() - started < 5
        assert caught.value.code == "home-busy"
        assert caught.value.details == {"pid": holder.pid}
        holder.send_signal(signal.SIGKILL)
        lock.acquire(wait=10)
        assert path.read_text() == f"{os.getpid()}\n"
        lock.release()


def test_short_calls_queue_up(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    first, second = HomeLock(path), HomeLock(path)
    first.acquire()
    threading.Timer(0.2, first.release).start()
    second.acquire(wait=10)
    second.release()
    second.release()
    first.acquire(wait=0)
    first.release()


def test_the_system_s_time_is_utc_and_now() -> None:
    before = datetime.now(UTC)
    told = SystemClock().now()
    assert told.tzinfo is UTC
    assert before <= told <= datetime.now(UTC)


def test_the_clock_never_runs_back(monkeypatch: pytest.MonkeyPatch) -> None:
    manual = ManualClock()

    class Wall:
        """The machine's clock, which an operator may set."""

        min = datetime.min
        now = staticmethod(lambda zone: manual.now())

    monkeypatch.setattr(clocks, "datetime", Wall)
    clock = SystemClock()
    first = clock.now()
    manual.set(first - timedelta(hours=1))
    assert clock.now() == first
    manual.set(first)
    manual.advance(seconds=1)
    assert clock.now() == first + timedelta(seconds=1)
