"""The driver's end of the sides: starts them, asks them in turns, ends them."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Any, cast

HERE = Path(__file__).parent
PEERS = Path(sys.prefix) / "bench" / "bin" / "python"
"""Python of the environment that ``make bench`` makes for the peers."""
PATIENCE = 1200.0
"""Seconds that one call may take."""


class SideFailed(Exception):
    """A side could not do what it was asked."""


class SideProcess:
    """One side. A failure of one call leaves it ready for the next, unless it died.

    Attributes:
        started: seconds from the start of the process until it could be asked: interpreter and
            imports.
    """

    def __init__(self, name: str, place: Path, folder: Path, rows: int) -> None:
        self.name, self.place = name, place
        python = PEERS if name in ("chroma", "qdrant") else Path(sys.executable)
        if not python.exists():
            raise SideFailed(f"{name} is not installed: run `make bench`")
        start = time.perf_counter()
        self._process = subprocess.Popen(  # noqa: S603
            [str(python), str(HERE / "side.py"), name, str(place), str(folder), str(rows)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self._answer(60.0)
        self.started = time.perf_counter() - start

    def call(self, method: str, **arguments: Any) -> Any:
        """What the side answers.

        Raises:
            SideFailed: it says what went wrong, or it is gone.
        """
        try:
            pipe = cast("IO[str]", self._process.stdin)
            pipe.write(json.dumps({"call": method, "with": arguments}) + "\n")
            pipe.flush()
        except OSError:
            raise SideFailed(f"{self.name} is gone") from None
        answer = self._answer(PATIENCE)
        if "failed" in answer:
            raise SideFailed(f"{self.name} {method}: {answer['failed']}")
        return answer["ok"]

    def close(self) -> None:
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(300)
        except subprocess.TimeoutExpired:
            self._process.kill()

    def _answer(self, patience: float) -> dict[str, Any]:
        timer = threading.Timer(patience, self._process.kill)
        timer.start()
        try:
            line = cast("IO[str]", self._process.stdout).readline()
        finally:
            timer.cancel()
        if not line:
            raise SideFailed(f"{self.name} ended, or took longer than {patience:.0f} s")
        answer: dict[str, Any] = json.loads(line)
        return answer


def in_turns(
    sides: Iterable[SideProcess], repeats: int, method: str, **arguments: Any
) -> dict[str, list[Any]]:
    """What each side answers at each turn. A side that fails has no entry, and says why."""
    found: dict[str, list[Any]] = {side.name: [] for side in sides}
    for _ in range(repeats):
        for side in sides:
            if side.name in found:
                try:
                    found[side.name].append(side.call(method, **arguments))
                except SideFailed as error:
                    print(f"  {error}", file=sys.stderr)
                    del found[side.name]
    return found
