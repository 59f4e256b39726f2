"""Operations that put memories to use: an answer, or notes for a language model elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from memory_fabric.core.access import Requester
from memory_fabric.flows import ask as asking
from memory_fabric.flows import context as contexts
from memory_fabric.flows.node import accountable
from memory_fabric.operations.shapes import Json, not_reached, query_from
from memory_fabric.wiring import Home


def ask(
    home: Home,
    requester: Requester,
    *,
    question: str,
    purpose: str | None = None,
    subject: str | None = None,
    all_subjects: bool = False,
    reach: str = "site",
    top_k: int = 5,
    special: Sequence[str] = (),
    filters: Mapping[str, Any] | None = None,
    budget: int = asking.BUDGET,
) -> Json:
    """An answer from the site's language model and what it may recall, with citations."""
    with accountable(home.node, "ask", requester):
        query = query_from(
            requester, question, purpose, subject, all_subjects, reach, top_k, special, filters
        )
        answer = asking.ask(home.node, requester, query, budget)
    return {
        "answer": answer.text,
        "known": answer.known,
        "citations": [note.to_json() for note in answer.citations],
        "tokens": answer.tokens.to_json(),
        "model": answer.model,
        **not_reached(answer.withheld, answer.unreachable),
        "receipt": answer.committed.receipt.id,
    }


def context(
    home: Home,
    requester: Requester,
    *,
    query: str,
    purpose: str | None = None,
    subject: str | None = None,
    all_subjects: bool = False,
    reach: str = "site",
    top_k: int = 20,
    special: Sequence[str] = (),
    filters: Mapping[str, Any] | None = None,
    threshold: float = 0.0,
    budget: int = asking.BUDGET,
) -> Json:
    """A recall packed into a token budget, with citations."""
    with accountable(home.node, "recall", requester):
        asked = query_from(
            requester, query, purpose, subject, all_subjects, reach, top_k, special, filters,
            threshold,
        )  # fmt: skip
        found = contexts.context(home.node, requester, asked, budget)
    return {
        "context": found.text,
        "citations": [note.to_json() for note in found.notes],
        "tokens": {"context": found.tokens, "budget": budget, "counted_by": found.counted_by},
        "left_out": found.left_out,
        **not_reached(found.withheld, found.unreachable),
        "receipt": found.receipt,
    }
