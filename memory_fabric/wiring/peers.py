"""Other sites on this machine: carried letters, and linking.

A neighbour that is served is reached through its socket; one that is not is opened here, in this
process, for as long as this home is open. The network takes this place later; the letters are
sealed and signed already.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

from memory_fabric.core.errors import HomeError, InputError, MemoryFabricError, Unavailable
from memory_fabric.core.places import Roster, Site
from memory_fabric.core.receipt import Checkpoint
from memory_fabric.flows.answer import answer
from memory_fabric.flows.node import Node
from memory_fabric.flows.witness import bear_witness, held_of
from memory_fabric.wiring.grid import GridRoster
from memory_fabric.wiring.served import reach


class OpenHome(Protocol):
    """What letters and linking ask of an open home; ``wiring.home.Home`` is one."""

    path: Path
    node: Node
    grid: GridRoster

    def publish(self, roster: Roster) -> str:
        """Sign and take over the next roster; its document."""
        ...

    def accept(self, document: str, grid_key: bytes) -> None:
        """Take over a roster from the site that signs it."""
        ...

    def close(self) -> None:
        """Release files and lock."""
        ...


Opener = Callable[[Path], OpenHome]
"""Opens a neighbour's home in this process."""


class Neighbours:
    """Transport between homes on one machine.

    Args:
        opener: opens a home that answers letters.
        unloaded: opens one that only tells of its log.
    """

    def __init__(self, opener: Opener, unloaded: Opener) -> None:
        self._opener = opener
        self._unloaded = unloaded
        self._open: dict[str, OpenHome] = {}
        self._lock = threading.Lock()

    def exchange(self, site: Site, letter: bytes) -> bytes:
        """Deliver a sealed letter to a site's home.

        Raises:
            Unavailable: ``site-unreachable``.
        """
        try:
            if site.address not in self._open and (socket := reach(Path(site.address))):
                return socket.exchange(letter)
            return answer(self._opened(site.address).node, letter)
        except HomeError as error:
            raise Unavailable(
                "site-unreachable", f"Site {site.site_id} cannot be opened: {error.what}", error.do
            ) from error

    def witness(
        self,
        site: Site,
        of: str,
        newest: Checkpoint | None = None,
        path: Sequence[bytes] = (),
    ) -> Checkpoint | None:
        """The checkpoint of a site's log that another site holds; a newer one takes its place."""
        shown = newest.to_json() if newest else None
        proof = [item.hex() for item in path]
        params: dict[str, Any] = {"site": of, "checkpoint": shown, "path": proof}
        try:
            if home := self._open.get(site.address):
                told = grid_witness(home, **params)
            else:
                told = Peer(site.address, self._unloaded).ask("grid_witness", params)
        except HomeError as error:
            raise Unavailable(
                "site-unreachable", f"Site {site.site_id} cannot be opened: {error.what}", error.do
            ) from error
        held = told["checkpoint"]
        return Checkpoint.from_json(held) if held else None

    def close(self) -> None:
        """Close the homes that were opened for letters."""
        with self._lock:
            while self._open:
                self._open.popitem()[1].close()

    def _opened(self, address: str) -> OpenHome:
        with self._lock:
            if address not in self._open:
                self._open[address] = self._opener(Path(address))
            return self._open[address]


