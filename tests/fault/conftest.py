"""Actors for all fault tests of one run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fault.actors import nursery
from tests.fault.scene import New, Scene
from tests.fault.syscalls import unsupported


@pytest.fixture(scope="session")
def new(tmp_path_factory: pytest.TempPathFactory) -> Iterator[New]:
    """A maker of processes that may be made to fail and die."""
    if missing := unsupported():
        pytest.skip(f"faults cannot be injected here: {missing}")
    with nursery(tmp_path_factory.mktemp("tmpdir")) as make:
        yield make


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, new: New) -> Scene:
    """A home made once."""
    return Scene(tmp_path_factory.mktemp("scene"), new)


@pytest.fixture
def scene(whole: Scene) -> Scene:
    """A home as it was made."""
    whole.restore()
    return whole
