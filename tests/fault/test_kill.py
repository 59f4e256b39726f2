"""Guarantee 5: an acknowledged write survives ``kill -9``; any other is whole or absent."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.system.homes import ask, cli, listed, reopened, site

ROOT = Path(__file__).parents[2]


@dataclass
class Said:
    """What the killed processes had said to be done, and begun."""

    kept: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    withdrawn: set[str] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)

    def hear(self, lines: list[str]) -> None:
        last = ""
        for line in lines:
            match line.split():
                case ["kept", name]:
                    self.kept.add(name)
                    last = name
                case ["erasing", _]:
                    self.begun.add(last)
                case ["withdrawing", name]:
                    self.begun.add(name)
                case ["erased", name]:
                    self.gone.add(name)
                case ["withdrawn", name]:
                    self.withdrawn.add(name)


def killed_run(home: Path, after: float, said: Said) -> None:
    """Let a process write, and kill it so long after it began."""
    command = [sys.executable, "-m", "tests.fault.writer", str(home), "marker"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            time.sleep(after)
        finally:
            process.kill()
        lines = process.stdout.read().splitlines()
    said.hear(lines)


def check(home: Path, said: Said) -> None:
    """What was acknowledged is there, nothing is half there, and both looks at the home agree."""
    before = cli(home, "site", "verify")
    assert (before.code, before.json["damaged"]) == (0, [])
    with reopened(home) as site_open:
        present = listed(site_open)
        assert ask(site_open, "status")["memories"] == ask(site_open, "verify_site")["records"]
    assert said.kept - said.begun <= present.keys()
    assert not said.gone & present.keys()
    assert not said.withdrawn & present.keys()
    assert all(text.startswith("memory marker-") for text in present.values())
    after = cli(home, "site", "verify").json
    assert (after["damaged"], after["unacknowledged"]) == ([], 0)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return site(tmp_path, "fra-1", "DE")


def rounds(home: Path, count: int) -> None:
    said, chance = Said(), random.Random(count)  # noqa: S311 - moments, not secrets
    for _ in range(count):
        killed_run(home, chance.uniform(0.02, 0.6), said)
        check(home, said)
    assert said.kept
    assert said.gone


def test_what_was_acknowledged_outlives_two_kills(home: Path) -> None:
    rounds(home, 2)


@pytest.mark.slow
def test_what_was_acknowledged_outlives_many_kills(home: Path) -> None:
    rounds(home, 8)
