"""A whole home that was put back: nothing in it tells, but neighbours and officers can."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.core.receipt import Checkpoint
from memory_fabric.flows.witness import WITNESS, bear_witness, held_of
from memory_fabric.wiring import Home
from tests.system.homes import ask, cli, remember, reopened, site


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Two linked sites; the second has shown its log to the first."""
    first, second = site(tmp_path, "fra-1", "DE"), site(tmp_path, "par-1", "FR")
    assert cli(first, "site", "link", str(second)).code == 0
    with reopened(second) as home:
        remember(home, "One.", "Anna")
    assert cli(second, "site", "verify").code == 0
    return first, second


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    with reopened(site(tmp_path, "fra-1", "DE")) as opened:
        remember(opened, "One.", "Anna")
        yield opened


def put_back(home: Path, act: str = "Two.") -> Path:
    """The home as it was before an act that a neighbour was shown."""
    copy = home.with_name("before")
    shutil.copytree(home, copy)
    with reopened(home) as opened:
        remember(opened, act, "Anna")
    assert cli(home, "site", "verify").code == 0
    shutil.rmtree(home)
    copy.rename(home)
    return home


def test_a_home_put_back_as_a_whole_is_seen_by_its_neighbours(pair: tuple[Path, Path]) -> None:
    _, second = pair
    put_back(second)
    found = cli(second, "site", "verify")
    assert found.code == 5
    assert [item["file"] for item in found.json["damaged"]] == ["ledger.db"]
    assert "fra-1" in found.json["damaged"][0]["what"]


def test_a_log_that_goes_on_otherwise_is_seen_too(pair: tuple[Path, Path]) -> None:
    _, second = pair
    put_back(second)
    with reopened(second) as home:
        for number in range(20):
            remember(home, f"Other {number}.", "Anna")
    assert cli(second, "site", "verify").code == 5


def test_neighbours_take_no_checkpoint_that_does_not_go_on(pair: tuple[Path, Path]) -> None:
    first, second = pair
    put_back(second)
    with reopened(first) as witness, reopened(second) as home:
        for number in range(20):
            remember(home, f"Other {number}.", "Anna")
        held = held_of(witness.node, "par-1")
        newest = home.node.ledger.checkpoint()
        assert held is not None
        for path in ((), (newest.root,), tuple(bytes([n]) * 32 for n in range(4))):
            with pytest.raises(IntegrityViolated) as refused:
                bear_witness(witness.node, "par-1", newest, path)
            assert refused.value.code == "checkpoint-inconsistent"
        with pytest.raises(IntegrityViolated) as forged:
            bear_witness(witness.node, "par-1", replace(newest, size=newest.size + 1), ())
        assert forged.value.code == "checkpoint-forged"
        assert held_of(witness.node, "par-1") == held


def test_upkeep_compares_and_says_what_it_found(pair: tuple[Path, Path]) -> None:
    _, second = pair
    with reopened(second) as home:
        now = home.node.clock.now()
        assert WITNESS.due(home.node, now)
        WITNESS.run(home.node)
        assert not WITNESS.due(home.node, now)
    put_back(second)
    with reopened(second) as home, pytest.raises(IntegrityViolated) as seen:
        WITNESS.run(home.node)
    assert (seen.value.code, seen.value.exit_code) == ("ledger-rolled-back", 5)


def test_who_is_out_of_reach_stops_nothing(pair: tuple[Path, Path]) -> None:
    first, second = pair
    shutil.rmtree(first)
    assert cli(second, "site", "verify").code == 0


def test_a_checkpoint_that_an_officer_kept_shows_it(home: Home, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    kept.write_text(json.dumps(ask(home, "checkpoint")) + "\n")
    home.close()
    assert cli(home.path, "site", "verify", "--against", str(kept)).code == 0
    shutil.copytree(home.path, tmp_path / "before")
    with reopened(home.path) as again, kept.open("a") as file:
        remember(again, "Two.", "Anna")
        file.write(json.dumps(ask(again, "checkpoint")) + "\n")
    assert cli(home.path, "site", "verify", "--against", str(kept)).code == 0
    shutil.rmtree(home.path)
    (tmp_path / "before").rename(home.path)
    assert cli(home.path, "site", "verify").code == 0
    assert cli(home.path, "site", "verify", "--against", str(kept)).code == 5


def test_a_checkpoint_of_another_log_is_no_anchor(home: Home, tmp_path: Path) -> None:
    kept = tmp_path / "kept.jsonl"
    other = Checkpoint("memory-fabric/other", 1, bytes(32), bytes(64))
    for text in (json.dumps(other.to_json()), "{}", "no json"):
        kept.write_text(text)
        home.close()
        assert cli(home.path, "site", "verify", "--against", str(kept)).code == 2
