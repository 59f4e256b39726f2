"""TUF metadata of policy bundles: made, and read with every signature checked.

The format and its rules are those of The Update Framework, https://theupdateframework.github.io/
specification/latest/; the library is python-tuf. A bundle's files are targets, each by its path.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from securesystemslib.exceptions import StorageError
from securesystemslib.signer import SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)
from tuf.api.serialization import DeserializationError, SerializationError
from tuf.api.serialization.json import JSONSerializer

from memory_fabric.adapters.cedar.bundle import Bundle
from memory_fabric.adapters.signing.officers import officer_of
from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.core.mandate import Mandate

ROOT_DAYS, TARGETS_DAYS = 365, 90
"""How long a list of officers, and their signatures, hold."""
TIMESTAMP_DAYS, OFFLINE_DAYS = 7, 30
"""How long rules count as the newest; for sites that are brought them on a stick."""

BROKEN = (RepositoryError, DeserializationError, SerializationError, StorageError, ValueError)
"""What python-tuf raises over metadata that is not what it should be."""

_SERIAL = JSONSerializer(compact=False)


@dataclass(frozen=True)
class Trusted:
    """What a site's own metadata says.

    Attributes:
        mandate: by whose authority, and until when.
        files: SHA-256 of each file of the bundle, hexadecimal, by its path.
    """

    mandate: Mandate
    files: Mapping[str, str]

    def covers(self, bundle: Bundle) -> bool:
        """Whether these are exactly the files that were signed."""
        return self.files == digests(bundle)


def digests(bundle: Bundle) -> dict[str, str]:
    """SHA-256 of each file, hexadecimal, by its path."""
    return {path: hashlib.sha256(text.encode()).hexdigest() for path, text in bundle.files.items()}


def days_after(now: datetime, days: int) -> datetime:
    """So many days on; TUF counts in whole seconds."""
    return now.replace(microsecond=0) + timedelta(days=days)


def new_root(
    now: datetime,
    officers: Sequence[SSlibKey],
    threshold: int,
    publishers: Sequence[SSlibKey],
    version: int = 1,
) -> Metadata[Root]:
    """A root, unsigned: officers sign it and the rules, publishers say which rules are newest."""
    root = Root(version=version, expires=days_after(now, ROOT_DAYS), consistent_snapshot=True)
    for role, keys in (
        ("root", officers),
        ("targets", officers),
        ("snapshot", publishers),
        ("timestamp", publishers),
    ):
        for key in keys:
            root.add_key(key, role)
    root.roles["root"].threshold = root.roles["targets"].threshold = threshold
    return Metadata(root)


def new_targets(now: datetime, version: int, bundle: Bundle) -> Metadata[Targets]:
    """A bundle's files as targets, unsigned."""
    targets = Targets(version=version, expires=days_after(now, TARGETS_DAYS))
    for path, text in bundle.files.items():
        targets.targets[path] = TargetFile.from_data(path, text.encode(), ["sha256"])
    return Metadata(targets)


def new_snapshot(now: datetime, version: int, targets: int, days: int) -> Metadata[Snapshot]:
    """Which version of the targets is the newest, unsigned."""
    meta = {"targets.json": MetaFile(version=targets)}
    return Metadata(Snapshot(version=version, expires=days_after(now, days), meta=meta))


def new_timestamp(now: datetime, version: int, days: int) -> Metadata[Timestamp]:
    """Which version of the snapshot is the newest, unsigned; both count alike."""
    meta = MetaFile(version=version)
    return Metadata(Timestamp(version=version, expires=days_after(now, days), snapshot_meta=meta))


Part = Metadata[Root] | Metadata[Targets] | Metadata[Snapshot] | Metadata[Timestamp]
"""One metadata file."""


def to_bytes(metadata: Part) -> bytes:
    """The bytes of a metadata file."""
    return metadata.to_bytes(_SERIAL)


def fingerprint(first_root: bytes) -> str:
    """How officers name their root to an operator: SHA-256 of its first version, hexadecimal."""
    return hashlib.sha256(first_root).hexdigest()


