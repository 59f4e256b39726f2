"""A bundle begun from the starter bundle passes check, test and proofs, whatever its packs."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import combinations
from pathlib import Path

import pytest

from memory_fabric import wiring
from memory_fabric.adapters.cedar.findings import errors_in
from memory_fabric.core.errors import InputError

NOW = datetime(2026, 11, 26, tzinfo=UTC)
PACKS = wiring.starter_packs()
CHOICES = [(), *[(pack,) for pack in PACKS], *list(combinations(PACKS, 2))[:2], tuple(PACKS)]


@pytest.mark.parametrize("packs", CHOICES, ids="+".join)
def test_a_new_bundle_passes_check_test_and_proofs(tmp_path: Path, packs: tuple[str, ...]) -> None:
    folder = tmp_path / "ours"
    written = wiring.new_policies(folder, packs)
    assert errors_in(wiring.check_policies(folder)) == []
    report = wiring.test_policies(folder)
    assert [str(failure) for failure in report.failures] == []
    assert report.uncovered == ()
    assert wiring.prove_policies(folder, NOW).refuted == ()
    assert {Path(name).stem for name in written if name.startswith("packs/")} == {
        "common", "guards", "home", *packs,
    }  # fmt: skip


def test_an_empty_folder_is_taken_and_a_full_one_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "ours"
    folder.mkdir()
    wiring.new_policies(folder, ["eu"])
    before = sorted(folder.rglob("*"))
    with pytest.raises(InputError) as caught:
        wiring.new_policies(folder, ["eu", "us"])
    assert caught.value.code == "folder-not-empty"
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("name", ["xx", "../eu", ""])
def test_an_unknown_pack_is_told_with_the_known_ones(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError) as caught:
        wiring.new_policies(tmp_path / "ours", ["eu", name])
    assert caught.value.code == "pack-unknown"
    assert "eu" in caught.value.do
    assert list(tmp_path.iterdir()) == []
