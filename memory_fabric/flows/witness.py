"""Sites as witnesses of each other's logs: neighbours see a whole home that was put back.

Each site keeps the newest checkpoint that every other one showed it, and takes a newer one only
with a proof that the log went on from there (RFC 9162, 2.1.4). So a site that asks back what its
neighbours hold of it learns whether its own log still goes on from what it once signed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from memory_fabric.core.errors import InputError, IntegrityViolated, MemoryFabricError
from memory_fabric.core.merkle import is_consistent
from memory_fabric.core.places import Site
from memory_fabric.core.receipt import Checkpoint, log_origin
from memory_fabric.core.records import Damage
from memory_fabric.flows.node import Node
from memory_fabric.flows.upkeep import Job
from memory_fabric.vault.identity import verify_signature

EVERY = timedelta(hours=1)
"""How often a served home shows its checkpoint to its neighbours."""


def held_of(node: Node, site_id: str) -> Checkpoint | None:
    """The newest checkpoint of another site's log that this one holds."""
    return node.witnessed.load().get(site_id)


def bear_witness(
    node: Node, site_id: str, checkpoint: Checkpoint, path: Sequence[bytes]
) -> Checkpoint:
    """Keep another site's newer checkpoint.

    Args:
        path: shows that its log goes on from the one held so far; empty for the first.

    Raises:
        NotFound: ``site-unknown``.
        IntegrityViolated: ``checkpoint-forged``; ``checkpoint-inconsistent``: the log was cut or
            rewritten; the older checkpoint is kept, as evidence.
    """
    site = node.roster[site_id]
    if not _signed_by(site, checkpoint):
        raise IntegrityViolated(
            "checkpoint-forged",
            f"That checkpoint is not signed by {site_id}.",
            "Take checkpoints from the site itself.",
            {"damaged": [f"checkpoint of {site_id}"]},
        )
    held = held_of(node, site_id)
    if held is not None and not is_consistent(
        held.size, held.root, checkpoint.size, checkpoint.root, path
    ):
        raise IntegrityViolated(
            "checkpoint-inconsistent",
            f"The log of {site_id} does not go on from the checkpoint over {held.size} receipts "
            "that it showed before.",
            "Find out there who put its log back or rewrote it.",
            {"damaged": [f"checkpoint of {site_id}"]},
        )
    node.witnessed.keep(site_id, checkpoint)
    return checkpoint


def against(node: Node, held: Iterable[Checkpoint], where: str) -> list[Damage]:
    """How this site's log falls short of checkpoints that are held elsewhere.

    Args:
        where: who holds them, for the words.

    Raises:
        InputError: ``checkpoint-foreign``: one is none of this site's.
    """
    damages = []
    for checkpoint in held:
        if not _signed_by(node.me, checkpoint):
            raise InputError(
                "checkpoint-foreign",
                f"A checkpoint that is held {where} is not signed by this site.",
                "Compare with checkpoints of this site's own log.",
            )
        if node.ledger.consistency(checkpoint.size, checkpoint.root) is None:
            what = (
                f"its log does not go on from the checkpoint over {checkpoint.size} receipts that "
                f"is held {where}"
            )
            damages.append(Damage("ledger.db", what))
    return damages


def ask_witnesses(node: Node) -> list[Damage]:
    """Compare this site's log with what its neighbours hold of it, and show them its newest
    checkpoint. Who is out of reach is left out.
    """
    damages: list[Damage] = []
    for site in node.roster:
        if site.site_id == node.me.site_id:
            continue
        try:
            held = node.transport.witness(site, node.me.site_id)
            found = against(node, [held] if held else [], f"at {site.site_id}")
            if not found:
                path = node.ledger.consistency(held.size, held.root) if held else ()
                newest = node.ledger.checkpoint()
                node.transport.witness(site, node.me.site_id, newest, path or ())
            damages += found
        except MemoryFabricError:
            continue
    return damages


def _signed_by(site: Site, checkpoint: Checkpoint) -> bool:
    named = checkpoint.origin == log_origin(site.site_id)
    return named and verify_signature(site.signing_key, checkpoint.body, checkpoint.signature)


def _due(node: Node, now: datetime) -> bool:
    alone = len(node.roster.sites) < 2
    return not alone and (node.witnessed.asked is None or now - node.witnessed.asked >= EVERY)


def _run(node: Node) -> None:
    node.witnessed.asked = node.clock.now()
    if damages := ask_witnesses(node):
        raise IntegrityViolated(
            "ledger-rolled-back", damages[0].what, "Run `site verify`.", {"damaged": ["ledger.db"]}
        )


WITNESS = Job("compare with the neighbours", due=_due, run=_run)
"""Show the log's checkpoint to the neighbours, and compare it with what they hold."""
