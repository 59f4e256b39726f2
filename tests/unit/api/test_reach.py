"""Search beyond the site, and what is withheld there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from memory_fabric_api import create_app

from memory_fabric.wiring import Home, create_home, open_home
from tests.unit.api.conftest import DescribedClient, key_for, remember


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Home, Path]]:
    """Frankfurt open here, London beside it, opened by Frankfurt when a letter goes there."""
    folder = tmp_path_factory.mktemp("grid")
    create_home(folder / "fra-1", site_id="fra-1", region="DE", tenants=["acme"])
    create_home(folder / "lon-1", site_id="lon-1", region="GB", tenants=["acme"])
    with open_home(folder / "fra-1") as frankfurt:
        frankfurt.link(str(folder / "lon-1"))
        yield frankfurt, folder / "lon-1"


def test_withheld_is_the_same_whether_or_not_anything_is_there(grid: tuple[Home, Path]) -> None:
    frankfurt, london = grid
    api = DescribedClient(create_app(frankfurt), key_for(frankfurt, "app"))
    asked = {"query": "wine cellar", "subject": "mary", "reach": "grid"}
    empty = api.post("/v1/search", json=asked).json()
    assert empty["results"] == []
    assert [held["site"] for held in empty["withheld"]] == ["lon-1"]
    assert "secret-stays" in {rule["id"] for rule in empty["withheld"][0]["rules"]}

    frankfurt.node.transport.close()  # type: ignore[attr-defined]
    with open_home(london) as home:
        there = DescribedClient(create_app(home), key_for(home, "london-app"))
        remember(there, "The wine cellar code is 1234", "mary", data_class="secret")
        remember(there, "Mary showed me the wine cellar", "mary", data_class="internal")
    full = api.post("/v1/search", json=asked).json()
    assert full["withheld"] == empty["withheld"]
    assert [(item["site"], item["region"]) for item in full["results"]] == [("lon-1", "GB")]
    assert "1234" not in str(full)
