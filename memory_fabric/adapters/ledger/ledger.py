"""The ledger on SQL: receipts, catalog and apps, one transaction an act."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from sqlalchemy import insert, select

from memory_fabric.adapters.ledger import apps, catalog
from memory_fabric.adapters.ledger.anchor import Anchor
from memory_fabric.adapters.ledger.appender import Appender, Sign, signed
from memory_fabric.adapters.ledger.audit import audit
from memory_fabric.adapters.ledger.database import Database
from memory_fabric.adapters.ledger.index import Index
from memory_fabric.adapters.ledger.leases import read as read_leases
from memory_fabric.adapters.ledger.log import load_log, read_log
from memory_fabric.adapters.ledger.receipts import Receipts
from memory_fabric.adapters.ledger.tables import CHECKPOINT, META, SCHEMA_VERSION
from memory_fabric.core.errors import HomeError
from memory_fabric.core.lease import Lease
from memory_fabric.core.ledger_ports import App, InclusionProof, no_such_size
from memory_fabric.core.merkle import EMPTY_ROOT
from memory_fabric.core.receipt import Checkpoint, Commit, Committed, Receipt
from memory_fabric.core.receipt_search import ANY, Tally, Wanted
from memory_fabric.core.records import CatalogChange, CatalogChanges, CatalogEntry, Damage


class SqlLedger:
    """Port ``Ledger`` on SQLite or another SQL database; safe to share between threads.

    One process at a time writes a ledger. It keeps the log's tree in memory (64 bytes a receipt),
    so that proofs and new roots cost O(log n) hashes. Made by ``create`` and ``open``.

    Args:
        database: where it stands.
        anchor: the file beside it that shows a rollback.
        site_id: whose ledger it is.
        sign: signs with the site's key.
        public_key: that key's raw public half.
    """

    def __init__(
        self, database: Database, anchor: Anchor, site_id: str, sign: Sign, public_key: bytes
    ) -> None:
        self._database = database
        self._anchor = anchor
        self._site_id = site_id
        self._sign = sign
        self._public_key = public_key
        tree, checkpoint = load_log(database, anchor, site_id, public_key)
        index = Index(database)
        index.load(checkpoint.size)
        self._tree = tree
        self._log = Appender(database, anchor, index, site_id, sign, tree, checkpoint)
        self._alone = self._log.alone
        self._receipts = Receipts(
            database, index, lambda: self._log.checkpoint.size, lambda at: tree.leaf(at)
        )

    @classmethod
    def create(
        cls, where: str | Path, site_id: str, sign: Sign, public_key: bytes, anchor: Path
    ) -> Self:
        """An empty ledger with a signed checkpoint over nothing.

        Args:
            where: a SQLite file, or a SQLAlchemy URL such as ``DATABASE_URL``.
            site_id: whose ledger it is.
            sign: signs with the site's key.
            public_key: that key's raw public half.
            anchor: the file to keep the newest checkpoint in, outside the database.

        Raises:
            HomeError: ``ledger-exists``.
            Unavailable: ``ledger-unwritable``.
        """
        database = Database(where)
        database.create()
        start = signed(site_id, 0, EMPTY_ROOT, sign)
        with database.writing() as connection:
            if connection.execute(select(META.c.site_id)).first():
                raise HomeError(
                    "ledger-exists",
                    f"There is a ledger in {database.name} already.",
                    "Open it, or choose another database.",
                )
            meta = {"site_id": site_id, "schema_version": SCHEMA_VERSION}
            connection.execute(insert(META).values(meta))
            first = {"size": 0, "root": start.root, "signature": start.signature}
            connection.execute(insert(CHECKPOINT).values(stack_version=0, **first))
        Anchor(anchor).write(start, durable=True)
        return cls(database, Anchor(anchor), site_id, sign, public_key)

    @classmethod
    def open(
        cls, where: str | Path, site_id: str, sign: Sign, public_key: bytes, anchor: Path
    ) -> Self:
        """The ledger as it stands, its leaves checked against the signed root and the anchor.

        Raises:
            HomeError: ``ledger-missing``, ``home-foreign``, ``ledger-too-new``.
            IntegrityViolated: ``ledger-damaged``, ``ledger-rolled-back``,
                ``ledger-anchor-damaged``.
            Unavailable: ``ledger-unreadable``.
        """
        database = _existing(where, anchor)
        database.complete()
        return cls(database, Anchor(anchor), site_id, sign, public_key)

    @staticmethod
    def audit(where: str | Path, site_id: str, public_key: bytes, anchor: Path) -> list[Damage]:
        """``verify`` for a ledger that may be too damaged to be opened.

        Raises:
            HomeError: ``ledger-missing``.
            Unavailable: ``ledger-unreadable``.
        """
        database = _existing(where, anchor)
        try:
            return audit(database, Anchor(anchor), site_id, public_key)
        finally:
            database.close()

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def commit(
        self,
        receipt: Receipt,
        change: CatalogChange | None = None,
        leases: Sequence[Lease] = (),
    ) -> Committed:
        """Append a receipt, apply the change to the catalog, put the leases in the place of those
        with their ids, sign the new root: one transaction, shared with whoever comes meanwhile.

        Raises:
            IntegrityViolated: ``ledger-rolled-back``, ``ledger-damaged``: the database is not
                where this process left it.
            InputError: ``receipt-exists``.
            Unavailable: ``ledger-unwritable``; nothing was committed.
            ValueError: the receipt does not account for the change or the leases, or its site is
                another.
        """
        return self.commit_all([Commit(receipt, change, leases)])[0]

    def commit_all(self, commits: Sequence[Commit]) -> list[Committed]:
        """``commit`` for several acts in one transaction, in order: all of them or none."""
        return self._log.append(commits)

    def checkpoint(self, size: int | None = None) -> Checkpoint:
        """The newest signed root; with ``size`` that over the first so many receipts, signed as it
        was then: Ed25519 signs the same bytes alike.
        """
        newest = self._log.checkpoint
        if size is None or size == newest.size:
            return newest
        if not 0 <= size < newest.size:
            raise no_such_size(newest.size)
        return signed(self._site_id, size, self._tree.root(size), self._sign)

    @property
    def stack_version(self) -> int:
        """The stack's version that holds the last committed change; 0 before the first."""
        with self._database.reading() as connection:
            return connection.scalar(select(CHECKPOINT.c.stack_version)) or 0

    def receipt(self, receipt_id: str) -> Mapping[str, Any]:
        """A receipt as JSON with its ``index``, or ``NotFound`` (``receipt-unknown``)."""
        return self._receipts.one(receipt_id)

    def receipts(
        self, before: int | None, limit: int, wanted: Wanted = ANY
    ) -> list[Mapping[str, Any]]:
        """Those that are wanted, newest first, with ``index`` smaller than ``before``."""
        return self._receipts.newest(before, limit, wanted)

    def tally(self, wanted: Wanted = ANY) -> list[Tally]:
        """How many receipts are wanted, by what they are known by; in no order."""
        return self._receipts.tally(wanted)

    def proof(self, receipt_id: str, size: int | None = None) -> InclusionProof:
        """Audit path of a receipt against the newest checkpoint, or that over ``size`` receipts."""
        index = self.receipt(receipt_id)["index"]
        checkpoint = self.checkpoint(size)
        if index >= checkpoint.size:
            raise no_such_size(self._log.checkpoint.size)
        path = self._tree.inclusion_proof(index, checkpoint.size)
        return InclusionProof(index, self._tree.leaf(index), tuple(path), checkpoint)

    def catalog(self) -> Iterator[CatalogEntry]:
        """The records that must stand in the stack now, each in its last version.

        Raises:
            IntegrityViolated: ``ledger-damaged``: receipts and catalog do not account for each
                other; nothing is given.
        """
        with self._alone, self._database.reading() as connection:
            log = read_log(self._database, connection)
            known = self._database, connection
            granted = apps.faults(*known, self._site_id, self._public_key, log.removed_apps)
            faults = [*log.faults, *catalog.faults(*known, log.claims), *granted]
            if (log.tree.size, log.tree.root()) != (self._tree.size, self._tree.root()):
                faults.append("its receipts are not those that its checkpoint covers")
            if faults:
                raise self._database.damaged(f"{faults[0]}.")
            rows = self._database.rows(connection, catalog.live())
            return iter([CatalogEntry(row.rid, row.version, row.digest) for row in rows])

    def changes(self, size: int, root: bytes) -> CatalogChanges | None:
        """What the catalog holds beyond the first ``size`` receipts, each later one accounted for;
        ``None`` where the log does not begin with receipts of this root.

        Raises:
            IntegrityViolated: ``ledger-damaged``: those receipts and the catalog do not account
                for each other.
        """
        if size > self._tree.size or self._tree.root(size) != root:
            return None
        with self._alone, self._database.reading() as connection:
            log = read_log(self._database, connection, size)
            found = catalog.faults(self._database, connection, log.claims, size)
            faults = [*log.faults, *found]
            leaves = [self._tree.leaf(index) for index in range(size, self._tree.size)]
            if leaves != [log.tree.leaf(index) for index in range(log.tree.size)]:
                faults.append("its receipts are not those that its checkpoint covers")
            if faults:
                raise self._database.damaged(f"{faults[0]}.")
            return catalog.since(self._database, connection, size)

    def consistency(
        self, size: int, root: bytes, to: int | None = None
    ) -> tuple[bytes, ...] | None:
        """The path that shows that the log goes on from the tree with this size and root (RFC 9162,
        2.1.4.1), to its newest checkpoint or that over ``to`` receipts; ``None`` where it does not.
        """
        now = self._log.checkpoint.size if to is None else to
        if size > now or self._tree.root(size) != root:
            return None
        return tuple(self._tree.consistency_proof(size, now))

    def copy_to(self, path: Path) -> tuple[Checkpoint, list[CatalogEntry]]:
        """A copy of the whole ledger as one new file, for a backup; its checkpoint, and the records
        that it names.
        """
        with self._alone:
            self._database.copy_to(path)
            checkpoint = self._log.checkpoint
        copy = Database(path)
        try:
            with copy.reading() as connection:
                rows = copy.rows(connection, catalog.live())
                return checkpoint, [CatalogEntry(row.rid, row.version, row.digest) for row in rows]
        finally:
            copy.close()

    @staticmethod
    def put_back(path: Path, stack_version: int) -> None:
        """Make a copy the ledger of a home again, beside a stack that was written anew."""
        database = Database(path)
        try:
            with database.writing() as connection:
                database.update_only(connection, (CHECKPOINT.c.stack_version,), (stack_version,))
        finally:
            database.close()

    def verify(self) -> list[Damage]:
        """Read the whole log and catalog against their hashes and signatures."""
        with self._alone:
            damages = audit(self._database, self._anchor, self._site_id, self._public_key)
        return damages

    def leases(self, *, origin: str | None = None, destination: str | None = None) -> list[Lease]:
        """Leases in their newest state, in the order of their making.

        Raises:
            IntegrityViolated: ``ledger-damaged``: one is not as the site wrote it.
        """
        with self._database.reading() as connection:
            return list(
                read_leases(
                    self._database, connection, self._site_id, self._public_key,
                    origin, destination,
                )
            )  # fmt: skip

    def scrub(self) -> None:
        """Leave no byte on the disk that stands in no table: journals are emptied.

        Raises:
            Unavailable: ``ledger-unwritable``: a neighbour, a backup say, still reads.
        """
        with self._alone:
            self._database.scrub()

    def add_app(self, app: App) -> None:
        """Store an app, or ``InputError`` (``app-exists``)."""
        with self._alone, self._database.writing() as connection:
            apps.add(connection, app, self._site_id, self._sign)

    def remove_app(self, name: str) -> None:
        """Forget an app, so that its key opens nothing; unknown names are ignored."""
        with self._alone, self._database.writing() as connection:
            apps.remove(connection, name)

    def app(self, key_id: str) -> App | None:
        """The app with this key id."""
        return next(iter(self._apps(key_id)), None)

    def apps(self) -> list[App]:
        """All apps by name."""
        return self._apps()

    def _apps(self, key_id: str | None = None) -> list[App]:
        with self._database.reading() as connection:
            return list(
                apps.read(self._database, connection, self._site_id, self._public_key, key_id)
            )


def _existing(where: str | Path, anchor: Path) -> Database:
    database = Database(where)
    if database.file and not database.file.exists():
        if anchor.exists():
            raise database.rolled_back("the file is gone.")
        raise HomeError(
            "ledger-missing",
            f"There is no ledger {database.file}.",
            "Create the site with `memory-fabric site init`.",
        )
    return database
