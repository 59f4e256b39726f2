"""Appending to the log: who commits at once shares a transaction, its signature and its sync."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from itertools import count
from typing import NamedTuple, Self

from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from memory_fabric.adapters.ledger import catalog
from memory_fabric.adapters.ledger.anchor import Anchor
from memory_fabric.adapters.ledger.database import Database
from memory_fabric.adapters.ledger.index import Entry, Index
from memory_fabric.adapters.ledger.leases import put as put_leases
from memory_fabric.adapters.ledger.log import SIGNED, read_checkpoint
from memory_fabric.adapters.ledger.tables import CHECKPOINT, RECEIPT
from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import InputError, Unavailable
from memory_fabric.core.grouping import Group
from memory_fabric.core.merkle import Tree, leaf_hash
from memory_fabric.core.receipt import Checkpoint, Commit, Committed, log_origin

Sign = Callable[[bytes], bytes]
"""Signs with the site's Ed25519 key."""

_RECEIPT = tuple(RECEIPT.c)


class _Leaf(NamedTuple):
    """An act on its way into the log."""

    commit: Commit
    body: bytes
    hash: bytes
    entry: Entry

    @classmethod
    def of(cls, commit: Commit) -> Self:
        told = commit.receipt.to_json()
        body = canonical(told)
        return cls(commit, body, leaf_hash(body), Entry.of(told))


class Appender:
    """The growing end of a ledger.

    Args:
        database: where it stands.
        anchor: the file beside it that shows a rollback.
        index: of the receipts.
        site_id: whose ledger it is.
        sign: signs with the site's key.
        tree: over the receipts so far; it grows here and nowhere else.
        checkpoint: the newest.

    Attributes:
        checkpoint: the newest.
        alone: held while the database is written, by whoever writes it.
    """

    def __init__(
        self,
        database: Database,
        anchor: Anchor,
        index: Index,
        site_id: str,
        sign: Sign,
        tree: Tree,
        checkpoint: Checkpoint,
    ) -> None:
        self._database = database
        self._anchor = anchor
        self._index = index
        self._site_id = site_id
        self._sign = sign
        self._tree = tree
        self._group: Group[Sequence[_Leaf], list[Committed]] = Group(size=len)
        self.checkpoint = checkpoint
        self.alone = threading.Lock()

    def append(self, commits: Sequence[Commit]) -> list[Committed]:
        """Acts in one transaction, in order: all of them or none. Whoever comes meanwhile shares
        the next one. Raises what ``Ledger.commit`` does.
        """
        for commit in commits:
            commit.check(self._site_id)
        return self._group.do([_Leaf.of(commit) for commit in commits], self._commit_group)

    def _commit_group(
        self, group: Sequence[Sequence[_Leaf]]
    ) -> Sequence[list[Committed] | Exception]:
        """Everybody's acts in one transaction; where that fails each caller's in one of its own, so
        that it fails for nobody else.
        """
        try:
            return self._commit_leaves(group)
        except Exception as error:
            if len(group) == 1:
                raise
            if isinstance(error, Unavailable):
                return [error.again() for _ in group]
        outcomes: list[list[Committed] | Exception] = []
        for leaves in group:
            try:
                outcomes += self._commit_leaves([leaves])
            except Exception as error:  # noqa: BLE001 - it is its caller's
                outcomes.append(error)
        return outcomes

    def _commit_leaves(self, group: Sequence[Sequence[_Leaf]]) -> list[list[Committed]]:
        leaves = [leaf for several in group for leaf in several]
        with self.alone:
            last = self.checkpoint
            edge = self._tree.frontier()
            for leaf in leaves:
                edge.append(leaf.hash)
            checkpoint = signed(self._site_id, edge.size, edge.root, self._sign)
            with self._database.writing() as connection:
                self._check_unmoved(connection, last)
                self._append(connection, last.size, leaves)
                numbered = enumerate((leaf.entry for leaf in leaves), last.size)
                kinds = self._index.add(connection, list(numbered))
                for index, leaf in enumerate(leaves, last.size):
                    if leaf.commit.change:
                        catalog.apply(self._database, connection, leaf.commit.change, index)
                    put_leases(connection, leaf.commit.leases, self._site_id, self._sign)
                self._replace(connection, checkpoint, leaves)
            self._index.known(kinds)
            for leaf in leaves:
                self._tree.append(leaf.hash)
            self.checkpoint = checkpoint
            self._anchor.write(checkpoint)
        indexes = count(last.size)
        return [
            [Committed(leaf.commit.receipt, next(indexes), checkpoint) for leaf in several]
            for several in group
        ]

    def _check_unmoved(self, connection: Connection, last: Checkpoint) -> None:
        """The database stands where this process left it."""
        stored = read_checkpoint(self._database, connection, self._site_id)
        if stored.size < last.size:
            what = f"it holds {stored.size} receipts, {last.size} were acknowledged."
            raise self._database.rolled_back(what)
        if stored != last:
            raise self._database.damaged("somebody else wrote to it while it was open.")

    def _append(self, connection: Connection, index: int, leaves: Sequence[_Leaf]) -> None:
        rows = [
            (at, leaf.commit.receipt.id, leaf.body.decode(), leaf.hash,
             leaf.commit.receipt.act, str(leaf.commit.receipt.outcome),
             leaf.commit.receipt.at.isoformat())
            for at, leaf in enumerate(leaves, index)
        ]  # fmt: skip
        try:
            self._database.insert(connection, _RECEIPT, rows)
        except IntegrityError:
            ids = [leaf.commit.receipt.id for leaf in leaves]
            same = select(RECEIPT.c.leaf).where(RECEIPT.c.id.in_(ids))
            if len(set(ids)) == len(ids) and not connection.execute(same).first():
                raise
            raise InputError(
                "receipt-exists", "The log has a receipt with this id.", "Give each its own id."
            ) from None

    def _replace(
        self, connection: Connection, checkpoint: Checkpoint, leaves: Sequence[_Leaf]
    ) -> None:
        root = (checkpoint.size, checkpoint.root, checkpoint.signature)
        changes = [leaf.commit.change for leaf in leaves if leaf.commit.change]
        versions = [item.stack_version for item in changes if item.stack_version is not None]
        if versions:
            everything = (*SIGNED, CHECKPOINT.c.stack_version)
            self._database.update_only(connection, everything, (*root, versions[-1]))
        else:
            self._database.update_only(connection, SIGNED, root)


def signed(site_id: str, size: int, root: bytes, sign: Sign) -> Checkpoint:
    """A checkpoint of a site's log."""
    unsigned = Checkpoint(log_origin(site_id), size, root)
    return Checkpoint(unsigned.origin, size, root, sign(unsigned.body))
