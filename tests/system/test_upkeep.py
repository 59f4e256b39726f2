"""What a site does for itself: in the background where it is served, at its end where it is not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from memory_fabric.adapters.lance import TIDY_EVERY
from memory_fabric.flows.node import Node
from memory_fabric.flows.upkeep import RETRY, Job, Upkeep
from memory_fabric.wiring import Home
from tests.fakes.clock import ManualClock
from tests.system.homes import ask, cli, listed, remember, reopened, site

PATIENCE = 20.0


class Chore:
    """A job that counts its runs."""

    def __init__(self, fails: Exception | None = None) -> None:
        self.wanted = self.pressing = True
        self.fails = fails
        self.ran = threading.Event()
        self.runs = 0

    def job(self, name: str = "chore") -> Job:
        return Job(name, self._due, self._run, lambda *_: self.pressing)

    def _due(self, _node: Node, _now: datetime) -> bool:
        return self.wanted

    def _run(self, _node: Node) -> None:
        self.runs += 1
        self.wanted = self.pressing = False
        self.ran.set()
        if self.fails:
            raise self.fails


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def home(tmp_path: Path, clock: ManualClock) -> Iterator[Home]:
    with reopened(site(tmp_path, "fra-1", "DE"), clock=clock) as opened:
        yield opened


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("memory_fabric.flows.upkeep.PULSE", 0.01)


def test_what_is_due_is_done_in_the_background(home: Home) -> None:
    chore, idle = Chore(), Chore()
    idle.wanted = False
    upkeep = Upkeep(home.node, [idle.job("idle"), chore.job()])
    upkeep.start()
    assert chore.ran.wait(PATIENCE)
    upkeep.stop()
    assert (idle.runs, chore.runs) == (0, 1)
    assert [state.due for state in upkeep.states()] == [False, False]


def test_a_command_does_what_must_not_wait_and_leaves_the_rest(home: Home) -> None:
    waits, presses = Chore(), Chore()
    waits.pressing = False
    Upkeep(home.node, [waits.job(), presses.job()]).settle()
    assert (waits.runs, presses.runs) == (0, 1)


def test_a_failure_is_told_without_what_it_says_and_stops_no_other_job(
    home: Home, clock: ManualClock
) -> None:
    bad, good = Chore(ValueError("a memory's own words")), Chore()
    upkeep = Upkeep(home.node, [bad.job("bad"), good.job("good")])
    upkeep.settle()
    assert good.runs == 1
    failure = upkeep.states()[0].failure
    assert failure is not None
    assert (failure.error, failure.at) == ("ValueError", clock.now())
    assert failure.place.startswith("_run:")
    assert "words" not in repr(upkeep.states())

    bad.wanted, good.wanted, good.ran = True, True, threading.Event()
    upkeep.start()
    assert good.ran.wait(PATIENCE)
    assert bad.runs == 1  # it is left alone for a while
    bad.fails, bad.ran = None, threading.Event()
    clock.advance(seconds=RETRY.total_seconds())
    assert bad.ran.wait(PATIENCE)
    upkeep.stop()
    assert upkeep.states()[0].failure is None


def test_closing_does_not_wait_for_a_long_job_to_end(home: Home) -> None:
    begun = threading.Event()

    def run(node: Node) -> None:
        begun.set()
        assert node.closing.wait(PATIENCE)

    upkeep = Upkeep(home.node, [Job("long", lambda *_: True, run)])
    upkeep.start()
    assert begun.wait(PATIENCE)
    upkeep.stop()
    assert not home.node.closing.is_set()


def test_a_served_stack_is_tidied_by_itself(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    tidied = threading.Event()
    real = home.node.stack.tidy

    def tidy(*given: Any) -> bool:
        done = real(*given)
        tidied.set()
        return done

    monkeypatch.setattr(home.node.stack, "tidy", tidy)
    for number in range(TIDY_EVERY):
        remember(home, f"Note {number}.", "Ada")
    before = listed(home)
    home.upkeep.start()
    assert tidied.wait(PATIENCE)
    home.upkeep.stop()
    assert home.node.stack.clutter < 1
    assert listed(home) == before
    assert ask(home, "verify_site")["damaged"] == []


def test_what_a_crash_left_in_the_stack_is_collected_when_the_site_is_opened(
    tmp_path: Path,
) -> None:
    path = site(tmp_path, "fra-1", "DE")
    with reopened(path) as home:
        remember(home, "The tulips bloom in April.", "Ada")
    data = path / "stack" / "memories.lance" / "data"
    orphan = data / "0000000000000000000000000000.lance"
    orphan.write_bytes(next(data.iterdir()).read_bytes())
    assert cli(path, "site", "verify").code == 0
    assert orphan.exists()  # verifying changes nothing
    with reopened(path) as home:
        assert not orphan.exists()
        assert len(listed(home)) == 1


def test_status_tells_how_the_upkeep_stands(home: Home) -> None:
    told = {job["job"]: job for job in ask(home, "status")["upkeep"]}
    assert told["tidy the stack"] == {
        "job": "tidy the stack", "due": False, "last": None, "failed": None,
    }  # fmt: skip
    home.upkeep = Upkeep(home.node, [Chore(ValueError("secret")).job("bad")])
    home.upkeep.settle()
    (bad,) = ask(home, "status")["upkeep"]
    assert bad["failed"]["error"] == "ValueError"
