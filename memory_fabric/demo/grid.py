"""The demo's sites: where they stand, and how they are asked."""

from __future__ import annotations

import getpass
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory_fabric import operations
from memory_fabric.wiring import Home, create_home, open_home

TENANT = "acme"


@dataclass(frozen=True)
class Place:
    """A site of the demo."""

    site: str
    region: str
    what: str
    law: str


PLACES = (
    Place("fra-1", "DE", "clinic in Frankfurt", "EU: GDPR"),
    Place("lyo-1", "FR", "partner clinic in Lyon", "EU: GDPR"),
    Place("lon-1", "GB", "insurer in London", "UK: UK GDPR"),
    Place("vir-1", "US-VA", "support centre in Virginia", "US: HIPAA, state law"),
)
HOME, BLOC, ADEQUATE, UNSAFE = (place.site for place in PLACES)
"""The sites by the part they play: seen from Frankfurt."""


class OpenSite:
    """A site whose home is open: everything is asked of it by operations."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.name = home.node.me.site_id
        self._who = {"os_user": getpass.getuser()}

    def ask(self, operation: str, **params: Any) -> dict[str, Any]:
        """Run an operation as the local operator."""
        return operations.run(self.home, operation, self._who, params)

    def sealed(self, subject: str) -> list[bytes]:
        """The ciphertexts of what is remembered about a subject."""
        node = self.home.node
        rows = node.copy.of_subject(TENANT, subject)
        return [record.blob for record in node.stack.fetch([row.rid for row in rows])]

    def vectors(self, texts: list[str]) -> list[bytes]:
        """Embeddings as float32, as the site makes them."""
        return self.home.node.embedder.embed(texts)


class Grid:
    """The homes of all sites in one folder.

    Only one is held open at a time; it opens the others by itself when it writes to them.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def create(self, place: Place) -> None:
        """Make a site's home."""
        create_home(
            self.folder / place.site, site_id=place.site, region=place.region, tenants=[TENANT]
        )

    @contextmanager
    def at(self, site: str) -> Iterator[OpenSite]:
        """The site, open."""
        with open_home(self.folder / site) as home:
            yield OpenSite(home)
