"""Back up: every acknowledged record as it is sealed, and a copy of the ledger. No keys.

The copy of the ledger is the moment that a backup stands for. Records are read after it while the
site goes on; where one of them has changed meanwhile, another copy is made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from pathlib import Path

from memory_fabric.core.access import Requester
from memory_fabric.core.backup import (
    FORMAT,
    PACK_ROWS,
    BackupStore,
    Manifest,
    Pack,
    index_of,
    indexed,
)
from memory_fabric.core.errors import HomeError, IntegrityViolated
from memory_fabric.core.receipt import Checkpoint, Outcome
from memory_fabric.core.records import CatalogChange, CatalogEntry, Damage, SealedRecord
from memory_fabric.flows.node import Node
from memory_fabric.flows.reconcile import Progress
from memory_fabric.vault.identity import verify_signature

KEEP = 7
"""Backups that stay in a folder."""
SMALL_PACKS = 32
"""When a folder has more packs than this that are not half full, they are put together."""
_TRIES = 4
"""The last of them holds up writing, so that a busy site is backed up as well."""

Sign = Callable[[bytes], bytes]


@dataclass(frozen=True)
class BackedUp:
    """A complete backup.

    Attributes:
        manifest: what it holds.
        written: records that stood in no backup before.
        pruned: objects that no backup needs any more.
        receipt: the receipt that records it.
    """

    manifest: Manifest
    written: int
    pruned: int
    receipt: str


@dataclass
class _Making:
    """Packs that may be used again, and how many records were written new."""

    packs: list[Pack] = field(default_factory=list)
    written: int = 0


@dataclass(frozen=True)
class _Copy:
    """One moment of a site: a copy of its ledger, and packs with the records that it names."""

    at: datetime
    ledger: Path
    checkpoint: Checkpoint
    live: int
    packs: list[Pack]


class _Moved(Exception):
    """A record is not the one that the copy of the ledger names."""


def create(
    node: Node,
    requester: Requester,
    store: BackupStore,
    files: Mapping[str, bytes],
    sign: Sign,
    *,
    keep: int = KEEP,
    progress: Progress | None = None,
) -> BackedUp:
    """Bring a folder of backups up to this moment; interrupted, the next one goes on.

    Args:
        files: small files of the home by their path in it; none of them holds a key.
        sign: signs with the site's key.
        keep: backups that stay, the new one among them; at least 1.

    Raises:
        HomeError: ``backup-foreign``: the folder is another site's.
        IntegrityViolated: ``backup-damaged``.
        Unavailable: ``backup-unwritable``, ``backup-busy``.
    """
    with store.locked(), store.scratch() as scratch:
        numbers = store.manifests()
        last = read(store, numbers[-1], node.me.site_id, node.me.signing_key) if numbers else None
        making = _Making(list(last.packs) if last else [])
        copy = _consistent(node, store, scratch, making, progress)
        manifest = Manifest(
            site=node.me.site_id,
            number=(last.number if last else 0) + 1,
            at=copy.at,
            checkpoint=copy.checkpoint,
            live=copy.live,
            ledger=store.put_file(copy.ledger),
            files={name: store.put(content) for name, content in sorted(files.items())},
            packs=copy.packs,
        )
        body = manifest.body
        committed = node.commit(
            "backup", requester, Outcome.DONE,
            request={"number": manifest.number, "records": manifest.live},
            facts={"manifest": hashlib.sha256(body).hexdigest(), "written": making.written},
        )  # fmt: skip
        store.write_manifest(manifest.number, body, sign(_signed(body)))
        pruned = _prune(node, store, manifest, max(keep, 1))
    return BackedUp(manifest, making.written, pruned, committed.receipt.id)


def read(store: BackupStore, number: int, site: str, key: bytes) -> Manifest:
    """A manifest that the site signed.

    Args:
        key: the site's raw public key.

    Raises:
        NotFound: ``backup-unknown``.
        HomeError: ``backup-foreign``.
        IntegrityViolated: ``backup-damaged``.
    """
    body, signature = store.read_manifest(number)
    damaged = IntegrityViolated(
        "backup-damaged",
        f"The manifest of backup {number} is not as this site signed it.",
        "Take an older backup, and find out who changed this one.",
        {"damaged": [f"manifests/{number}"]},
    )
    try:
        manifest = Manifest.from_json(json.loads(body))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise damaged from None
    if manifest.site != site:
        raise HomeError(
            "backup-foreign",
            "The folder holds another site's backups.",
            "Name a folder of this site's own.",
        )
    if manifest.number != number or not verify_signature(key, _signed(body), signature):
        raise damaged
    return manifest


def check(store: BackupStore, manifest: Manifest, progress: Progress | None = None) -> list[Damage]:
    """Read everything that a backup holds; what is not as it was written."""
    damages = []
    names = sorted(manifest.objects)
    for done, name in enumerate(names, 1):
        try:
            store.get(name)
        except IntegrityViolated as error:
            damages += [Damage(damaged, error.what) for damaged in error.details["damaged"]]
        if progress:
            progress(done, len(names))
    return damages


def records(
    store: BackupStore, manifest: Manifest, live: Mapping[bytes, CatalogEntry]
) -> Iterator[list[SealedRecord]]:
    """The live records of a backup, pack by pack, each the one that the ledger names.

    Raises:
        IntegrityViolated: ``backup-damaged``: one is missing or another.
    """
    found = 0
    for pack in manifest.packs:
        packed = store.get_records(pack.records)
        good = [
            record
            for record in packed
            if (entry := live.get(record.rid)) and entry.digest == record.digest
        ]
        # Nothing here needs the index, but a backup with a wrong one is not as it was written.
        found += len(good) if index_of(packed) == store.get(pack.index) else 0
        yield good
    if found != len(live):
        raise IntegrityViolated(
            "backup-damaged",
            f"The backup lacks {len(live) - found} of the records that its ledger names.",
            "Take an older backup.",
            {"damaged": [f"manifests/{manifest.number}"]},
        )


def _consistent(
    node: Node,
    store: BackupStore,
    scratch: Path,
    making: _Making,
    progress: Progress | None,
) -> _Copy:
    for trying in range(_TRIES - 1):
        try:
            return _copied(node, store, scratch / f"ledger-{trying}.db", making, progress)
        except _Moved:
            continue
    with node.writing:
        return _copied(node, store, scratch / "ledger.db", making, progress)


def _copied(
    node: Node, store: BackupStore, path: Path, making: _Making, progress: Progress | None
) -> _Copy:
    at = node.clock.now()
    checkpoint, entries = node.ledger.copy_to(path)
    packs = _packs(node, store, entries, making, progress)
    return _Copy(at, path, checkpoint, len(entries), packs)


def _packs(
    node: Node,
    store: BackupStore,
    entries: Sequence[CatalogEntry],
    making: _Making,
    progress: Progress | None,
) -> list[Pack]:
    """Packs with exactly these records: earlier ones where nothing in them is gone, new ones for
    the rest.
    """
    missing = {(entry.rid, entry.version): entry for entry in entries}
    whole = []
    for pack in making.packs:
        try:
            names = list(indexed(store.get(pack.index)))
        except IntegrityViolated:
            continue  # its records are still in the stack
        if all(name in missing for name in names):
            whole.append((pack, names))
            for name in names:
                del missing[name]
    small = [item for item in whole if item[0].count < PACK_ROWS // 2]
    known = {(entry.rid, entry.version): entry for entry in entries}
    if len(small) > SMALL_PACKS:
        whole = [item for item in whole if item not in small]
        missing |= {name: known[name] for _, names in small for name in names}
    packs = [pack for pack, _ in whole]
    rest = iter(missing.values())
    while some := list(islice(rest, PACK_ROWS)):
        found = node.stack.fetch([entry.rid for entry in some])
        if [(item.rid, item.digest) for item in found] != [
            (item.rid, item.digest) for item in some
        ]:
            making.packs = packs
            raise _Moved
        packs.append(Pack(store.put_records(found), store.put(index_of(some)), len(some)))
        making.written += len(some)
        if progress:
            progress(sum(pack.count for pack in packs), len(entries))
    return packs


def _prune(node: Node, store: BackupStore, newest: Manifest, keep: int) -> int:
    numbers = store.manifests()
    kept = [
        read(store, number, node.me.site_id, node.me.signing_key)
        for number in numbers[-keep:]
        if number != newest.number
    ]
    needed = newest.objects.union(*(manifest.objects for manifest in kept))
    return store.forget(numbers[:-keep], needed)


def _signed(body: bytes) -> bytes:
    """What the site signs: nothing else that it signs begins so."""
    return f"{FORMAT}\n".encode() + body


def drop_erased(node: Node, requester: Requester, manifest: Manifest) -> tuple[int, str]:
    """End the restoring of a home: records that erasures have closed since the backup was made go,
    and a receipt says what the home came from. Before anything is loaded.

    Returns:
        How many went, and the receipt.
    """
    with node.writing:
        closed = {rid for batch in node.stack.scan() for rid in node.vault.index_rows(batch).closed}
        gone = [entry for entry in node.ledger.catalog() if entry.rid in closed]
        if gone:
            node.stack.remove([entry.rid for entry in gone])
        committed = node.commit(
            "restore", requester, Outcome.DONE,
            request={"number": manifest.number, "records": manifest.live},
            facts={"manifest": hashlib.sha256(manifest.body).hexdigest(), "erased": len(gone)},
            change=CatalogChange(node.stack.version, removed=gone) if gone else None,
        )  # fmt: skip
        if gone:
            node.stack.compact()
    return len(gone), committed.receipt.id