def roots_in(folder: Path) -> list[bytes]:
    """The versions of the root in a folder, from the first one on without a gap."""
    found: list[bytes] = []
    while (path := folder / f"{len(found) + 1}.root.json").is_file():
        found.append(path.read_bytes())
    return found


def files_of(targets: Metadata[Targets]) -> dict[str, str]:
    """SHA-256 of each file that targets name, hexadecimal, by its path."""
    return {path: target.hashes["sha256"] for path, target in targets.signed.targets.items()}


def signers_of(
    root: Root, role: str, metadata: Metadata[Root] | Metadata[Targets]
) -> list[SSlibKey]:
    """Whose signatures count, in the order of the root."""
    result = root.get_verification_result(role, metadata.signed_bytes, metadata.signatures)
    return [key for key in keys_of(root, role) if key.keyid in result.signed]


def read_trusted(folder: Path, self_signed: bool) -> Trusted:
    """Read a home's metadata, from its first root on; who that is from, the caller knows.

    Raises:
        IntegrityViolated: ``trust-damaged``: a file lacks, or is not as it was signed.
    """
    try:
        roots = [Metadata[Root].from_bytes(content) for content in roots_in(folder)]
        root = verified_chain(roots)
        targets = Metadata[Targets].from_file(str(folder / "targets.json"))
        snapshot = Metadata[Snapshot].from_file(str(folder / "snapshot.json"))
        timestamp = Metadata[Timestamp].from_file(str(folder / "timestamp.json"))
        root.verify_delegate("targets", targets.signed_bytes, targets.signatures)
        root.verify_delegate("snapshot", snapshot.signed_bytes, snapshot.signatures)
        root.verify_delegate("timestamp", timestamp.signed_bytes, timestamp.signatures)
        if (
            timestamp.signed.snapshot_meta.version != snapshot.signed.version
            or snapshot.signed.meta["targets.json"].version != targets.signed.version
        ):
            raise ValueError("files of several versions stand together")
        files = files_of(targets)
        officers = tuple(officer_of(key) for key in keys_of(root, "targets"))
        signers = tuple(officer_of(key).name for key in signers_of(root, "targets", targets))
    except (*BROKEN, KeyError, OSError) as error:
        raise trust_damaged(type(error).__name__) from None
    mandate = Mandate(
        version=targets.signed.version,
        root_version=root.version,
        signers=signers,
        self_signed=self_signed,
        officers=() if self_signed else officers,
        threshold=root.roles["targets"].threshold,
        ends={
            "root": root.expires,
            "targets": targets.signed.expires,
            "snapshot": snapshot.signed.expires,
            "timestamp": timestamp.signed.expires,
        },
    )
    return Trusted(mandate, files)


def verified_chain(roots: Sequence[Metadata[Root]]) -> Root:
    """The newest root: the first one signed by itself, each other one also by the one before.

    Raises:
        RepositoryError: one is not.
        ValueError: there is none, or one is out of order.
    """
    if not roots:
        raise ValueError("there is no root")
    before = roots[0].signed
    for number, metadata in enumerate(roots, start=1):
        if metadata.signed.version != number:
            raise ValueError("a root is out of order")
        for root in (before, metadata.signed):
            root.verify_delegate("root", metadata.signed_bytes, metadata.signatures)
        before = metadata.signed
    return before


def keys_of(root: Root, role: str) -> list[SSlibKey]:
    """The keys of a role."""
    keys = [root.keys[keyid] for keyid in root.roles[role].keyids]
    return [key for key in keys if isinstance(key, SSlibKey)]


def trust_damaged(why: str) -> IntegrityViolated:
    """The error where a home's own metadata cannot be believed."""
    return IntegrityViolated(
        "trust-damaged",
        f"The signatures in bundle/trust are not as they were written ({why}).",
        "Install the officers' rules again (`policy install`), or restore a backup.",
        {"damaged": ["bundle/trust"]},
    )
