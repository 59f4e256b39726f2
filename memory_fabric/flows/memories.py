"""One's own memories, one by one or page by page: the same gate, vault and receipt as recall."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from memory_fabric.core.access import Act, Requester
from memory_fabric.core.errors import InputError, NotFound
from memory_fabric.core.receipt import Outcome
from memory_fabric.core.records import RID_BYTES
from memory_fabric.flows import reading
from memory_fabric.flows.node import Node, count_forms, plans_json, recorded
from memory_fabric.flows.reading import Filters, Reading
from memory_fabric.gate.gate import Ask, denied
from memory_fabric.gate.permits import Release, release

PAGE = 100
"""Memories on one page."""


@dataclass(frozen=True)
class Page:
    """One page of released memories, and the cursor of the next one or ``None``."""

    released: Release
    cursor: str | None


def get_memory(node: Node, requester: Requester, memory_id: str, purpose: str | None) -> Release:
    """One memory of the requester's tenant.

    Raises:
        NotFound: ``memory-unknown``; also where policy withholds it, so that nobody learns of it.
    """
    checked = node.check_purpose(purpose, requester)
    ask = Ask(Act.RECALL, requester, checked, node.me, node.me)
    found = reading.one(node, ask, memory_id)
    released = _release(node, ask, found, None)
    if not found.data.items:
        raise NotFound(
            "memory-unknown",
            "There is no such memory within this scope.",
            "Check the id and the purpose.",
            {"receipt": released.receipt.receipt.id},
        )
    return released


def list_memories(
    node: Node,
    requester: Requester,
    purpose: str | None,
    subject: str | None,
    all_subjects: bool,
    cursor: str | None,
) -> Page:
    """Memories in the order of writing, ``PAGE`` at a time.

    Raises:
        InputError: ``scope-missing``, ``cursor-invalid`` ...
        Denied: policy permits none of the declared classes.
    """
    checked = node.check_purpose(purpose, requester)
    about = node.check_scope(subject, all_subjects, requester)
    ask = Ask(Act.RECALL, requester, checked, node.me, node.me)
    found, last = reading.listing(node, ask, about, Filters(), _after(cursor), PAGE)
    released = _release(node, ask, found, about)
    return Page(released, base64.urlsafe_b64encode(last).decode() if last else None)


def _release(node: Node, ask: Ask, found: Reading, subject: str | None) -> Release:
    refused = bool(found.withheld) and not found.allowed
    outcome = Outcome.PARTLY_WITHHELD if found.withheld else Outcome.DONE
    committed = node.commit(
        "recall",
        ask.requester,
        Outcome.DENIED if refused else outcome,
        request={
            "purpose": ask.purpose,
            "reach": "site",
            "destination": node.me.site_id,
            "plans": plans_json(node),
            **node.subject_scope(ask.requester.tenant, subject),
        },
        decisions=recorded(node, ask, *found.noted),
        facts={"forms": count_forms(item.form for item in found.data.items)},
    )
    if refused:
        raise denied("Policy permits no part of this.", found.declared, committed.receipt.id)
    return release([found.data], committed)


def _after(cursor: str | None) -> bytes | None:
    if cursor is None:
        return None
    try:
        rid = base64.urlsafe_b64decode(cursor)
    except (binascii.Error, ValueError):
        rid = b""
    if len(rid) != RID_BYTES:
        raise InputError("cursor-invalid", "The cursor is not from here.", "Start without one.")
    return rid
