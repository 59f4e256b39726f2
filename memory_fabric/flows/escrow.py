"""Escrow: the keyring as one object to be kept elsewhere, and whether it is up to date."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from memory_fabric.core.access import Requester
from memory_fabric.core.receipt import Outcome
from memory_fabric.flows.node import Node
from memory_fabric.vault.escrow import Escrow, seal_escrow
from memory_fabric.vault.keyring import Keyring

ACT = "escrow-keys"
"""The act, as receipts name it."""


@dataclass(frozen=True)
class Escrowed:
    """An escrow that was written.

    Attributes:
        key: the one key that opens it, shown once and kept nowhere.
        keys: how many keys of tenants and subjects it holds.
        receipt: the receipt that records it.
    """

    key: str
    keys: int
    receipt: str


def escrow_keys(node: Node, requester: Requester, write: Callable[[bytes], None]) -> Escrowed:
    """Write the keyring, sealed under a fresh key.

    Args:
        write: puts the bytes where they are kept, durably, in the place of an older escrow.

    Raises:
        Unavailable: ``ledger-unwritable``; nothing was written.
    """
    keyring = node.keyring
    with keyring.changing:
        note = keyring.escrow_now()
        size = node.ledger.checkpoint().size
        sealed, key = seal_escrow(Escrow(keyring.site_id, note.made_at, size, keyring.contents()))
        held = note.keys - note.destroyed
        committed = node.commit(
            ACT,
            requester,
            Outcome.DONE,
            request={},
            facts={"epoch": note.epoch, "keys": held, "destroyed": note.destroyed},
        )
        write(sealed)
        keyring.note_escrow(note)
    return Escrowed(key, held, committed.receipt.id)


@dataclass(frozen=True)
class EscrowState:
    """How the newest escrow compares with the keyring.

    Attributes:
        made_at: when it was written; ``None`` where there never was one.
        erased: destroyed keys that it still holds.
        lacking: keys made since.
    """

    made_at: datetime | None
    erased: int
    lacking: int

    @property
    def word(self) -> str:
        """``none``, ``stale`` (it would bring erased people back), ``incomplete``, ``current``."""
        if self.made_at is None:
            return "none"
        if self.erased:
            return "stale"
        return "incomplete" if self.lacking else "current"

    @property
    def advice(self) -> str:
        """What to do about it; empty where there is nothing to do."""
        return {
            "none": "Run `memory-fabric keys escrow FILE`: the keys are in one place only.",
            "stale": f"The escrow holds {self.erased} erased keys: run `memory-fabric keys escrow` "
            "anew over the same file, and destroy its old key.",
            "incomplete": f"The escrow lacks {self.lacking} newer keys: run `memory-fabric keys "
            "escrow` anew.",
        }.get(self.word, "")


def escrow_state(keyring: Keyring) -> EscrowState:
    """How the newest escrow compares with the keyring. Rotations change nothing about it: it opens
    under its own key, and holds what lies below the epoch key.
    """
    then, now = keyring.escrow, keyring.escrow_now()
    if then is None:
        return EscrowState(None, 0, 0)
    return EscrowState(
        then.made_at,
        now.destroyed - then.destroyed,
        now.keys - then.keys + now.secrets - then.secrets,
    )
