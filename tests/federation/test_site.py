"""What a site does with a task, and what an aggregator takes from a site that means harm."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from memory_fabric import operations
from memory_fabric.core.errors import InputError, MemoryFabricError, NotGranted, Unavailable
from memory_fabric.core.model_ports import Trainer
from memory_fabric.core.training import Adapter, Lesson, Task
from memory_fabric.flows import train as flow
from memory_fabric.wiring import TINY_MODEL, WorkerTrainer
from tests.federation.conftest import TASK, WHO, Sites, needs_torch, remember
from tests.federation.letters import assert_holds_only_an_update


def begun(sites: Sites, to: str = "par-1", **more: Any) -> tuple[str, bytes]:
    """A task that is out at one site: the run's name and the sealed letter."""
    model = sites.call("finetune_model")
    blank = Task("x", 1, model["model"], model["model_id"]).to_json()
    task = {**blank, **TASK, "run": sites.name(), **more}
    adapter = sites.call("finetune_initial", adapter=task["adapter"], seed=0)["adapter"]
    told = sites.call("finetune_begin", task=task, adapter=adapter, sites=[to])
    return task["run"], base64.b64decode(told["letters"][to])


def answered(sites: Sites, letter: bytes, site: str = "par-1") -> str:
    sealed = base64.b64encode(letter).decode()
    return str(sites.run(site, "finetune_answer", site=site, letter=sealed)["letter"])


def taken(sites: Sites, run: str, letter: str, site: str = "par-1") -> dict[str, Any]:
    return sites.call("finetune_take", run=run, site=site, letter=letter)


def last_error(sites: Sites, site: str) -> str | None:
    newest = sites.homes[site].node.ledger.receipts(None, 1)[0]
    return newest["facts"].get("error")


def poisoned(sites: Sites, monkeypatch: pytest.MonkeyPatch, how: Any) -> str:
    """The code with which an update is refused that its own site altered before it signed."""
    run, letter = begun(sites)
    node = sites.homes["par-1"].node
    good = node.trainer

    class Rogue:
        model, model_id = good.model, good.model_id

        def train(self, *asked: Any) -> Lesson:
            lesson = good.train(*asked)
            return replace(lesson, arrays=how(lesson.arrays))

    monkeypatch.setattr(node, "trainer", Rogue())
    # A rogue site skips its own checks too.
    monkeypatch.setattr(flow.arrays, "clipped_change", lambda before, after, norm: (after, 1.0))
    answer = answered(sites, letter)
    with pytest.raises(InputError) as refused:
        taken(sites, run, answer)
    return refused.value.code


def each(data: bytes, change: Any) -> bytes:
    return bytes(save({name: change(array) for name, array in load(data).items()}))


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("update-not-finite", lambda data: each(data, lambda array: array * np.float32("nan"))),
        ("update-not-finite", lambda data: each(data, lambda array: array + np.float32("inf"))),
        ("update-too-long", lambda data: each(data, lambda array: array + np.float32(9))),
        ("update-misshaped", lambda data: each(data, lambda array: array[:1])),
        ("update-misshaped", lambda data: each(data, lambda array: array.T.copy())),
        ("update-misshaped", lambda data: bytes(save({"x": np.zeros(3, np.float32)}))),
        ("update-oversized", lambda data: data + bytes(1 << 21)),
        ("update-malformed", lambda data: each(data, lambda array: array.astype(np.float64))),
        ("update-malformed", lambda data: b"\x80\x04pickled"),
    ],
)
def test_a_poisoned_update_is_refused_and_recorded(
    sites: Sites, monkeypatch: pytest.MonkeyPatch, code: str, how: Any
) -> None:
    assert poisoned(sites, monkeypatch, how) == code
    assert last_error(sites, "fra-1") == code


@pytest.mark.parametrize(
    "how",
    [
        lambda data: each(data, lambda array: array * np.float32("nan")),
        lambda data: each(data, lambda array: array[:1]),
    ],
)
def test_a_site_releases_no_update_that_went_wrong(
    sites: Sites, monkeypatch: pytest.MonkeyPatch, how: Any
) -> None:
    run, letter = begun(sites)
    node = sites.homes["par-1"].node
    good = node.trainer

    class Broken:
        model, model_id = good.model, good.model_id

        def train(self, *asked: Any) -> Lesson:
            lesson = good.train(*asked)
            return replace(lesson, arrays=how(lesson.arrays))

    monkeypatch.setattr(node, "trainer", Broken())
    assert taken(sites, run, answered(sites, letter))["facts"] is None
    assert str(last_error(sites, "par-1")).startswith("update-")


def test_an_update_is_cut_to_the_length_that_the_task_names(sites: Sites) -> None:
    run, letter = begun(sites, clip="0.01")
    update = load(base64.b64decode(taken(sites, run, answered(sites, letter))["update"]))
    length = sum(float(np.sum(np.square(array))) for array in update.values()) ** 0.5
    assert length == pytest.approx(0.01, rel=1e-3)


def test_an_answer_is_taken_once(sites: Sites) -> None:
    run, letter = begun(sites)
    answer = answered(sites, letter)
    assert taken(sites, run, answer)["facts"]
    with pytest.raises(InputError) as refused:
        taken(sites, run, answer)
    assert refused.value.code == "update-unasked"


def test_a_task_is_answered_once(sites: Sites) -> None:
    _, letter = begun(sites)
    answered(sites, letter)
    with pytest.raises(MemoryFabricError) as refused:
        answered(sites, letter)
    assert refused.value.code == "letter-replayed"


