"""Repeats of a measurement, and what a disk takes to keep something."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True)
class Spread:
    """Repeats of one measurement."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        return median(self.values)

    def over(self, other: Spread) -> Spread:
        """The ratio turn by turn, since a busy minute meets both; of the medians where the
        repeats of the two are not the same turns.
        """
        if len(self.values) != len(other.values):
            return Spread((self.median / other.median,))
        return Spread(tuple(a / b for a, b in zip(self.values, other.values, strict=True)))

    def __str__(self) -> str:
        low, high = min(self.values), max(self.values)
        if len(self.values) == 1:
            return number(self.median)
        return f"{number(self.median)} ({number(low)} to {number(high)})"


def fsync_milliseconds(folder: Path, times: int = 50) -> list[float]:
    """What this disk takes to keep 4 KiB: the floor under every durable write."""
    file = folder / "fsync"
    descriptor = os.open(file, os.O_CREAT | os.O_WRONLY)
    took = []
    try:
        for _ in range(times):
            start = time.perf_counter()
            os.write(descriptor, b"\0" * 4096)
            os.fsync(descriptor)
            took.append(1000 * (time.perf_counter() - start))
    finally:
        os.close(descriptor)
        file.unlink()
    return took


def quarters(values: Sequence[float], parts: int = 4) -> list[float]:
    """Medians of the parts of a longer series, in their order."""
    size = max(1, len(values) // parts)
    return [median(values[at : at + size]) for at in range(0, size * parts, size)]


def number(value: float) -> str:
    """Three digits that mean something."""
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"
