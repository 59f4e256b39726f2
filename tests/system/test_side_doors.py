"""Side doors: what an app may do step by step must not give it what it may not have at once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memory_fabric.core.errors import Denied, HomeError, InputError, MemoryFabricError, NotFound
from memory_fabric.wiring import Home
from tests.fakes.clock import ManualClock
from tests.system.homes import ask, cli, recalled, remember, reopened, site

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def home(tmp_path: Path, clock: ManualClock) -> Iterator[Home]:
    path = site(tmp_path, "fra-1", "DE")
    with reopened(path, clock) as opened:
        yield opened


def key(home: Home, name: str, purpose: str, **granted: object) -> str:
    return str(ask(home, "app_add", name=name, tenant="acme", purposes=[purpose], **granted)["key"])


def test_a_hold_does_not_bring_back_for_an_app_what_its_retention_took(
    home: Home, clock: ManualClock
) -> None:
    care = key(home, "care", "care")
    until = (NOON + timedelta(days=1)).isoformat()
    name = remember(home, "Anna had a cough.", "Anna", key=care, expires_at=until)
    clock.set(NOON + timedelta(days=2))
    assert recalled(home, "cough", key=care, subject="Anna")["results"] == []
    with pytest.raises(Denied):
        ask(home, "label_set", care, id=name, change={"legal_hold": True})
    assert recalled(home, "cough", key=care, subject="Anna")["results"] == []
    officer = key(home, "officer", "care", role="compliance")
    ask(home, "label_set", officer, id=name, change={"legal_hold": True})
    assert len(recalled(home, "cough", key=care, subject="Anna")["results"]) == 1


def test_an_app_learns_nothing_of_another_purpose_s_memory_by_its_id(home: Home) -> None:
    care, support = key(home, "care", "care"), key(home, "support", "support")
    name = remember(home, "Anna had a cough.", "Anna", key=care, id="visit-1")
    attempts = (
        ("label_set", {"change": {"data_class": "public"}}),
        ("label_set", {"change": {"special": ["religion"]}}),
        ("label_set", {"change": {"consent": "withdrawn"}}),
        ("forget", {}),
        ("get", {}),
    )
    for operation, params in attempts:
        answers = []
        for asked in (name, "visit-2"):
            with pytest.raises(MemoryFabricError) as refused:
                ask(home, operation, support, id=asked, **params)
            answers.append((type(refused.value), refused.value.code, refused.value.what))
        assert answers[0] == answers[1]
        assert answers[0][0] is NotFound
    assert ask(home, "get", care, id=name)["memory"] == "Anna had a cough."


def test_consent_can_be_withdrawn_from_what_the_settings_no_longer_take(
    home: Home, tmp_path: Path
) -> None:
    kept = {"data_class": "internal", "special": ["religion"], "consent": "given"}
    ask(home, "classes_add", classes=[{"tenant": "acme", "purposes": ["care"], **kept}])
    remember(home, "Anna asks for kosher food.", "Anna", key=key(home, "care", "care"), **kept)
    home.close()
    settings = tmp_path / "fra-1" / "site.toml"
    lines = settings.read_text().splitlines()
    text = "\n".join(line for line in lines if "religion" not in line)
    settings.write_text(text.replace('floor_data_class = "public"', 'floor_data_class = "secret"'))
    with reopened(tmp_path / "fra-1") as changed:
        done = ask(changed, "label_set", subject="Anna", change={"consent": "withdrawn"})
        assert done["changed"] == 1
        with pytest.raises(InputError):
            ask(changed, "label_set", subject="Anna", change={"data_class": "confidential"})


def test_an_app_s_receipt_does_not_tell_which_withheld_classes_are_stored(home: Home) -> None:
    care = key(home, "care", "care")

    def seen() -> str:
        receipt = recalled(home, "cough", key=care, subject="Bert")["receipt"]
        shown = ask(home, "receipt_show", care, id=receipt)
        return json.dumps([shown["decisions"], shown["facts"]])

    before = seen()
    until = (NOON + timedelta(days=1)).isoformat()
    name = remember(home, "Anna had a cough.", "Anna", key=care, expires_at=until)
    ask(home, "label_set", care, id=name, change={"consent": "withdrawn"})
    assert seen() == before


def test_a_memory_does_not_steer_the_terminal_that_shows_it(tmp_path: Path) -> None:
    path = site(tmp_path, "fra-1", "DE")
    evil = "tea\x1b]52;c;cm0gLXJm\x07\x1b[2J\x9b31m"
    assert cli(path, "remember", evil, "--subject", "Anna").code == 0
    shown = cli(path, "recall", "tea", "--purpose", "care", "--subject", "Anna", plain=True)
    assert "tea" in shown.out
    assert not set(shown.out) & {"\x1b", "\x07", "\x9b"}


def test_a_link_is_no_place_for_a_home(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeError) as refused:
        site(tmp_path, "home", "DE")
    assert refused.value.code == "home-exists"
