"""``memory-fabric ask``, as people and machines read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from memory_fabric.core.model_ports import Generator
from tests.fakes.generator import ScriptedGenerator
from tests.system.homes import cli, site

ASKED = ("ask", "When does Ada prefer appointments?", "--purpose", "care", "--subject", "Ada")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = site(tmp_path, "fra-1", "DE")
    text = "Ada prefers appointments after six."
    assert cli(made, "remember", text, "--subject", "Ada", "--purpose", "care").code == 0
    return made


def with_model(monkeypatch: pytest.MonkeyPatch, generator: Generator | None) -> None:
    monkeypatch.setattr("memory_fabric.wiring.home.choose", lambda *_: generator)


def test_it_prints_the_answer_its_source_and_its_cost(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_model(monkeypatch, ScriptedGenerator())
    told = cli(path, *ASKED)
    assert told.code == 0
    assert set(told.json) == {
        "answer", "known", "citations", "tokens", "model", "withheld", "receipt",
    }  # fmt: skip
    people = cli(path, *ASKED, plain=True).out
    source = told.json["citations"][0]["id"]
    for shown in ("Ada prefers appointments after six.", source, "fra-1", "tokens", "receipt"):
        assert shown in people


def test_what_is_refused_ends_as_recall_ends(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_model(monkeypatch, ScriptedGenerator())
    for words in (ASKED[:2], (*ASKED[:4], "--subject", " ")):
        asked, recalled = cli(path, *words), cli(path, "recall", *words[1:])
        assert (asked.code, asked.json["code"]) == (recalled.code, recalled.json["code"])
        assert asked.code == 2


def test_without_a_model_everything_else_works(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with_model(monkeypatch, None)
    asked = cli(path, *ASKED)
    assert (asked.code, asked.json["code"]) == (1, "model-not-installed")
    assert cli(path, "recall", *ASKED[1:]).code == 0