def test_an_update_of_another_site_is_not_taken_for_this_one(sites: Sites) -> None:
    run, letter = begun(sites, to="ams-1")
    answer = answered(sites, letter, "ams-1")
    with pytest.raises(InputError) as refused:
        taken(sites, run, answer, "par-1")
    assert refused.value.code in ("update-unasked", "letter-not-for-us")


def test_a_task_for_a_purpose_that_the_memories_do_not_serve_is_refused(sites: Sites) -> None:
    run, letter = begun(sites, purpose="care")
    told = taken(sites, run, answered(sites, letter))
    assert told["facts"] is None
    assert told["rules"]


def test_a_task_for_data_that_stays_home_is_refused_by_its_rule(sites: Sites) -> None:
    remember(sites.homes["par-1"], data_class="secret")
    run, letter = begun(sites, data_classes=["secret"])
    told = taken(sites, run, answered(sites, letter))
    assert "secret-stays" in {rule["id"] for rule in told["rules"]}
    assert told["facts"] is None


@pytest.mark.parametrize(
    "field",
    [
        {"steps": 10**6}, {"batch": 0}, {"tokens": 10**6}, {"learning_rate": "nan"},
        {"learning_rate": "5"}, {"clip": "0"}, {"clip": "1e9"}, {"run": "../x"}, {"seconds": 0},
        {"data_classes": ["no"]}, {"adapter": {"rank": 4, "alpha": 8, "targets": ["lm_head"]}},
        {"adapter": {"rank": 9999, "alpha": 8, "targets": ["q_proj"]}}, {"other": 1},
        {"steps": "many"}, {"seed": True},
    ],
)  # fmt: skip
def test_a_task_out_of_bounds_is_no_task(field: dict[str, Any]) -> None:
    good = Task("x", 1, "m", "h").to_json()
    assert Task.from_json(good).to_json() == good
    with pytest.raises(InputError) as refused:
        Task.from_json({**good, **field})
    assert refused.value.code == "task-invalid"


def test_a_task_for_another_model_is_refused(sites: Sites, monkeypatch: pytest.MonkeyPatch) -> None:
    run, letter = begun(sites, model_id="0" * 64)
    assert taken(sites, run, answered(sites, letter))["facts"] is None
    assert "model-mismatch" in {
        receipt["facts"].get("error")
        for receipt in sites.homes["par-1"].node.ledger.receipts(None, 2)
    }


def test_tasks_come_from_joined_aggregators_only(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = sites.homes["par-1"].node
    monkeypatch.setattr(node, "settings", replace(node.settings, aggregators=frozenset()))
    run, letter = begun(sites)
    assert taken(sites, run, answered(sites, letter))["facts"] is None
    assert last_error(sites, "par-1") == "aggregator-not-joined"


def test_memories_that_are_erased_meanwhile_leave_in_no_update(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = sites.homes["ams-1"]
    node, good = home.node, home.node.trainer

    class Slow:
        model, model_id = good.model, good.model_id

        def train(self, *asked: Any) -> Lesson:
            operations.run(home, "forget", WHO, {"subject": "ams-1-5"})
            return good.train(*asked)

    monkeypatch.setattr(node, "trainer", Slow())
    run, letter = begun(sites, "ams-1")
    assert taken(sites, run, answered(sites, letter, "ams-1"), "ams-1")["facts"] is None
    assert last_error(sites, "ams-1") == "memories-changed"


def test_nothing_but_updates_and_numbers_is_in_what_leaves(sites: Sites) -> None:
    """The letter itself is sealed; opened, it holds arrays, counts, losses and label classes."""
    run, letter = begun(sites)
    answer = base64.b64decode(answered(sites, letter))
    for word in (b"Question", b"Answer", b"par-1-3", b"training"):
        assert word not in answer
    node = sites.homes["fra-1"].node
    body = node.letters.open(answer, reply_to=node.awaited[run, "par-1"].letter).body
    assert_holds_only_an_update(body, run)


def test_checkpoints_are_sealed_and_changes_to_them_are_seen(sites: Sites) -> None:
    run, _ = begun(sites)
    sites.call("finetune_save", run=run, state={"run": run, "word": "plain"}, adapter="")
    path: Path = sites.homes["fra-1"].path / "runs" / f"{run}.sealed"
    assert b"plain" not in path.read_bytes()
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(MemoryFabricError) as damaged:
        sites.call("finetune_load", run=run)
    assert (damaged.value.code, damaged.value.exit_code) == ("run-damaged", 5)
    path.unlink()


def test_fine_tuning_is_the_operators_alone(sites: Sites) -> None:
    added = sites.call("app_add", name="trainer-app", purposes=["training"])
    with pytest.raises(NotGranted) as refused:
        operations.run(sites.homes["fra-1"], "finetune_runs", {**WHO, "key": added["key"]}, {})
    assert refused.value.code == "role-not-granted"


def test_without_torch_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "memory_fabric.adapters.training.trainer.importlib.util.find_spec", lambda name: None
    )
    with pytest.raises(Unavailable) as missing:
        WorkerTrainer(TINY_MODEL).initial(Adapter(), 0)
    assert missing.value.code == "training-not-installed"


def test_a_model_that_is_not_there_is_named_as_missing(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as missing:
        _ = WorkerTrainer(str(tmp_path)).model_id
    assert missing.value.code == "model-missing"


@needs_torch
def test_training_that_takes_too_long_is_ended(trainer: Trainer) -> None:
    task = Task("x", 1, trainer.model, trainer.model_id, steps=2000, tokens=1024, seconds=1)
    arrays = trainer.initial(task.adapter, 0)
    with pytest.raises(Unavailable) as late:
        trainer.train(task, arrays, ["word " * 3000], [])
    assert late.value.code == "training-late"
    assert trainer.initial(task.adapter, 0) == arrays
