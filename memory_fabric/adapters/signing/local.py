"""The root of a site that no officers sign for: its own key signs what its operator puts there."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, Root, Timestamp

from memory_fabric.adapters.cedar.bundle import Bundle
from memory_fabric.adapters.files import replace_file
from memory_fabric.adapters.signing.metadata import (
    TIMESTAMP_DAYS,
    Part,
    Trusted,
    new_root,
    new_snapshot,
    new_targets,
    new_timestamp,
    read_trusted,
    roots_in,
    to_bytes,
    trust_damaged,
)
from memory_fabric.adapters.signing.officers import named
from memory_fabric.core.mandate import WARN_BEFORE

RENEW_BEFORE = timedelta(days=TIMESTAMP_DAYS) / 2
"""How long before its end a site renews its word that its rules are the newest."""


class LocalRoot:
    """Keeps a site's own metadata up to date.

    Args:
        folder: ``bundle/trust``; made where it is missing.
        seed: of the site's key for this, 32 bytes.
        site_id: names the signer.
    """

    def __init__(self, folder: Path, seed: bytes, site_id: str) -> None:
        self._folder = folder
        key = Ed25519PrivateKey.from_private_bytes(seed)
        self._public = named(site_id, key.public_key())
        self._signer = CryptoSigner(key, self._public)

    def read(self) -> Trusted:
        """What the metadata says.

        Raises:
            IntegrityViolated: ``trust-damaged``, also where another key made it.
        """
        trusted = read_trusted(self._folder, self_signed=True)
        newest = Metadata[Root].from_bytes(roots_in(self._folder)[-1]).signed
        if set(newest.keys) != {self._public.keyid}:
            raise trust_damaged("of another key")
        return trusted

    def renew(self, bundle: Bundle, now: datetime, into: Path) -> Trusted | None:
        """Write the whole metadata into a folder, with whatever is new or ends soon signed anew.

        Returns:
            What stands already, where nothing has to be and nothing was written.

        Raises:
            IntegrityViolated: ``trust-damaged``.
        """
        before = self.read() if self._folder.is_dir() else None
        if before and before.covers(bundle) and not _ending(before, now):
            return before
        into.mkdir(mode=0o700, parents=True)
        roots = roots_in(self._folder)
        for number, content in enumerate(roots, start=1):
            replace_file(into / f"{number}.root.json", content, durable=True)
        if before is None or _ends(before, "root", now):
            root = new_root(now, [self._public], 1, [self._public], len(roots) + 1)
            self._write(into / f"{len(roots) + 1}.root.json", root)
        version = before.mandate.version if before else 0
        if before is None or not before.covers(bundle) or _ends(before, "targets", now):
            version += 1
            self._write(into / "targets.json", new_targets(now, version, bundle))
        else:
            kept = (self._folder / "targets.json").read_bytes()
            replace_file(into / "targets.json", kept, durable=True)
        count = _count(self._folder) + 1
        self._write(into / "snapshot.json", new_snapshot(now, count, version, TIMESTAMP_DAYS))
        self._write(into / "timestamp.json", new_timestamp(now, count, TIMESTAMP_DAYS))
        return None

    def _write(self, path: Path, part: Part) -> None:
        part.sign(self._signer)
        replace_file(path, to_bytes(part), durable=True)


def _ends(trusted: Trusted, role: str, now: datetime) -> bool:
    left = trusted.mandate.ends[role] - now
    return left <= (RENEW_BEFORE if role == "timestamp" else WARN_BEFORE[role])


def _ending(trusted: Trusted, now: datetime) -> bool:
    return any(_ends(trusted, role, now) for role in ("root", "targets", "timestamp"))


def _count(folder: Path) -> int:
    """Versions of the timestamp so far."""
    path = folder / "timestamp.json"
    return Metadata[Timestamp].from_file(str(path)).signed.version if path.exists() else 0
