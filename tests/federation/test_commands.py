"""Fine-tuning from the command line, with homes that nobody serves."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("flwr", reason="needs memory-fabric[federation]")

from memory_fabric.adapters.files import replace_file
from memory_fabric.config import with_training
from memory_fabric.wiring import TINY_MODEL, create_home, open_home
from tests.federation.conftest import needs_torch, remember
from tests.system.homes import cli


@needs_torch
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_is_started_watched_and_reported(tmp_path: Path) -> None:
    homes = {name: tmp_path / name for name in ("fra-1", "par-1", "vir-1")}
    for (name, path), region in zip(homes.items(), ("DE", "FR", "US"), strict=True):
        create_home(path, site_id=name, region=region, tenants=["acme"])
        settings = path / "site.toml"
        text = with_training(settings.read_text(), [], TINY_MODEL)
        replace_file(settings, text.encode(), durable=False)
        with open_home(path) as home:
            remember(home)
    first = homes["fra-1"]
    for name in ("par-1", "vir-1"):
        assert cli(first, "site", "link", str(homes[name])).code == 0
        joined = cli(homes[name], "federation", "join", "fra-1").json
        assert joined == {"site": name, "joined": ["fra-1"]}

    words = ("finetune", "start", "--run", "one", "--rounds", "1", "--steps", "2")
    started = cli(first, *words)
    assert started.code == 0, started.err
    entry = started.json["history"][0]
    assert [item["site"] for item in entry["accepted"]] == ["fra-1", "par-1"]
    assert [item["site"] for item in entry["refused"]] == ["vir-1"]

    assert [run["status"] for run in cli(first, "finetune", "status").json["runs"]] == ["done"]
    picture = tmp_path / "loss.svg"
    shown = cli(first, "finetune", "report", "one", "--picture", str(picture), plain=True)
    assert "update-bare-stays" in shown.out
    assert picture.read_text().startswith("<svg")
    assert cli(first, *words).json["code"] == "run-exists"
