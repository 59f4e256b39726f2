"""Answering another site: its letter in, a sealed letter back; refusals are letters too."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from memory_fabric.core.access import UNDECIDABLE, Act, Form, Requester, Role, Rule
from memory_fabric.core.errors import EmbedderMismatch, MemoryFabricError
from memory_fabric.core.memory import Vector, check_text
from memory_fabric.core.receipt import Outcome
from memory_fabric.flows import reading
from memory_fabric.flows.erase_grid import erase_for
from memory_fabric.flows.leased import fetch_for
from memory_fabric.flows.leases import end_for
from memory_fabric.flows.messages import (
    Question,
    answer_body,
    known_subject,
    malformed,
    only_item,
    question_from,
)
from memory_fabric.flows.node import Node, accountable, count_forms, plans_json, recorded
from memory_fabric.flows.take_in import answer_package
from memory_fabric.flows.train import train_for
from memory_fabric.gate.gate import Ask
from memory_fabric.gate.permits import Shown, release
from memory_fabric.vault.letters import Letter
from memory_fabric.vault.packages import MAGIC


def answer(node: Node, sealed: bytes) -> bytes:
    """Answer a sealed letter, or a package, from another site of the roster.

    Whatever goes wrong after the letter was opened is a refusal with a receipt.

    Raises:
        IntegrityViolated: ``letter-forged``, ``letter-replayed``; then nothing is answered.
        InputError: ``letter-not-for-us``, ``letter-stale``.
    """
    if sealed[:4] == MAGIC:
        return answer_package(node, sealed)
    letter = node.letters.open(sealed)
    sender = Requester(f"site:{letter.sender.site_id}", "", Role.APP)
    kind = str(letter.body.get("kind"))
    try:
        with accountable(node, kind if kind in _ANSWERS else "letter", sender):
            if kind not in _ANSWERS:
                raise malformed()
            return _ANSWERS[kind](node, letter)
    except MemoryFabricError as error:
        return _refusal(node, letter, (UNDECIDABLE,), str(error.details["receipt"]))


def _recall(node: Node, letter: Letter) -> bytes:
    question = question_from(letter.body, letter.sender.site_id)
    query = only_item(letter.body)
    node.check_purpose(question.purpose, question.requester)
    ask = Ask(Act.RECALL, question.requester, question.purpose, node.me, letter.sender)
    subject = subject_of(node, question)
    text, vector = _searchable(node, query)
    found = reading.search(node, ask, subject, text, vector, question.filters, question.limit)
    refused = bool(found.withheld) and not found.allowed
    outcome = Outcome.PARTLY_WITHHELD if found.withheld else Outcome.DONE
    committed = node.commit(
        "recall",
        question.requester,
        Outcome.DENIED if refused else outcome,
        request={
            "purpose": question.purpose,
            "origin": node.me.site_id,
            "destination": letter.sender.site_id,
            "plans": plans_json(node),
            **node.subject_scope(question.requester.tenant, subject),
        },
        decisions=recorded(node, ask, *found.noted),
        facts={"forms": count_forms(item.form for item in found.data.items), "letter": letter.id},
    )
    if refused:
        return _refusal(node, letter, found.withheld, committed.receipt.id)
    offered = [state.label_class for state, grant in found.declared.items() if grant.allowed]
    body = answer_body(offered, found.withheld, committed.receipt.id)
    released = release([found.data], committed)
    return node.letters.seal(released, body, to=letter.sender, reply_to=letter).sealed


def _refusal(node: Node, letter: Letter, rules: tuple[Rule, ...], receipt: str) -> bytes:
    body = answer_body([], rules, receipt)
    return node.letters.seal_refusal(body, to=letter.sender, reply_to=letter).sealed


def subject_of(node: Node, question: Question) -> str | None:
    """The subject a question is about, as this site knows it; ``None`` for all subjects."""
    if question.hint is None:
        return None
    tenant = question.requester.tenant
    return known_subject(question.hint, tenant, node.keyring.subjects(tenant))


def _searchable(node: Node, query: Shown) -> tuple[str | None, Vector]:
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
    text = check_text(query.memory, "query")
    return text, node.embedder.embed([text])[0]


_ANSWERS: Mapping[str, Callable[[Node, Letter], bytes]] = {
    "recall": _recall,
    "erase": erase_for,
    "train": train_for,
    "fetch": fetch_for,
    "lease-end": end_for,
}
"""What can be asked of this site, by the kind of letter."""
