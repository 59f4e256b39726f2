"""Context: a recall packed into a token budget, with citations, for a language model elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memory_fabric.core.access import Requester
from memory_fabric.flows.asking import Query, Withheld
from memory_fabric.flows.node import Node
from memory_fabric.flows.notes import Note, estimated, notes_of, numbered, packed
from memory_fabric.flows.recall import recall

ESTIMATE = "estimate: one token for every three bytes"
"""How tokens are counted at a site without a language model."""


@dataclass(frozen=True)
class Context:
    """Notes that fit a budget.

    Attributes:
        text: the notes, numbered, one a line.
        notes: the same in their order; ``text`` cites them by place, from 1.
        tokens: what ``text`` takes; never more than the budget.
        counted_by: the model that counted, or ``ESTIMATE``.
        left_out: notes that were recalled and did not fit.
        withheld, unreachable, receipt: as in the recall that it is.
    """

    text: str
    notes: Sequence[Note]
    tokens: int
    counted_by: str
    left_out: int
    withheld: Sequence[Withheld]
    unreachable: Mapping[str, str]
    receipt: str


def context(node: Node, requester: Requester, query: Query, budget: int) -> Context:
    """Recall, and keep what fits, the lowest ranked dropped first.

    Raises:
        InputError: what recall raises; ``budget-invalid``.
        NotGranted, Denied: exactly what recall refuses.
    """
    generator = node.generator()
    count = generator.count if generator else estimated
    found = recall(node, requester, query)
    notes = notes_of(found.results())
    kept = packed(notes, budget, lambda some: count(numbered(some)))
    text = numbered(kept)
    return Context(
        text, kept, count(text), generator.name if generator else ESTIMATE,
        len(notes) - len(kept), found.withheld, found.unreachable,
        found.released.receipt.receipt.id,
    )  # fmt: skip
