"""The roster at rest: only what the grid key signed is a roster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from memory_fabric.adapters.roster import RosterFile
from memory_fabric.core.errors import HomeError, IntegrityViolated
from memory_fabric.core.places import Region, Roster, Site, Tier

GRID = Ed25519PrivateKey.generate()
PUBLIC = GRID.public_key().public_bytes_raw()


def site(name: str) -> Site:
    return Site(
        site_id=name,
        region=Region("DE"),
        tier=Tier.HUB,
        tenants=frozenset({"acme", "beta"}),
        embedder="e" * 64,
        signing_key=b"s" * 32,
        sealing_key=b"k" * 32,
        address=f"/srv/{name}",
        instruments={"scc": "2027-01-01"},
        memberships={"dpf": ""},
        transfer_risk_assessed=True,
    )


@pytest.fixture
def file(tmp_path: Path) -> RosterFile:
    file = RosterFile(tmp_path / "roster.json")
    roster = Roster(1, {}).with_site(site("fra-1")).with_site(site("lon-1"))
    file.save(roster, GRID.sign, PUBLIC)
    return file


def test_a_signed_roster_comes_back(file: RosterFile) -> None:
    roster = file.load(PUBLIC)
    assert roster.version == 3
    assert list(roster) == [site("fra-1"), site("lon-1")]
    assert RosterFile.read(file.path.read_text(), PUBLIC) == roster


def test_saving_replaces_the_whole_file(file: RosterFile) -> None:
    file.save(Roster(9, {}), GRID.sign, PUBLIC)
    assert file.load(PUBLIC) == Roster(9, {})
    assert [path.name for path in file.path.parent.iterdir()] == ["roster.json"]


def test_another_grid_s_key_signs_nothing_here(file: RosterFile) -> None:
    other = Ed25519PrivateKey.generate()
    stranger = other.public_key().public_bytes_raw()
    with pytest.raises(IntegrityViolated) as caught:
        file.load(stranger)
    assert caught.value.code == "roster-forged"
    file.save(Roster(9, {}), other.sign, stranger)
    with pytest.raises(IntegrityViolated):
        file.load(PUBLIC)
    file.save(Roster(9, {}), other.sign, PUBLIC)
    with pytest.raises(IntegrityViolated):
        file.load(PUBLIC)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("roster", "version"), 4),
        (("roster", "sites"), []),
        (("roster", "sites", 0, "region"), "US"),
        (("roster", "sites", 0, "region"), "nowhere"),
        (("roster", "sites", 0, "signing_key"), "00" * 32),
        (("roster", "sites", 0, "transfer_risk_assessed"), False),
        (("roster", "sites", 0), None),
        (("roster",), None),
        (("signature",), "00" * 64),
        (("signature",), "zz"),
        (("signature",), 7),
        (("grid_key",), "00" * 32),
    ],
)
def test_no_edit_is_taken(file: RosterFile, path: tuple[Any, ...], value: object) -> None:
    content = json.loads(file.path.read_text())
    place = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    file.path.write_text(json.dumps(content))
    with pytest.raises(IntegrityViolated) as caught:
        file.load(PUBLIC)
    assert caught.value.code == "roster-forged"
    assert caught.value.details["damaged"] == ["roster.json"]


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"null", b"\xff", b"{"])
def test_what_is_no_roster_is_none(file: RosterFile, content: bytes) -> None:
    file.path.write_bytes(content)
    with pytest.raises(IntegrityViolated):
        file.load(PUBLIC)


def test_a_missing_roster_is_missing(tmp_path: Path) -> None:
    with pytest.raises(HomeError) as caught:
        RosterFile(tmp_path / "roster.json").load(PUBLIC)
    assert caught.value.code == "roster-missing"
