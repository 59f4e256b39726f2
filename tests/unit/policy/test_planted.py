"""Every planted mistake is caught before install, and the page that says by what is true."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.policy.caught import CHECKS, PAGE, everything, page
from tests.unit.policy.planted import AFTER, BEFORE, MISTAKES

Found = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    return everything(tmp_path_factory.mktemp("planted"))


def test_there_are_many_and_half_were_there_before() -> None:
    names = {mistake.name for mistake in MISTAKES}
    assert len(names) == len(MISTAKES) >= 30
    assert len(BEFORE) >= 20
    assert len(AFTER) >= 6


@pytest.mark.parametrize("name", [mistake.name for mistake in MISTAKES])
def test_a_planted_mistake_is_caught(found: Found, name: str) -> None:
    assert any(found[name].values())


def test_the_starter_bundle_itself_is_not_accused(bundle: Path) -> None:
    assert {name: says(bundle) for name, says in CHECKS.items()} == dict.fromkeys(CHECKS, "")


def test_the_page_is_true(found: Found) -> None:
    assert PAGE.read_text() == page(found), "run `python -m tests.unit.policy.caught`"
