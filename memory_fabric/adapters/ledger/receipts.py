"""Reading receipts: each is shown only if its bytes are what the log's tree holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Row, Select, select

from memory_fabric.adapters.ledger.database import Database
from memory_fabric.adapters.ledger.index import Index
from memory_fabric.adapters.ledger.log import parse
from memory_fabric.adapters.ledger.tables import RECEIPT
from memory_fabric.core.errors import NotFound
from memory_fabric.core.merkle import leaf_hash
from memory_fabric.core.receipt_search import Tally, Wanted

_BODY = select(RECEIPT.c.leaf, RECEIPT.c.body)


class Receipts:
    """The acknowledged receipts; one that is being committed is not there yet.

    Args:
        database: where they stand.
        index: finds them.
        size: how many are acknowledged.
        leaf: the tree's leaf hash at an index.
    """

    def __init__(
        self,
        database: Database,
        index: Index,
        size: Callable[[], int],
        leaf: Callable[[int], bytes],
    ) -> None:
        self._database = database
        self._index = index
        self._size = size
        self._leaf = leaf

    def one(self, receipt_id: str) -> dict[str, Any]:
        """The receipt with this id, or ``NotFound`` (``receipt-unknown``)."""
        found = self._read(_BODY.where(RECEIPT.c.id == receipt_id, RECEIPT.c.leaf < self._size()))
        if not found:
            raise NotFound(
                "receipt-unknown", "The log has no such receipt.", "Check its id and site."
            )
        if found[0]["id"] != receipt_id:
            raise self._database.damaged(f"the entry of receipt {found[0]['index']} was edited.")
        return found[0]

    def newest(self, before: int | None, limit: int, wanted: Wanted) -> list[Mapping[str, Any]]:
        """Those that are wanted, newest first, with ``index`` smaller than ``before``."""
        size = self._size()
        leaves = self._index.leaves(wanted, size if before is None else min(before, size), limit)
        newest_first = RECEIPT.c.leaf.desc()
        return list(self._read(_BODY.where(RECEIPT.c.leaf.in_(leaves)).order_by(newest_first)))

    def tally(self, wanted: Wanted) -> list[Tally]:
        """How many are wanted, by what they are known by."""
        with self._database.reading() as connection:
            return list(self._index.tally(connection, wanted, self._size()))

    def _read(self, query: Select[int, str]) -> list[dict[str, Any]]:
        with self._database.reading() as connection:
            return [self._checked(row) for row in self._database.rows(connection, query)]

    def _checked(self, row: Row[Any]) -> dict[str, Any]:
        """A stored receipt that is the one the tree holds, with its ``index``."""
        index, body = row.leaf, row.body.encode()
        value = parse(body)
        known = index >= 0 and self._leaf(index) == leaf_hash(body)
        if not known or value is None:
            raise self._database.damaged(f"receipt {index} was edited.")
        return {**value, "index": index}
