"""Four sites on one machine and a tiny model, or a fake trainer where torch is not installed."""

from __future__ import annotations

import base64
import importlib.util
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from memory_fabric import operations
from memory_fabric.core.model_ports import Trainer
from memory_fabric.wiring import TINY_MODEL, Home, WorkerTrainer, create_home, open_home
from tests.fakes.trainer import FakeTrainer

TORCH = all(importlib.util.find_spec(part) for part in ("torch", "transformers", "peft"))
needs_torch = pytest.mark.skipif(not TORCH, reason="needs memory-fabric[train]")
os.environ.setdefault("FLWR_TELEMETRY_ENABLED", "0")

WHO = {"os_user": "tests"}
SITES = {"fra-1": "DE", "par-1": "FR", "ams-1": "NL", "vir-1": "US"}
TASK = {
    "steps": 4, "tokens": 32, "heldout": 5,
    "adapter": {"rank": 4, "alpha": 8, "targets": ["q_proj", "v_proj"]},
}  # fmt: skip


class Sites:
    """Open homes, and how to ask them."""

    def __init__(self, homes: dict[str, Home]) -> None:
        self.homes = homes
        self.tamper: dict[str, Callable[[bytes], bytes]] = {}

    def run(self, name: str, operation: str, /, **params: Any) -> dict[str, Any]:
        return operations.run(self.homes[name], operation, WHO, params)

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """The aggregating site, whose relays may be tampered with by site."""
        if operation != "finetune_relay":
            return self.run("fra-1", operation, **params)
        answer = self.run(params["site"], "finetune_answer", **params)["letter"]
        tamper = self.tamper.get(params["site"], lambda letter: letter)
        return {"letter": base64.b64encode(tamper(base64.b64decode(answer))).decode()}

    def name(self) -> str:
        """A new run's name."""
        return f"run-{secrets.token_hex(4)}"


def remember(home: Home, texts: int = 24, **label: Any) -> None:
    name = home.node.me.site_id
    memories = [
        {
            "memory": f"Question: what is {number} at {name}?\nAnswer: it is {number * 7}.",
            "subjects": [f"{name}-{number % 6}"],
            "metadata": {"split": "heldout" if number % 4 == 0 else "train"},
            "label": {"purposes": ["training"], **label},
        }
        for number in range(texts)
    ]
    operations.run(home, "add", WHO, {"memories": memories})


@pytest.fixture(scope="module")
def trainer() -> Iterator[Trainer]:
    if not TORCH:
        yield FakeTrainer()
        return
    worker = WorkerTrainer(TINY_MODEL)
    yield worker
    worker.close()


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory, trainer: Trainer) -> Iterator[dict[str, Home]]:
    folder: Path = tmp_path_factory.mktemp("grid")
    for name, region in SITES.items():
        create_home(folder / name, site_id=name, region=region, tenants=["acme"])
    homes = {"fra-1": open_home(folder / "fra-1", trainer=trainer)}
    for name in list(SITES)[1:]:
        operations.run(homes["fra-1"], "link", WHO, {"address": str(folder / name)})
    for name in list(SITES)[1:]:
        homes[name] = open_home(folder / name, trainer=trainer)
        homes[name].join("fra-1")
    for home in homes.values():
        remember(home)
    yield homes
    for home in homes.values():
        home.close()


@pytest.fixture
def sites(linked: dict[str, Home]) -> Sites:
    return Sites(linked)
