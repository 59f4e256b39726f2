"""Rotate: another root key, a fresh epoch key, while the site goes on.

Record, then carry out: the receipt names the new epoch's number and the new root key's id before
either is in force, so that opening the site can end what a crash cut short, or take it back where
it was not recorded yet.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from memory_fabric.core.access import Requester
from memory_fabric.core.errors import HomeError, MemoryFabricError
from memory_fabric.core.receipt import Outcome
from memory_fabric.core.receipt_search import Wanted
from memory_fabric.flows.node import Node
from memory_fabric.flows.terms import ITSELF
from memory_fabric.vault.rotation import new_root

ACT = "rotate-keys"
"""The act, as receipts name it."""


@dataclass(frozen=True)
class Rotated:
    """What a rotation brought into force.

    Attributes:
        epoch: number of the epoch now.
        provider: kind of the root key now.
        receipt: the receipt that records it.
        left: kinds of old root keys that were out of reach and are still to be destroyed.
    """

    epoch: int
    provider: str
    receipt: str
    left: tuple[str, ...] = ()


def rotate_keys(
    node: Node,
    requester: Requester = ITSELF,
    *,
    root: bool = False,
    epoch: bool = False,
    provider: str | None = None,
    passphrase: str | None = None,
) -> Rotated:
    """Put another root key, a fresh epoch key, or both in the place of the present ones.

    Args:
        root: whether to make a new root key; the old one is destroyed when the new one is durable,
            was read back and is recorded.
        epoch: whether to seal all keys anew under a fresh epoch key.
        provider: kind of the new root key; that of the old one where left out.
        passphrase: the new one, for a root key that lives by one.

    Raises:
        HomeError: what keeps the new root key refuses; the old one stays in force.
        Unavailable: ``ledger-unwritable``, ``keyring-unwritable``; the same.
    """
    keyring = node.keyring
    with keyring.changing:
        finish_rotation(node)
        now = keyring.epoch_key
        number = keyring.epoch + int(epoch)
        following = new_root(provider or now.root.provider, node.clock.now()) if root else now.root
        try:
            if root:
                keyring.rotation.prepare(following, passphrase)
            committed = node.commit(
                ACT,
                requester,
                Outcome.DONE,
                request={"root": root, "epoch": epoch},
                facts={"epoch": number, "root": following.id, "provider": following.provider},
            )
        except BaseException:
            # Without its receipt nothing has happened, and the new root key goes; where the disk is
            # in the way of that too, opening does it.
            with suppress(MemoryFabricError):
                keyring.rotation.finish()
            raise
        if root:
            keyring.rotation.adopt(passphrase)
        if epoch:
            keyring.renew_epoch()
        left = tuple(key.provider for key in keyring.rotation.finish())
        return Rotated(keyring.epoch, following.provider, committed.receipt.id, left)


def renew_after_erasure(node: Node) -> int:
    """A fresh epoch, whose number it returns; and another root key where that closes old copies of
    the keyring for certain. Others may have been copied, and then a copy would open nothing more.
    """
    if node.keyring.rotation.closes_copies:
        with suppress(HomeError):  # a token that is out keeps nobody from renewing the epoch
            return rotate_keys(node, root=True, epoch=True).epoch
    return node.keyring.renew_epoch()


def finish_rotation(node: Node) -> None:
    """End a rotation that was cut short, as the log has it: before another one, and when the site
    opens.
    """
    keyring = node.keyring
    newest = node.ledger.receipts(None, 1, Wanted(act=ACT, outcome=Outcome.DONE))
    facts = newest[0]["facts"] if newest else {}
    with keyring.changing:
        keyring.rotation.resume(facts.get("root", ""))
        if keyring.epoch < facts.get("epoch", 1):
            keyring.renew_epoch(facts["epoch"])
