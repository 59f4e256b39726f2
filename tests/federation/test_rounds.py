"""Runs over a grid in this process: what comes together, what is refused, what goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("flwr", reason="needs memory-fabric[federation]")

from memory_fabric_federation import rounds
from memory_fabric_federation.in_process import neighbours_grid
from memory_fabric_federation.local_grid import LocalGrid
from memory_fabric_federation.report import curves, gains, loss_curve
from memory_fabric_federation.rounds import Plan

from memory_fabric.core.errors import InputError, Unavailable
from tests.federation.conftest import SITES, TASK, Sites


@contextmanager
def grid(sites: Sites) -> Iterator[LocalGrid]:
    nodes = neighbours_grid(sites.call, list(SITES))
    try:
        yield nodes
    finally:
        nodes.close()


def train(sites: Sites, **more: Any) -> dict[str, Any]:
    given = {"run": sites.name(), "sites": tuple(SITES), "task": TASK, "timeout": 60.0, **more}
    with grid(sites) as nodes:
        return rounds.start(nodes, sites.call, Plan(**given))


def refusals(entry: dict[str, Any]) -> dict[str, Any]:
    told = [*entry["refused"], *entry["withheld"]]
    return {
        item["site"]: item.get("code") or {rule["id"] for rule in item["rules"]} for item in told
    }


def takers(entry: dict[str, Any]) -> list[str]:
    return [item["site"] for item in entry["accepted"]]


def test_three_sites_train_and_the_fourth_is_refused_by_its_rule(sites: Sites) -> None:
    state = train(sites)

    first, second, last = state["history"]
    assert state["status"] == "done"
    assert takers(first) == takers(second) == takers(last) == ["ams-1", "fra-1", "par-1"]
    assert "update-bare-stays" in refusals(first)["vir-1"]
    # What came out of the first round was trained on people in the EEA: it does not leave either.
    assert refusals(second) == refusals(last) == {"vir-1": {"update-bare-stays"}}
    assert [gain.site for gain in gains(state)] == ["ams-1", "fra-1", "par-1"]
    assert all(gain.gain > 0 for gain in gains(state))
    assert {len(losses) for losses in curves(state).values()} == {8}
    assert loss_curve(state).count("<polyline") == 3


def test_every_update_taken_or_refused_has_a_receipt_in_both_logs(sites: Sites) -> None:
    first = train(sites, rounds=1)["history"][0]

    for item in [*first["accepted"], *first["refused"]]:
        theirs = sites.run(item["site"], "receipt_show", id=item["receipts"]["theirs"])
        ours = sites.run("fra-1", "receipt_show", id=item["receipts"]["ours"])
        denied = item["site"] == "vir-1"
        assert (theirs["act"], ours["act"]) == ("send_update", "take_update")
        assert {theirs["outcome"], ours["outcome"]} == {"denied" if denied else "done"}
    for site in SITES:
        assert not sites.run(site, "verify_site")["damaged"]


@pytest.mark.parametrize("strategy", ["fedmedian", "fedtrimmedavg", "krum"])
def test_other_strategies_can_be_chosen(sites: Sites, strategy: str) -> None:
    assert train(sites, strategy=strategy, rounds=1)["status"] == "done"


def test_a_site_that_dies_is_left_out_and_the_round_goes_on(sites: Sites) -> None:
    def die(letter: bytes) -> bytes:
        raise ConnectionResetError

    sites.tamper["par-1"] = die
    first = train(sites, rounds=1)["history"][0]
    assert takers(first) == ["ams-1", "fra-1"]
    assert refusals(first)["par-1"] == "site-failed"


def test_an_altered_update_is_not_taken(sites: Sites) -> None:
    sites.tamper["par-1"] = lambda letter: letter[:-1] + bytes([letter[-1] ^ 1])
    first = train(sites, rounds=1)["history"][0]
    assert refusals(first)["par-1"] == "letter-forged"
    refused = next(item for item in first["refused"] if item["site"] == "par-1")
    assert sites.run("fra-1", "receipt_show", id=refused["receipt"])["outcome"] == "denied"


def test_an_update_of_another_round_is_not_taken(sites: Sites) -> None:
    kept: list[bytes] = []

    def replay(letter: bytes) -> bytes:
        kept.append(letter)
        return kept[0]

    sites.tamper["par-1"] = replay
    first, second, _ = train(sites)["history"]
    assert "par-1" in takers(first)
    assert refusals(second)["par-1"] in ("letter-not-for-us", "letter-replayed")


def test_without_a_quorum_the_run_waits_and_is_resumed(sites: Sites) -> None:
    def die(letter: bytes) -> bytes:
        raise ConnectionResetError

    sites.tamper |= {"par-1": die, "ams-1": die}
    name = sites.name()
    with pytest.raises(Unavailable) as missed, grid(sites) as nodes:
        rounds.start(nodes, sites.call, Plan(name, 2, tuple(SITES), task=TASK, timeout=60.0))
    assert missed.value.code == "quorum-missed"
    kept = sites.run("fra-1", "finetune_load", run=name)["state"]
    assert (kept["status"], kept["round"]) == ("waiting", 0)

    sites.tamper.clear()
    with grid(sites) as nodes:
        state = rounds.resume(nodes, sites.call, name)
    assert state["status"] == "done"
    assert [entry["quorum"] for entry in state["history"]] == [False, True, True, True]


def test_a_resumed_run_ends_where_an_unbroken_one_does(sites: Sites) -> None:
    """Adapter, round and seeds are all in the checkpoint, so nothing depends on the break."""

    class Stop(Exception):
        pass

    def stop(entry: dict[str, Any]) -> None:
        raise Stop

    whole = train(sites)
    name = sites.name()
    with pytest.raises(Stop), grid(sites) as nodes:
        rounds.start(nodes, sites.call, Plan(name, 2, tuple(SITES), task=TASK), stop)
    with grid(sites) as nodes:
        broken = rounds.resume(nodes, sites.call, name)
    assert [gain.tuned for gain in gains(broken)] == [gain.tuned for gain in gains(whole)]


def test_a_run_is_not_started_twice(sites: Sites) -> None:
    name = sites.name()
    train(sites, run=name, rounds=1)
    with pytest.raises(InputError) as refused:
        train(sites, run=name)
    assert refused.value.code == "run-exists"
