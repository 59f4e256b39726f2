"""Measuring two ways side by side on a machine that also does other things."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Spread:
    """Repeats of one measurement."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    def __str__(self) -> str:
        low, high = min(self.values), max(self.values)
        if len(self.values) == 1:
            return number(self.median)
        return f"{number(self.median)} ({number(low)} to {number(high)})"


@dataclass(frozen=True)
class Figure:
    """One line of the table: the same thing done by plaintext LanceDB and by the sealed stack.

    The repeats of both were taken in turns, so that a busy minute meets both; the ratio is the
    median of the ratios of the turns.
    """

    name: str
    unit: str
    plain: Spread
    sealed: Spread

    @property
    def ratio(self) -> Spread:
        pairs = zip(self.plain.values, self.sealed.values, strict=True)
        return Spread(tuple(sealed / plain for plain, sealed in pairs))


def seconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def milliseconds_p50(run: Callable[[int], object], over: Sequence[int]) -> float:
    """The median time of one call."""
    return 1000 * median(seconds(partial(run, at)) for at in over)


def in_turns(
    name: str,
    plain: Callable[[int], object],
    sealed: Callable[[int], object],
    queries: Sequence[int],
    repeats: int,
) -> Figure:
    """p50 of both, in turns, after a warm-up."""
    for run in (plain, sealed):
        milliseconds_p50(run, queries[:10])
    turns = [
        (milliseconds_p50(plain, queries), milliseconds_p50(sealed, queries))
        for _ in range(repeats)
    ]
    first, second = zip(*turns, strict=True)
    return Figure(name, "ms", Spread(first), Spread(second))


def fsync_milliseconds(folder: Path) -> float:
    """What this disk takes to keep 4 KiB: the floor under every durable write."""
    file = folder / "fsync"
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY)
    try:

        def write(_: int) -> None:
            os.write(descriptor, b"\0" * 4096)
            os.fsync(descriptor)

        return milliseconds_p50(write, range(50))
    finally:
        os.close(descriptor)
        file.unlink()


def size_on_disk(folder: Path) -> float:
    """Megabytes."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def number(value: float) -> str:
    """Three digits that mean something."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
