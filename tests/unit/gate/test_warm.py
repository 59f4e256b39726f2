"""What apps and neighbours ask of a served site is decided before they ask."""

from __future__ import annotations

from pathlib import Path

import pytest

from memory_fabric import operations
from memory_fabric.core.access import Requester, Role
from memory_fabric.wiring import create_home, open_home


def test_after_warming_up_an_app_s_recall_asks_policy_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_home(tmp_path / "home", site_id="fra-1", region="DE", tenants=["acme"])
    with open_home(tmp_path / "home") as home:
        app = Requester("bot", "acme", Role.APP, frozenset({"care"}), all_subjects=True)
        assert home.warm() == len(home.node.settings.classes)
        monkeypatch.setattr(home.node.gate.rulebook.home, "decide", None)
        answer = operations.search(home, app, query="anything", all_subjects=True)
    assert answer["results"] == []
