"""The ledger as flows know it: receipts in a signed log, the catalog of records, leases, apps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from memory_fabric.core.access import Requester
from memory_fabric.core.errors import InputError
from memory_fabric.core.lease import Lease
from memory_fabric.core.receipt import Checkpoint, Commit, Committed, Receipt
from memory_fabric.core.receipt_search import ANY, Tally, Wanted
from memory_fabric.core.records import CatalogChange, CatalogChanges, CatalogEntry, Damage

APP_REMOVED = "app-removed"
"""The act that removes an app, as receipts name it; its request has the ``app``."""


@dataclass(frozen=True)
class App:
    """An API key's record. ``key_hash`` is SHA-256 of the secret, which is not kept."""

    name: str
    key_id: str
    key_hash: str
    requester: Requester
    created_at: datetime


@dataclass(frozen=True)
class InclusionProof:
    """That a receipt stands in the log: verify with ``merkle.root_from_inclusion``."""

    index: int
    leaf: bytes
    path: tuple[bytes, ...]
    checkpoint: Checkpoint


def no_such_size(size: int) -> InputError:
    """``log-size``, where a log of ``size`` receipts is asked about another size."""
    return InputError(
        "log-size",
        f"That is no size that the log had, or not yet with that receipt; it has {size} now.",
        "Name one that a checkpoint names.",
    )


class Ledger(Protocol):
    """Receipts, catalog and apps. ``commit`` returns only when all is on stable storage; those
    that come at once share a transaction, and an act that cannot be committed fails alone.
    """

    def commit(
        self,
        receipt: Receipt,
        change: CatalogChange | None = None,
        leases: Sequence[Lease] = (),
    ) -> Committed:
        """Append a receipt, apply the change to the catalog, put the leases in the place of those
        with their ids, sign the new root: one transaction.

        The receipt's ``facts["leases"]`` are the leases' digests, so that the log accounts for
        each of their states.

        Raises:
            IntegrityViolated: the log on disk is behind the last checkpoint.
            Unavailable: ``ledger-unwritable``; nothing was committed.
        """
        ...

    def commit_all(self, commits: Sequence[Commit]) -> list[Committed]:
        """``commit`` for several acts in one transaction, in order: all of them or none.

        Raises:
            As ``commit`` does.
        """
        ...

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        """The newest signed root; with ``size`` that over the first so many receipts.

        Raises:
            InputError: ``log-size``: there are fewer.
        """
        ...

    def receipt(self, receipt_id: str) -> Mapping[str, Any]:
        """A receipt as JSON with its ``index``, or ``NotFound`` (``receipt-unknown``)."""
        ...

    def receipts(
        self, before: int | None, limit: int, wanted: Wanted = ANY
    ) -> list[Mapping[str, Any]]:
        """Those that are wanted, newest first, with ``index`` smaller than ``before``."""
        ...

    def tally(self, wanted: Wanted = ANY) -> list[Tally]:
        """How many receipts are wanted, by what they are known by; in no order."""
        ...

    def proof(self, receipt_id: str, size: int | None = None) -> InclusionProof:
        """Audit path of a receipt against the newest checkpoint, or that over ``size`` receipts.

        Raises:
            NotFound: ``receipt-unknown``.
            InputError: ``log-size``: there are fewer, or the receipt is none of them.
        """
        ...

    def catalog(self) -> Iterator[CatalogEntry]:
        """The records that must stand in the stack now, each in its last version."""
        ...

    def changes(self, size: int, root: bytes) -> CatalogChanges | None:
        """What the catalog holds beyond the first ``size`` receipts, each later one accounted for;
        ``None`` where the log does not begin with receipts of this root.
        """
        ...

    def verify(self) -> list[Damage]:
        """Read the whole log and catalog against their hashes and signatures."""
        ...

    def consistency(
        self, size: int, root: bytes, to: int | None = None
    ) -> tuple[bytes, ...] | None:
        """The path that shows that the log goes on from the tree with this size and root (RFC 9162,
        2.1.4.1), to its newest checkpoint or that over ``to`` receipts; ``None`` where it does not.
        """
        ...

    def copy_to(self, path: Path) -> tuple[Checkpoint, list[CatalogEntry]]:
        """A copy of the whole ledger as one new file, for a backup; its checkpoint, and the records
        that it names.

        Raises:
            Unavailable: ``ledger-unreadable``, ``ledger-not-a-file`` (a server copies itself).
        """
        ...

    def leases(self, *, origin: str | None = None, destination: str | None = None) -> list[Lease]:
        """Leases in their newest state, in the order of their making; both ends keep theirs."""
        ...

    def scrub(self) -> None:
        """Leave no byte on the disk that stands in no table: journals are emptied.

        Raises:
            Unavailable: ``ledger-unwritable``.
        """
        ...

    def add_app(self, app: App) -> None:
        """Store an app, or ``InputError`` (``app-exists``)."""
        ...

    def remove_app(self, name: str) -> None:
        """Forget an app, so that its key opens nothing; unknown names are ignored."""
        ...

    def app(self, key_id: str) -> App | None:
        """The app with this key id."""
        ...

    def apps(self) -> list[App]:
        """All apps by name."""
        ...
