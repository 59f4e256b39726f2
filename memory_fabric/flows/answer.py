"""Answering another site: its letter in, a sealed letter back; refusals are letters too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from memory_fabric.core.access import UNDECIDABLE, Act, Form
from memory_fabric.core.errors import EmbedderMismatch
from memory_fabric.core.memory import Vector
from memory_fabric.core.receipt import Outcome
from memory_fabric.flows import erase, reading
from memory_fabric.flows.messages import (
    Question,
    answer_body,
    malformed,
    question_from,
    shown_from,
    subject_hint,
)
from memory_fabric.flows.node import Node, count_forms, plans_json, recorded
from memory_fabric.gate.gate import Ask
from memory_fabric.gate.permits import Shown, release
from memory_fabric.vault.letters import Letter


def answer(node: Node, sealed: bytes) -> bytes:
    """Answer a sealed letter from another site of the roster.

    Raises:
        IntegrityViolated: ``letter-forged``, ``letter-replayed`` ...; nothing is answered then.
        InputError: ``letter-malformed``.
    """
    letter = node.letters.open(sealed)
    match letter.body.get("kind"):
        case "recall":
            return _recall(node, letter)
        case "erase":
            return erase.answer(node, letter)
        case _:
            raise malformed()


def _recall(node: Node, letter: Letter) -> bytes:
    question = question_from(letter.body, letter.sender.site_id)
    items = letter.body.get("items", [])
    if len(items) != 1:
        raise malformed()
    query = shown_from(items[0])
    ask = Ask(Act.RECALL, question.requester, question.purpose, node.me, letter.sender)
    if question.purpose not in node.purposes:
        committed = node.commit(
            "recall", question.requester, Outcome.DENIED,
            request=_recorded(node, question, letter.sender.site_id, None),
        )  # fmt: skip
        body = answer_body([], (UNDECIDABLE,), committed.receipt.id)
        return node.letters.seal_refusal(body, to=letter.sender, reply_to=letter).sealed
    subject = subject_of(node, question)
    text, vector = _searchable(node, query)
    found = reading.search(node, ask, subject, text, vector, question.filters, question.limit)
    outcome = Outcome.PARTLY_WITHHELD if found.withheld else Outcome.DONE
    committed = node.commit(
        "recall",
        question.requester,
        outcome if found.allowed else Outcome.DENIED,
        request=_recorded(node, question, letter.sender.site_id, subject),
        decisions=recorded(found.decisions, site=letter.sender.site_id, act="recall"),
        facts={"forms": count_forms(item.form for item in found.data.items), "letter": letter.id},
    )
    offered = [state.label_class for state, grant in found.declared.items() if grant.allowed]
    body = answer_body(offered, found.withheld, committed.receipt.id)
    released = release([found.data], committed)
    return node.letters.seal(released, body, to=letter.sender, reply_to=letter).sealed


def subject_of(node: Node, question: Question) -> str | None:
    """The subject a question is about, as this site knows it; ``None`` for all subjects.

    A subject that this site does not know stays a name that matches nothing.
    """
    if question.hint is None:
        return None
    salt, hint = question.hint
    tenant = question.requester.tenant
    known = (name for name in node.keyring.subjects(tenant) if subject_hint(salt, tenant, name) == hint)
    return next(known, hint.hex())


def _searchable(node: Node, query: Shown) -> tuple[str | None, Vector | None]:
    """Text and vector to search with; a vector counts only from this site's own embedder."""
    if query.form is Form.VECTORS_ONLY:
        if query.vector is None or query.embedder != node.embedder.id:
            raise EmbedderMismatch(
                "embedder-mismatch",
                "The query's vector was made by another embedder than this site's.",
                "Let both sites use the same embedder.",
            )
        return None, query.vector
    if not query.memory:
        raise malformed()
    return query.memory, node.embedder.embed([query.memory])[0]


def _recorded(
    node: Node, question: Question, destination: str, subject: str | None
) -> dict[str, Any]:
    return {
        "purpose": question.purpose,
        "origin": node.me.site_id,
        "destination": destination,
        "plans": plans_json(node),
        **node.subject_scope(question.requester.tenant, subject),
    }
