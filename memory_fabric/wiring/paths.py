"""Where things lie in a home."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from memory_fabric.core.errors import HomeError


@dataclass(frozen=True)
class Paths:
    """The files of one home."""

    root: Path

    @property
    def settings(self) -> Path:
        """The operator's settings."""
        return self.root / "site.toml"

    @property
    def roster(self) -> Path:
        """The signed list of sites."""
        return self.root / "roster.json"

    @property
    def keys(self) -> Path:
        """Whatever is to be kept apart from the data."""
        return self.root / "keys"

    @property
    def keyring(self) -> Path:
        """Wrapped keys."""
        return self.keys / "keyring.db"

    @property
    def anchor(self) -> Path:
        """The newest checkpoint of the log, outside the ledger."""
        return self.keys / "ledger.checkpoint"

    @property
    def stack(self) -> Path:
        """The sealed table."""
        return self.root / "stack"

    @property
    def snapshot(self) -> Path:
        """The sealed snapshot of the searchable copy, where the site is large."""
        return self.root / "snapshot"

    @property
    def ledger(self) -> Path:
        """Catalog, receipts and apps."""
        return self.root / "ledger.db"

    @property
    def policies(self) -> Path:
        """The installed policy bundle."""
        return self.root / "bundle" / "policies"

    @property
    def validated(self) -> Path:
        """The last bundle that passed every check."""
        return self.root / "bundle" / "validated"

    @property
    def history(self) -> Path:
        """Every bundle that was in force, by its digest."""
        return self.root / "bundle" / "history"

    @property
    def trust(self) -> Path:
        """The TUF metadata of the installed bundle."""
        return self.root / "bundle" / "trust"

    @property
    def incoming(self) -> Path:
        """A bundle that is being looked at; whatever lies there is in force nowhere."""
        return self.root / "bundle" / "incoming"

    @property
    def ready(self) -> Path:
        """What is to take the place of ``policies`` and ``trust``, whole and on stable storage."""
        return self.root / "bundle" / "ready"

    @property
    def candidates(self) -> Path:
        """Bundles that officers propose, each under its digest."""
        return self.root / "candidates"

    @property
    def lock(self) -> Path:
        """Held by the one process that has the home open."""
        return self.root / "run" / "lock"

    @property
    def runs(self) -> Path:
        """Checkpoints of fine-tuning runs that this site aggregates, sealed to itself."""
        return self.root / "runs"

    @property
    def witnessed(self) -> Path:
        """Checkpoints that other sites showed."""
        return self.root / "witnessed.json"

    @property
    def socket(self) -> Path:
        """Where a served home listens."""
        return self.root / "run" / "site.sock"

    def check_complete(self) -> None:
        """Raise ``home-missing`` or ``home-incomplete``.

        The validated bundle may lack: a crash while it is replaced leaves none, and the next
        opening makes it anew from the installed one.
        """
        if not self.settings.exists():
            raise HomeError(
                "home-missing",
                "There is no site home here: site.toml is missing.",
                "Run `memory-fabric site init`, or name the home with --home or "
                "MEMORY_FABRIC_HOME.",
            )
        parts = (
            self.roster, self.keyring, self.stack, self.ledger, self.policies,
        )  # fmt: skip
        missing = [
            str(part.relative_to(self.root))
            for part in parts
            if not part.exists() and not (self.ready / part.name).exists()
        ]
        if missing:
            raise HomeError(
                "home-incomplete",
                f"The home lacks {', '.join(missing)}.",
                "Restore it from a backup, or make the home anew.",
                {"missing": missing},
            )


def default_home() -> Path:
    """``MEMORY_FABRIC_HOME``, or ``~/.memory-fabric``."""
    named = os.environ.get("MEMORY_FABRIC_HOME")
    return Path(named) if named else Path.home() / ".memory-fabric"


def model_directory() -> Path:
    """Where exported models are kept: ``MEMORY_FABRIC_MODELS``, or the user's cache."""
    named = os.environ.get("MEMORY_FABRIC_MODELS")
    cache = os.environ.get("XDG_CACHE_HOME")
    base = Path(cache) if cache else Path.home() / ".cache"
    return Path(named) if named else base / "memory-fabric" / "models"
