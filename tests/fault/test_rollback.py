"""A ledger put back together with its anchor is seen by the stack, which is newer."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from memory_fabric import operations
from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.wiring import create_home, open_home

WHO = {"os_user": "test"}


def remember(home: Path, text: str) -> None:
    with open_home(home) as opened:
        memory = {"memory": text, "subjects": ["Anna"]}
        operations.run(opened, "add", WHO, {"memories": [memory]})


def test_an_older_ledger_and_anchor_delete_nothing_and_are_reported(tmp_path: Path) -> None:
    home, kept = tmp_path / "home", tmp_path / "kept"
    create_home(home, site_id="fra-1", region="DE", tenants=["acme"])
    remember(home, "the first")
    shutil.copytree(home, kept)
    for text in ("the second", "the third", "the fourth"):
        remember(home, text)
    newest = {name: (home / name).read_bytes() for name in ("ledger.db", "keys/ledger.checkpoint")}
    for name in newest:
        shutil.copy2(kept / name, home / name)
    with pytest.raises(IntegrityViolated) as caught:
        open_home(home)
    assert caught.value.code == "ledger-rolled-back"
    with open_home(home, load=False) as opened:
        damaged = operations.run(opened, "verify_site", WHO, {})["damaged"]
    assert {item["file"] for item in damaged} == {"ledger.db"}
    for name, content in newest.items():
        (home / name).write_bytes(content)
    with open_home(home) as opened:
        assert len(opened.node.copy) == 4
