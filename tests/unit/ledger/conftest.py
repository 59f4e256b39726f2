"""A ledger with a little history."""

from __future__ import annotations

from pathlib import Path

import pytest

from memory_fabric.core.records import CatalogChange
from tests.unit.ledger.disk import APP, Disk, commit, entry


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """A closed ledger: 0 wrote a, b, c; 1 recalled; 2 changed b; 3 erased c; 4 recalled."""
    (tmp_path / "home").mkdir()
    disk = Disk(tmp_path / "home")
    ledger = disk.create()
    a, b, c = (entry(rid=bytes([number]) * 16) for number in (1, 2, 3))
    commit(ledger, CatalogChange(1, written=[a, b, c]), "remember")
    commit(ledger)
    commit(ledger, CatalogChange(2, written=[entry(2, b.rid)]), "relabel")
    commit(ledger, CatalogChange(3, removed=[c]), "erase")
    commit(ledger)
    ledger.add_app(APP)
    ledger.close()
    return disk
