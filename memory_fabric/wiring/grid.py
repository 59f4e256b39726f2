"""The signed list of sites in a home: read, signed by the one site that may, or taken over."""

from __future__ import annotations

from memory_fabric.adapters.files import replace_file
from memory_fabric.adapters.roster import RosterFile
from memory_fabric.config import Settings
from memory_fabric.core.errors import HomeError, InputError
from memory_fabric.core.places import Roster, Site
from memory_fabric.vault.identity import Signer
from memory_fabric.vault.keyring import Keyring
from memory_fabric.wiring.create import ACCEPTED_GRID, GRID_SECRET, site_card
from memory_fabric.wiring.paths import Paths


class GridRoster:
    """The roster of a home."""

    def __init__(self, paths: Paths, keyring: Keyring) -> None:
        self._paths = paths
        self._keyring = keyring

    def document(self) -> str:
        """The signed roster, as text."""
        return self._paths.roster.read_text("utf-8")

    @property
    def key(self) -> bytes:
        """The public key that this site accepts rosters from."""
        return accepted_grid_key(self._keyring)

    @property
    def signs(self) -> bool:
        """Whether this site holds the grid's signing key."""
        return self.key == self._signer.public

    def load(self, settings: Settings, signing_key: bytes) -> Roster:
        """The roster on disk; a site that is alone keeps its own entry as its settings are.

        Raises:
            HomeError: ``home-foreign``.
            IntegrityViolated: ``roster-forged``.
        """
        roster = RosterFile(self._paths.roster).load(self.key)
        me = roster.sites.get(settings.site_id)
        if me is None or me.signing_key != signing_key:
            raise HomeError(
                "home-foreign",
                "The roster, the keys and site.toml are not of one site.",
                "Put the files of one home together again, or restore it.",
            )
        card = site_card(settings, me.embedder, me, self._paths.root.resolve())
        if card != me and self.signs:
            roster = roster.with_site(card)
            self.publish(roster)
        return roster

    def publish(self, roster: Roster) -> None:
        """Sign and keep the next roster."""
        signer = self._signer
        RosterFile(self._paths.roster).save(roster, signer.sign, signer.public)

    def accept(self, document: str, grid_key: bytes, current: Roster, me: Site) -> Roster:
        """Keep a roster from the site that signs it.

        A site that is alone accepts a new grid key; a site in a grid accepts only its own.

        Raises:
            HomeError: ``grid-foreign``.
            IntegrityViolated: ``roster-forged``.
            InputError: ``roster-old``.
        """
        if grid_key != self.key and len(current.sites) > 1:
            raise HomeError(
                "grid-foreign",
                "That site belongs to another grid already.",
                "Link it from the site that signs that grid's roster.",
            )
        roster = RosterFile.read(document, grid_key)
        if grid_key == self.key and roster.version <= current.version:
            raise InputError("roster-old", "That roster is not newer.", "Nothing needs doing.")
        if roster[me.site_id].signing_key != me.signing_key:
            raise HomeError(
                "grid-foreign",
                "That roster names another site by this name.",
                "Rename one of them.",
            )
        if grid_key != self.key:
            self._keyring.add_secret(ACCEPTED_GRID, grid_key)
        replace_file(self._paths.roster, document.encode(), durable=True)
        return roster

    @property
    def _signer(self) -> Signer:
        return Signer(self._keyring.secret(GRID_SECRET))


def accepted_grid_key(keyring: Keyring) -> bytes:
    """The grid's public key that `site link` brought, or else the site's own."""
    if keyring.has_secret(ACCEPTED_GRID):
        return keyring.secret(ACCEPTED_GRID)
    return Signer(keyring.secret(GRID_SECRET)).public
