"""Homes on this machine for the tests that serve them as processes."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

from memory_fabric import operations
from memory_fabric.adapters.files import replace_file
from memory_fabric.config import with_training
from memory_fabric.wiring import TINY_MODEL, create_home, open_home
from tests.federation.conftest import WHO, remember


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def made(folder: Path, sites: Mapping[str, str]) -> dict[str, Path]:
    """The sites, linked, joined, with memories and the tiny model."""
    homes = {name: folder / name for name in sites}
    for name, region in sites.items():
        create_home(homes[name], site_id=name, region=region, tenants=["acme"])
        settings = homes[name] / "site.toml"
        text = with_training(settings.read_text(), ["fra-1"], TINY_MODEL)
        replace_file(settings, text.encode(), durable=False)
    with open_home(homes["fra-1"]) as home:
        for name in list(sites)[1:]:
            operations.run(home, "link", WHO, {"address": str(homes[name])})
    for path in homes.values():
        with open_home(path) as home:
            remember(home)
    return homes
