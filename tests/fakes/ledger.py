"""A ledger in memory: the same promises, save that nothing outlives the process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from memory_fabric.core.errors import InputError, IntegrityViolated, NotFound
from memory_fabric.core.lease import Lease
from memory_fabric.core.ledger_ports import App, InclusionProof, no_such_size
from memory_fabric.core.merkle import Tree
from memory_fabric.core.receipt import (
    Checkpoint,
    Commit,
    Committed,
    Receipt,
    log_origin,
)
from memory_fabric.core.receipt_search import ANY, Marks, Tally, Wanted, marks_of
from memory_fabric.core.records import CatalogChange, CatalogChanges, CatalogEntry, Damage


class MemoryLedger:
    """The port ``Ledger``. Without a ``sign`` its checkpoints carry an empty signature."""

    def __init__(self, site_id: str, sign: Callable[[bytes], bytes] = lambda body: b"") -> None:
        self._site_id = site_id
        self._sign = sign
        self._lock = threading.RLock()
        self._tree = Tree()
        self._receipts: list[Receipt] = []
        self._live: dict[bytes, CatalogEntry] = {}
        self._changed: list[CatalogChange | None] = []
        self._apps: dict[str, App] = {}
        self._leases: dict[str, Lease] = {}
        self._checkpoint = self._signed()
        self.stack_version = 0

    def commit(
        self,
        receipt: Receipt,
        change: CatalogChange | None = None,
        leases: Sequence[Lease] = (),
    ) -> Committed:
        return self.commit_all([Commit(receipt, change, leases)])[0]

    def commit_all(self, commits: Sequence[Commit]) -> list[Committed]:
        for commit in commits:
            commit.check(self._site_id)
        with self._lock:
            known = {known.id for known in self._receipts}
            ids = [commit.receipt.id for commit in commits]
            if known & set(ids) or len(set(ids)) < len(ids):
                raise InputError("receipt-exists", "The log has a receipt with this id.")
            live = dict(self._live)
            for commit in commits:
                if commit.change:
                    _apply(live, commit.change)
            self._live = live
            for receipt, change, leases in commits:
                if change and change.stack_version is not None:
                    self.stack_version = change.stack_version
                self._leases |= {lease.id: lease for lease in leases}
                self._tree.append(receipt.leaf)
                self._receipts.append(receipt)
                self._changed.append(change)
            self._checkpoint = self._signed()
            first = len(self._receipts) - len(commits)
            return [
                Committed(commit.receipt, index, self._checkpoint)
                for index, commit in enumerate(commits, first)
            ]

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        if size is not None and not 0 <= size <= self._tree.size:
            raise no_such_size(self._tree.size)
        return self._signed(size)

    def receipt(self, receipt_id: str) -> Mapping[str, Any]:
        for index, receipt in enumerate(self._receipts):
            if receipt.id == receipt_id:
                return {**receipt.to_json(), "index": index}
        raise NotFound("receipt-unknown", "The log has no such receipt.")

    def receipts(
        self, before: int | None, limit: int, wanted: Wanted = ANY
    ) -> list[Mapping[str, Any]]:
        end = len(self._receipts) if before is None else before
        found = [
            {**receipt.to_json(), "index": index}
            for index, receipt in enumerate(self._receipts[:end])
            if wanted.fits(receipt.to_json())
        ]
        return list(reversed(found))[:limit]

    def tally(self, wanted: Wanted = ANY) -> list[Tally]:
        by_kind: dict[Marks, list[Receipt]] = {}
        for receipt in self._receipts:
            if wanted.fits(receipt.to_json()):
                by_kind.setdefault(marks_of(receipt.to_json()), []).append(receipt)
        return [
            Tally(marks, len(found), max(receipt.at for receipt in found))
            for marks, found in by_kind.items()
        ]

    def proof(self, receipt_id: str, size: int | None = None) -> InclusionProof:
        with self._lock:
            index = self.receipt(receipt_id)["index"]
            checkpoint = self.checkpoint(size)
            if index >= checkpoint.size:
                raise no_such_size(self._tree.size)
            path = tuple(self._tree.inclusion_proof(index, checkpoint.size))
            return InclusionProof(index, self._tree.leaf(index), path, checkpoint)

    def catalog(self) -> Iterator[CatalogEntry]:
        return iter(list(self._live.values()))

    def changes(self, size: int, root: bytes) -> CatalogChanges | None:
        if size > self._tree.size or self._tree.root(size) != root:
            return None
        since = [change for change in self._changed[size:] if change]
        written = {entry.rid for change in since for entry in change.written}
        standing = [entry for rid, entry in self._live.items() if rid in written]
        return CatalogChanges(standing, any(change.removed for change in since))

    def consistency(
        self, size: int, root: bytes, to: int | None = None
    ) -> tuple[bytes, ...] | None:
        now = self._tree.size if to is None else to
        if size > now or self._tree.root(size) != root:
            return None
        return tuple(self._tree.consistency_proof(size, now))

    def copy_to(self, path: Path) -> tuple[Checkpoint, list[CatalogEntry]]:
        with self._lock:
            path.write_bytes(b"\n".join(receipt.canonical() for receipt in self._receipts))
            return self._checkpoint, list(self._live.values())

    def verify(self) -> list[Damage]:
        rebuilt = Tree(receipt.leaf for receipt in self._receipts)
        whole = rebuilt.root() == self._checkpoint.root
        return [] if whole else [Damage("memory", "its receipts are not those it signed")]

    def leases(self, *, origin: str | None = None, destination: str | None = None) -> list[Lease]:
        return [
            lease
            for lease in self._leases.values()
            if origin in (None, lease.origin) and destination in (None, lease.destination)
        ]

    def scrub(self) -> None:
        pass

    def add_app(self, app: App) -> None:
        known = [app.name for app in self._apps.values()]
        if app.name in known or app.key_id in self._apps:
            raise InputError("app-exists", "There is such an app already.")
        self._apps[app.key_id] = app

    def remove_app(self, name: str) -> None:
        self._apps = {key: app for key, app in self._apps.items() if app.name != name}

    def app(self, key_id: str) -> App | None:
        return self._apps.get(key_id)

    def apps(self) -> list[App]:
        return sorted(self._apps.values(), key=lambda app: app.name)

    def _signed(self, size: int | None = None) -> Checkpoint:
        size = self._tree.size if size is None else size
        unsigned = Checkpoint(log_origin(self._site_id), size, self._tree.root(size))
        signature = self._sign(unsigned.body)
        return Checkpoint(unsigned.origin, unsigned.size, unsigned.root, signature)


def _apply(live: dict[bytes, CatalogEntry], change: CatalogChange) -> None:
    for entry in change.written:
        last = live.get(entry.rid)
        if entry.version != (last.version + 1 if last else 1):
            raise IntegrityViolated("ledger-damaged", "not the next version of the record")
        live[entry.rid] = entry
    for entry in change.removed:
        if live.get(entry.rid) != entry:
            raise IntegrityViolated("ledger-damaged", "not the record to be removed")
        del live[entry.rid]
