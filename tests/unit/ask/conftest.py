"""A site that answers with a scripted language model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from memory_fabric.wiring import Home, open_home
from tests.fakes.generator import ScriptedGenerator, top_note
from tests.system.homes import remember, site

_GENERATOR = ScriptedGenerator()
_MEMORIES = [
    ("Ada prefers appointments after six.", "Ada"),
    ("Ada parks her red bicycle behind the greenhouse.", "Ada"),
    ("Ben keeps bees and sells honey in June.", "Ben"),
    ("Cem prefers appointments on Mondays.", "Cem"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    path = site(Path(tmp_path_factory.mktemp("ask")), "fra-1", "DE")
    with open_home(path, generator=_GENERATOR) as opened:
        for number, (text, subject) in enumerate(_MEMORIES):
            remember(opened, text, subject, id=f"note-{number}", purposes=["care"])
        yield opened


@pytest.fixture(autouse=True)
def model() -> ScriptedGenerator:
    """The site's language model, as if nothing had been asked of it yet."""
    _GENERATOR.say = top_note
    _GENERATOR.prompts.clear()
    return _GENERATOR