class Peer:
    """A home being linked, served or not: the few things that linking asks of it."""

    def __init__(self, address: str, opener: Opener) -> None:
        self._opener = opener
        self._path = Path(address).resolve()
        self._socket = reach(self._path)

    def card(self) -> dict[str, Any]:
        """The site as it describes itself, with its grid key and the size of its grid."""
        return self.ask("grid_card", {})

    def accept(self, document: str, grid_key: bytes) -> None:
        """Hand it a signed roster."""
        self.ask("grid_accept", {"document": document, "grid_key": grid_key.hex()})

    def ask(self, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """One of ``GRID_OPERATIONS``."""
        if self._socket:
            answer: dict[str, Any] = self._socket.call(operation, {"os_user": "neighbour"}, params)
            return answer
        with closing(self._opener(self._path)) as home:
            return GRID_OPERATIONS[operation](home, **params)


def grid_card(home: OpenHome) -> dict[str, Any]:
    """What a site says of itself when it is linked."""
    return {
        "site": home.node.me.to_json(),
        "grid_key": home.grid.key.hex(),
        "sites": len(home.node.roster.sites),
    }


def grid_accept(home: OpenHome, document: str, grid_key: str) -> dict[str, Any]:
    """Take over a signed roster."""
    home.accept(document, bytes.fromhex(grid_key))
    return {"sites": len(home.node.roster.sites)}


def grid_witness(
    home: OpenHome, site: str, checkpoint: dict[str, Any] | None, path: Sequence[str]
) -> dict[str, Any]:
    """What this site holds of another one's log; with a newer checkpoint, that one from now on."""
    if checkpoint is None:
        held = held_of(home.node, site)
    else:
        shown, proof = Checkpoint.from_json(checkpoint), [bytes.fromhex(item) for item in path]
        held = bear_witness(home.node, site, shown, proof)
    return {"checkpoint": held.to_json() if held else None}


GRID_OPERATIONS: dict[str, Callable[..., dict[str, Any]]] = {
    "grid_card": grid_card,
    "grid_accept": grid_accept,
    "grid_witness": grid_witness,
}
"""What one home asks of another beside letters."""


def link_homes(home: OpenHome, address: str, opener: Opener) -> dict[str, Any]:
    """Add the site at an address to the grid whose roster this site signs, and tell every member.

    Raises:
        HomeError: ``grid-key-elsewhere``, ``grid-foreign``, or the other home cannot be opened.
        InputError: ``address-unknown``, ``site-name-taken``, ``link-to-itself``.
    """
    if "://" in address:
        raise InputError(
            "address-unknown",
            "Sites on other machines cannot be linked by this version.",
            "Name a home directory on this machine.",
        )
    if not home.grid.signs:
        raise HomeError(
            "grid-key-elsewhere",
            "This site did not make the grid that it belongs to.",
            "Link from the site whose `site link` took this one in.",
        )
    if Path(address).resolve() == home.path.resolve():
        raise InputError("link-to-itself", "That is this site.", "Name another home.")
    peer = Peer(address, opener)
    card = peer.card()
    site = Site.from_json(card["site"])
    if card["sites"] > 1 and bytes.fromhex(card["grid_key"]) != home.grid.key:
        raise HomeError(
            "grid-foreign",
            "That site belongs to another grid already.",
            "Link it from the site that signs that grid's roster.",
        )
    known = home.node.roster.sites.get(site.site_id)
    if known is not None and known.signing_key != site.signing_key:
        raise InputError(
            "site-name-taken",
            f"The roster has another site {site.site_id!r}.",
            "Give one of them another name.",
        )
    before = home.node.roster
    document = home.publish(before.with_site(site))
    try:
        peer.accept(document, home.grid.key)
    except MemoryFabricError:
        home.publish(Roster(home.node.roster.version + 1, before.sites))
        raise
    told, untold = [site.site_id], {}
    for member in home.node.roster:
        if member.site_id in (home.node.me.site_id, site.site_id):
            continue
        try:
            Peer(member.address, opener).accept(document, home.grid.key)
            told.append(member.site_id)
        except MemoryFabricError as error:
            untold[member.site_id] = error.code
    return {
        "linked": site.site_id,
        "region": str(site.region),
        "claims": {
            "memberships": dict(site.memberships),
            "instruments": dict(site.instruments),
            "transfer_risk_assessed": site.transfer_risk_assessed,
        },
        "sites": sorted(home.node.roster.sites),
        "told": told,
        "not_told": untold,
    }
