"""The ledger: receipts in a Merkle log, the catalog of sealed records, and apps."""

from memory_fabric.adapters.ledger.ledger import SqlLedger

__all__ = ["SqlLedger"]
