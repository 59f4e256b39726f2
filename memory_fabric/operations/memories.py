"""Operations on memories: remember, recall, read, forget, relabel."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from memory_fabric.core.access import Form, Requester
from memory_fabric.core.drafts import Draft
from memory_fabric.core.errors import (
    InputError,
    MemoryFabricError,
)
from memory_fabric.core.receipt_search import Wanted
from memory_fabric.flows import (
    erase_grid,
    memories,
    recall,
    relabel,
    remember,
)
from memory_fabric.flows.erase import Erased
from memory_fabric.flows.node import Node, accountable
from memory_fabric.flows.remains import SCRUB
from memory_fabric.flows.scrub import WITHIN
from memory_fabric.operations.exports import leases_json
from memory_fabric.operations.shapes import (
    Json,
    change_from,
    not_reached,
    own_row,
    query_from,
    result,
    results,
    sole_purpose,
)
from memory_fabric.wiring import Home


def add(home: Home, requester: Requester, *, memories: Sequence[Mapping[str, Any]]) -> Json:
    """Remember all of the given memories, or none."""
    with accountable(home.node, "remember", requester):
        drafts = []
        for row, fields in enumerate(memories):
            try:
                drafts.append(Draft.from_fields(fields))
            except MemoryFabricError as error:
                error.details.setdefault("row", row)
                raise
        done = remember.remember(home.node, requester, drafts)
    return {
        "results": [{"id": name, "event": "ADD"} for name in done.ids],
        "receipt": done.receipt,
    }


def add_good(
    home: Home,
    requester: Requester,
    *,
    memories: Sequence[Mapping[str, Any]],
    dry: bool = False,
    repeats: Sequence[int] | None = None,
) -> Json:
    """Remember those of the given memories that can be taken, and say what is wrong with the rest.

    Args:
        dry: only say it, and store nothing.
        repeats: of an import that may be run again: how many memories like each one came before it.
            One without an id gets one that its content and this number give, and ids that are
            there already are named ``present`` instead of being problems.
    """
    node = home.node
    tenant = node.check_tenant(requester)
    good: list[Draft] = []
    problems: list[Json] = []
    present: list[Json] = []
    ids: set[str] = set()
    for row, fields in enumerate(memories):
        try:
            draft = Draft.from_fields(fields)
            if repeats is not None:
                draft = _named(node, tenant, draft, fields, repeats[row])
                if draft.id and draft.id not in ids and node.copy.find(tenant, draft.id):
                    present.append({"row": row, "id": draft.id})
                    continue
            remember.check_draft(node, requester, draft, ids)
            good.append(draft)
            ids |= {draft.id} if draft.id else set()
        except MemoryFabricError as error:
            problems.append({"row": row, "code": error.code, "what": error.what, "do": error.do})
    told: Json = {"results": [], "problems": problems, "present": present, "receipt": None}
    if dry or not good:
        return told
    with accountable(node, "remember", requester):
        done = remember.remember(node, requester, good)
    results = [{"id": name, "event": "ADD"} for name in done.ids]
    return {**told, "results": results, "receipt": done.receipt}


def _named(node: Node, tenant: str, draft: Draft, fields: Mapping[str, Any], repeat: int) -> Draft:
    if draft.id is not None:
        return draft
    content = json.dumps([dict(fields), repeat], sort_keys=True, default=str).encode()
    return replace(draft, id=node.vault.name_for(tenant, content))


def own_page(
    home: Home,
    requester: Requester,
    *,
    purpose: str | None = None,
    subject: str | None = None,
    all_subjects: bool = False,
    cursor: str | None = None,
) -> Json:
    """A page of memories as `remember --from` takes them; those that policy releases in full."""
    with accountable(home.node, "recall", requester):
        found = memories.list_memories(
            home.node, requester, sole_purpose(requester, purpose), subject, all_subjects, cursor
        )
    items = [item for part in found.released.parts for item in part.items]
    rows = [own_row(item) for item in items if item.form is Form.FULL]
    return {
        "rows": rows,
        "left_out": len(items) - len(rows),
        "cursor": found.cursor,
        "receipt": found.released.receipt.receipt.id,
    }


def search(
    home: Home,
    requester: Requester,
    *,
    query: str,
    purpose: str | None = None,
    subject: str | None = None,
    all_subjects: bool = False,
    reach: str = "site",
    top_k: int = 10,
    special: Sequence[str] = (),
    filters: Mapping[str, Any] | None = None,
    threshold: float = 0.0,
) -> Json:
    """Recall, at home and within reach."""
    node = home.node
    with accountable(node, "recall", requester):
        asked = query_from(
            requester, query, purpose, subject, all_subjects, reach, top_k, special, filters,
            threshold,
        )  # fmt: skip
        answer = recall.recall(node, requester, asked)
    reply: Json = {
        "results": [result(node, site_id, item) for site_id, item in answer.results()],
        **not_reached(answer.withheld, answer.unreachable),
        "receipt": answer.released.receipt.receipt.id,
    }
    return reply


def get(home: Home, requester: Requester, *, id: str, purpose: str | None = None) -> Json:
    """One memory by its id."""
    with accountable(home.node, "recall", requester):
        released = memories.get_memory(home.node, requester, id, sole_purpose(requester, purpose))
    return {**results(home.node, released)[0], "receipt": released.receipt.receipt.id}


def page(
    home: Home,
    requester: Requester,
    *,
    purpose: str | None = None,
    subject: str | None = None,
    all_subjects: bool = False,
    cursor: str | None = None,
) -> Json:
    """Memories in the order of writing, a page at a time."""
    with accountable(home.node, "recall", requester):
        found = memories.list_memories(
            home.node, requester, sole_purpose(requester, purpose), subject, all_subjects, cursor
        )
    return {
        "results": results(home.node, found.released),
        "cursor": found.cursor,
        "receipt": found.released.receipt.receipt.id,
    }


def forget(
    home: Home,
    requester: Requester,
    *,
    subject: str | None = None,
    id: str | None = None,
    finish: bool = False,
) -> Json:
    """Erase a subject with its key, here and at the tenant's other sites, or one memory here.

    Args:
        finish: go over the disk before answering, where nobody serves the home: for a command
            after which it is closed. Else that is done once for all erasures of some minutes.
    """
    node = home.node
    with accountable(node, "erase", requester):
        if subject and subject.strip() and not id:
            done = erase_grid.forget_everywhere(node, requester, subject)
        elif id and not subject:
            done = erase_grid.forget_one(node, requester, id)
        else:
            raise InputError(
                "scope-missing", "An erasure names one subject or one id.", "Name exactly one."
            )
    return {
        "erased": {"memories": done.here.memories, "keys": done.here.keys},
        "site": node.me.site_id,
        "elsewhere": [
            {
                "site": told.site,
                "erased": {"memories": told.memories, "keys": told.keys},
                "receipt": told.receipt,
            }
            for told in done.elsewhere
        ],
        **not_reached(done.withheld, done.unreachable),
        **leases_json(done.leases),
        "bytes": _bytes(home, done.here, finish),
        "runs": list(done.here.runs),
        "remains": list(done.here.remains),
        "receipt": done.here.receipt,
    }


def _bytes(home: Home, erased: Erased, finish: bool) -> Json:
    """Whether the sealed bytes are off the disk, by which receipt; or by when they will be."""
    if finish and not home.served:
        home.upkeep.settle()
    if erased.receipt in home.node.unscrubbed:
        by = (erased.at + WITHIN).isoformat() if home.served else None
        return {"gone": False, "by": by, "receipt": None}
    newest = home.node.ledger.receipts(None, 1, Wanted(act=SCRUB))
    completes = newest and erased.receipt in newest[0]["request"]["erasures"]
    return {"gone": True, "by": None, "receipt": newest[0]["id"] if completes else None}


def label_set(
    home: Home,
    requester: Requester,
    *,
    subject: str | None = None,
    id: str | None = None,
    change: Mapping[str, Any],
) -> Json:
    """Change consent, hold, class of one memory or of all about a subject."""
    with accountable(home.node, "relabel", requester):
        asked = change_from(change)
        if subject and subject.strip() and not id:
            done = relabel.relabel_subject(home.node, requester, subject, asked)
        elif id and not subject:
            done = relabel.relabel_memory(home.node, requester, id, asked)
        else:
            raise InputError(
                "scope-missing", "A change of label names one subject or one id.", "Name one."
            )
    return {"changed": done.memories, **leases_json(done.leases), "receipt": done.receipt}
