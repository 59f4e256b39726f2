"""Proofs of a log, checked by somebody who has none of it: offline, and without a home."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memory_fabric.core.errors import InputError, IntegrityViolated
from memory_fabric.core.merkle import is_consistent, leaf_hash, root_from_inclusion
from memory_fabric.core.notes import LogProof, VerifierKey, from_note, parse_proof
from memory_fabric.core.receipt import Checkpoint
from memory_fabric.vault.identity import verify_signature


@dataclass(frozen=True)
class Proved:
    """What a proof shows.

    Attributes:
        checkpoint: the root that it leads to.
        signed: whether that root's signature was checked as well, with the log's key.
        index, receipt: of a receipt's proof.
        old: of a proof that the log goes on, the size it goes on from.
    """

    checkpoint: Checkpoint
    signed: bool
    index: int | None = None
    receipt: Mapping[str, Any] | None = None
    old: int | None = None


def verify_proof(text: str, kept: str | None, key: VerifierKey | None) -> Proved:
    """Check a proof against what its holder believes.

    Args:
        text: a receipt's proof, or a proof that the log goes on.
        kept: a checkpoint that was kept, as a signed note. A receipt's proof must lead to exactly
            this root; a log must go on from it.
        key: the log's key. With it every signature is checked.

    Raises:
        InputError: ``proof-malformed``, ``checkpoint-malformed``; ``proof-unanchored``: nothing is
            given that could be believed; ``proof-size``: it speaks of another size than the
            checkpoint.
        IntegrityViolated: ``proof-invalid``: it does not show what it claims.
    """
    try:
        proof = parse_proof(text)
        claimed = from_note(proof.note, key)
    except ValueError:
        raise InputError(
            "proof-malformed",
            "That is no proof of a log.",
            "Take it as `receipts show ID --proof` or `receipts checkpoint --from` print it.",
        ) from None
    held = read_note(kept, key) if kept is not None else None
    if key:
        for checkpoint in (claimed, held) if held else (claimed,):
            _check_signed(checkpoint, key)
    if isinstance(proof, LogProof):
        if held:
            _check_same(claimed, held)
        elif not key:
            raise _unanchored("--key or --checkpoint")
        return Proved(claimed, key is not None, proof.index, _entry(proof, claimed))
    if held is None:
        raise _unanchored("--checkpoint")
    if held.size != proof.old:
        raise _other_size(proof.old, held.size)
    if held.origin != claimed.origin or not is_consistent(
        held.size, held.root, claimed.size, claimed.root, proof.path
    ):
        raise _invalid("the log does not go on from the checkpoint that was kept.")
    return Proved(claimed, key is not None, old=proof.old)


def read_note(text: str, key: VerifierKey | None = None) -> Checkpoint:
    """The checkpoint in a signed note, its signature unchecked.

    Raises:
        InputError: ``checkpoint-malformed``.
    """
    try:
        return from_note(text, key)
    except ValueError:
        raise InputError(
            "checkpoint-malformed",
            "That is no checkpoint.",
            "Take it as `receipts checkpoint` prints it.",
        ) from None


def _check_signed(checkpoint: Checkpoint, key: VerifierKey) -> None:
    signed = verify_signature(key.public, checkpoint.body, checkpoint.signature)
    if checkpoint.origin != key.name or not signed:
        raise _invalid(f"its checkpoint is not signed by {key.name}.")


def _check_same(claimed: Checkpoint, held: Checkpoint) -> None:
    if claimed.size != held.size:
        raise _other_size(claimed.size, held.size)
    if (claimed.origin, claimed.root) != (held.origin, held.root):
        raise _invalid("it leads to another root than the checkpoint that was kept.")


def _entry(proof: LogProof, claimed: Checkpoint) -> Mapping[str, Any]:
    """The receipt, once it stands under the root."""
    try:
        leaf = leaf_hash(proof.entry)
        root = root_from_inclusion(leaf, proof.index, claimed.size, proof.path)
        receipt = json.loads(proof.entry)
    except ValueError:
        raise _invalid("its path belongs to no receipt at that place.") from None
    if root != claimed.root or not isinstance(receipt, dict):
        raise _invalid("the receipt does not stand in that log.")
    return receipt


def _invalid(what: str) -> IntegrityViolated:
    return IntegrityViolated(
        "proof-invalid",
        f"The proof does not hold: {what}",
        "Keep it, and ask the site for another; what it shows is not what was signed.",
        {"damaged": ["proof"]},
    )


def _unanchored(options: str) -> InputError:
    return InputError(
        "proof-unanchored",
        "A proof shows nothing by itself: it needs something of the log that is known already.",
        f"Name it with {options}.",
    )


def _other_size(claimed: int, held: int) -> InputError:
    return InputError(
        "proof-size",
        f"The proof speaks of {claimed} receipts, the checkpoint that was kept of {held}.",
        "Ask the site for a proof of that size (`--size`, `--from`).",
    )
