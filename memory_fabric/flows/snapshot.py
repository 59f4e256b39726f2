"""The sealed snapshot of the searchable copy: a large site opens by it, not by every record.

It is an aid and no truth. It stands only while nothing was removed since it was taken: whatever
removes a record drops it, key before files, so that nothing erased is kept alive by it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import groupby

from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.core.ports import SearchCopy, SnapshotStore
from memory_fabric.core.records import RID_BYTES, CatalogChanges, Damage
from memory_fabric.flows.node import Node
from memory_fabric.flows.upkeep import Job
from memory_fabric.vault.keyring import Keyring
from memory_fabric.vault.snapshot import (
    Manifest,
    Part,
    SnapshotKey,
    SnapshotSealer,
    chunks_name,
    snapshot_damaged,
    snapshot_id,
)

LARGE = 20_000
"""Rows from which on rebuilding the copy takes longer than a command should."""
BEHIND = 0.05
"""The share of rows that a snapshot may lack: so many must be read one by one at opening."""
PAUSE = timedelta(minutes=10)
"""Between two snapshots of a site that is being served."""

_VERSION_BYTES = 8
_log = logging.getLogger(__name__)


class _Unfit(Exception):
    """A sound snapshot that the site, as it is now, cannot open by. Its text is a code."""


def take(node: Node) -> bool:
    """Write a snapshot of what the site holds now, in place of the one before.

    The writing lock is held for the first and the last step only.

    Returns:
        Whether it counts: not where the site is closing, or something was removed meanwhile.

    Raises:
        Unavailable: ``snapshot-unwritable``, ``keyring-unwritable``.
    """
    standing, key = node.standing, SnapshotKey.new()
    sealer = SnapshotSealer(node.me.site_id, key)
    with node.writing:
        if node.unsettled:
            return False
        standing.tried = node.clock.now()
        removals, covered = standing.removals, standing.written
        moment, parts = _moment(node), _parts(node)
    whole = False

    def chunks() -> Iterator[bytearray]:
        nonlocal whole
        for chunk in sealer.seal(parts):
            if node.closing.is_set() or standing.removals != removals:
                return
            yield chunk
        whole = True

    node.snapshots.write(chunks_name(key.id), chunks())
    with node.writing:
        counts = whole and standing.removals == removals
        if counts:
            node.keyring.add_snapshot_key(key)
            node.snapshots.publish(sealer.seal_manifest(replace(moment, parts=sealer.parts)))
            standing.covered, standing.refused = covered, None
        _keep_one(node)
    return counts


def drop_snapshot(node: Node) -> None:
    """Destroy the snapshot, key before files. Called with the pen held by whatever removes
    records, after its receipt.

    Raises:
        Unavailable: ``keyring-unwritable``, ``snapshot-unwritable``.
    """
    node.standing.removals += 1
    node.standing.covered = None
    node.keyring.drop_snapshot_keys()
    node.snapshots.drop()


def thaw(node: Node) -> CatalogChanges | None:
    """Fill the empty searchable copies from the snapshot. Called with the pen held.

    Returns:
        What the catalog holds beyond it; ``None`` where the copies are still empty, since there
        is no snapshot or it does not fit: then they are rebuilt.

    Raises:
        IntegrityViolated: ``ledger-rolled-back``, ``ledger-damaged``.
    """
    standing = node.standing
    standing.covered = standing.refused = None
    try:
        found = _opened(node.snapshots, node.keyring, node.me.site_id)
        if found is None:
            node.keyring.drop_snapshot_keys()
            node.snapshots.drop()
            return None
        sealer, manifest, name = found
        changes = _changes(node, manifest)
        with node.snapshots.reading(name) as read:
            _fill(node, sealer.open(manifest, read))
        standing.covered = standing.written = 0
        _keep_one(node)
        return changes
    except IntegrityViolated as error:
        if error.code != "snapshot-damaged":
            raise
        standing.refused = error.code
    except ValueError:
        standing.refused = "snapshot-unfit"
    except _Unfit as reason:
        standing.refused = str(reason)
    for copy in (node.copy, node.leased):
        copy.remove(list(_rids(copy)))
    node.versions.clear()
    _log.warning("The searchable copy is rebuilt: %s.", standing.refused)
    return None


def check(store: SnapshotStore, keyring: Keyring, site_id: str) -> list[Damage]:
    """Read the whole snapshot; what of it is not as it was written."""
    try:
        found = _opened(store, keyring, site_id)
        if found:
            sealer, manifest, name = found
            with store.reading(name) as read:
                for _ in sealer.open(manifest, read):
                    pass
    except IntegrityViolated as error:
        return [Damage(file, error.what) for file in error.details["damaged"]]
    return []


def _moment(node: Node) -> Manifest:
    """What a snapshot taken now is of."""
    checkpoint = node.ledger.checkpoint()
    return Manifest(
        embedder=node.embedder.id,
        dim=node.embedder.dim,
        epoch=node.keyring.epoch,
        size=checkpoint.size,
        root=checkpoint.root,
        stack_version=node.stack.version,
        rows=len(node.copy) + len(node.leased),
    )


def _parts(node: Node) -> Iterator[Part]:
    """All that the site holds in memory, as it is at the moment of the call."""
    copies = {"own": node.copy.freeze(), "leased": node.leased.freeze()}
    changed = b"".join(
        rid + version.to_bytes(_VERSION_BYTES, "big")
        for rid, version in sorted(node.versions.items())
    )

    def parts() -> Iterator[Part]:
        for kind, frozen in copies.items():
            for name, content in frozen:
                yield f"{kind}/{name}", content
        yield "versions", changed

    return parts()


def _fill(node: Node, parts: Iterable[tuple[str, bytearray]]) -> None:
    """The inverse of ``_parts``.

    Raises:
        ValueError: the parts do not fit.
    """
    copies = {"own": node.copy, "leased": node.leased}
    for kind, group in groupby(parts, lambda part: part[0].partition("/")[0]):
        if kind in copies:
            copies[kind].thaw((name.partition("/")[2], content) for name, content in group)
            continue
        step = RID_BYTES + _VERSION_BYTES
        for _, content in group:
            pairs = (bytes(content[at : at + step]) for at in range(0, len(content), step))
            node.versions.update(
                (pair[:RID_BYTES], int.from_bytes(pair[RID_BYTES:], "big")) for pair in pairs
            )


def _opened(
    store: SnapshotStore, keyring: Keyring, site_id: str
) -> tuple[SnapshotSealer, Manifest, str] | None:
    """The snapshot's sealer, its manifest, and the name of its chunks; ``None`` where none counts.

    Raises:
        IntegrityViolated: ``snapshot-damaged``.
    """
    sealed = store.manifest()
    # Without any key it is what a crash left of a snapshot that was being dropped.
    if sealed is None or not keyring.holds_snapshot_key:
        return None
    key = keyring.snapshot_key(snapshot_id(sealed))
    if key is None:
        raise snapshot_damaged("manifest")
    sealer = SnapshotSealer(site_id, key)
    return sealer, sealer.open_manifest(sealed), chunks_name(key.id)


def _changes(node: Node, manifest: Manifest) -> CatalogChanges:
    """What the catalog holds beyond a snapshot that the site can open by.

    Raises:
        IntegrityViolated: ``ledger-rolled-back``, ``ledger-damaged``.
    """
    if (manifest.embedder, manifest.dim) != (node.embedder.id, node.embedder.dim):
        raise _Unfit("snapshot-unfit")
    changes = node.ledger.changes(manifest.size, manifest.root)
    if changes is None:
        raise IntegrityViolated(
            "ledger-rolled-back",
            "The snapshot of the searchable copy stands for receipts that the log does not hold.",
            "Restore the newest ledger; nothing was removed.",
            {"damaged": ["ledger.db"]},
        )
    if changes.removed:  # a crash came between an erasure's receipt and the end of the snapshot
        drop_snapshot(node)
        raise _Unfit("snapshot-outlived")
    if len(changes.written) > manifest.rows:
        raise _Unfit("snapshot-stale")
    return changes


def _keep_one(node: Node) -> None:
    """Remove what earlier snapshots and broken-off ones left: all but the one that counts."""
    sealed = node.snapshots.manifest()
    if sealed is None:
        node.keyring.drop_snapshot_keys()
        node.snapshots.drop()
    else:
        kept = snapshot_id(sealed)
        node.keyring.drop_snapshot_keys(keep=kept)
        node.snapshots.drop(keep=chunks_name(kept))


def _rids(copy: SearchCopy) -> Iterator[bytes]:
    rids = copy.rids()
    return (rids[at : at + RID_BYTES] for at in range(0, len(rids), RID_BYTES))


def _due(node: Node, now: datetime) -> bool:
    """Whether the next opening would have too much to read."""
    tried = node.standing.tried
    return _wanting(node, now) and (tried is None or now - tried >= PAUSE)


def _wanting(node: Node, now: datetime) -> bool:
    rows, behind = len(node.copy) + len(node.leased), node.standing.behind
    return rows >= LARGE and (behind is None or behind > BEHIND * rows)


RENEW = Job("renew the snapshot", due=_due, run=take, pressing=_wanting)
"""Write the snapshot of a large site anew when it lacks too much."""
