"""What every test may count on: no home of the developer's own, and the shared data by name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Two busy cores make deadlines a matter of luck; each test's own timeout still holds.
settings.register_profile("memory-fabric", deadline=None)
settings.load_profile("memory-fabric")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Set the markers that follow from where a test stands and what it uses."""
    system = Path(__file__).parent / "system"
    for item in items:
        if system in item.path.parents:
            item.add_marker(pytest.mark.system)
        if "data_dir" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.needs_data)


@pytest.fixture(autouse=True)
def nobody_s_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep tests away from the home and the ledger that the environment may name."""
    for name in ("MEMORY_FABRIC_HOME", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data sets: unset skips the test, set but unreadable fails it."""
    named = os.environ.get("MEMORY_FABRIC_DATA")
    if not named:
        pytest.skip("MEMORY_FABRIC_DATA names no folder of data sets")
    folder = Path(named)
    try:
        found = any(folder.iterdir())
    except OSError as error:
        pytest.fail(f"MEMORY_FABRIC_DATA is set to {named}, and cannot be read: {error.strerror}")
    if not found:
        pytest.fail(f"MEMORY_FABRIC_DATA is set to {named}, and nothing is in there")
    return folder
