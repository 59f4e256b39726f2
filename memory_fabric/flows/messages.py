"""What sites say to each other, as JSON inside sealed letters; both directions side by side."""

from __future__ import annotations

import base64
import hmac
import math
import secrets
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from memory_fabric.core.access import Form, Requester, Role, Rule, named
from memory_fabric.core.errors import InputError
from memory_fabric.core.labels import LabelClass
from memory_fabric.core.memory import MemoryType
from memory_fabric.flows.reading import Filters
from memory_fabric.gate.permits import Shown


@dataclass(frozen=True)
class Question:
    """A question from another site.

    ``subject`` stands in it only where the query was allowed to travel in full; otherwise
    ``hint`` lets a site that knows the subject recognise it, and tells others nothing.
    """

    requester: Requester
    purpose: str
    hint: tuple[bytes, bytes] | None
    limit: int
    filters: Filters


def question_body(
    requester: Requester, purpose: str, subject: str | None, limit: int, filters: Filters
) -> dict[str, Any]:
    """The part of a question that is about the asking, not about a person.

    The requester's name and role stay at home: a site answers another site, not its apps.
    """
    return {
        "kind": "recall",
        "tenant": requester.tenant,
        "purpose": purpose,
        "hint": _hint(requester.tenant, subject) if subject else None,
        "limit": limit,
        "memory_types": sorted(filters.memory_types),
        "created_after": filters.created_after.isoformat() if filters.created_after else None,
        "created_before": filters.created_before.isoformat() if filters.created_before else None,
        "threshold": repr(filters.threshold),
    }


def question_from(body: Mapping[str, Any], sender: str) -> Question:
    """The inverse of ``question_body``.

    Raises:
        InputError: ``letter-malformed``.
    """
    try:
        after, before = body["created_after"], body["created_before"]
        return Question(
            requester=neighbour(sender, body),
            purpose=str(body["purpose"]),
            hint=_hint_from(body["hint"]) if body["hint"] is not None else None,
            limit=min(max(int(body["limit"]), 1), 1000),
            filters=Filters(
                memory_types=frozenset(MemoryType(item) for item in body["memory_types"]),
                created_after=datetime.fromisoformat(after) if after else None,
                created_before=datetime.fromisoformat(before) if before else None,
                threshold=float(body["threshold"]),
            ),
        )
    except (KeyError, TypeError, ValueError, IndexError):
        raise malformed() from None


@dataclass(frozen=True)
class Notice:
    """A notice of erasure from another site."""

    requester: Requester
    hint: tuple[bytes, bytes]


def erasure_body(requester: Requester, subject: str) -> dict[str, Any]:
    """A notice that a subject is erased: whoever knows the subject recognises it."""
    return {
        "kind": "erase",
        "tenant": requester.tenant,
        "hint": _hint(requester.tenant, subject),
    }


def erasure_from(body: Mapping[str, Any], sender: str) -> Notice:
    """The inverse of ``erasure_body``.

    Raises:
        InputError: ``letter-malformed``.
    """
    try:
        return Notice(neighbour(sender, body), _hint_from(body["hint"]))
    except (KeyError, TypeError, ValueError, IndexError):
        raise malformed() from None


def known_subject(hint: tuple[bytes, bytes], tenant: str, names: Iterable[str]) -> str:
    """The subject that a hint is about; a name that matches nothing where none of them is it."""
    salt, mark = hint
    return next((name for name in names if _mark(salt, tenant, name) == mark), mark.hex())


def _hint(tenant: str, subject: str) -> list[str]:
    """A pseudonym for one message: recognised by a site that knows the subject, linkable to no
    other message. Not anonymous: whoever can guess the name can check the guess.
    """
    salt = secrets.token_bytes(16)
    return [salt.hex(), _mark(salt, tenant, subject).hex()]


def _hint_from(value: Any) -> tuple[bytes, bytes]:
    return bytes.fromhex(value[0]), bytes.fromhex(value[1])


def _mark(salt: bytes, tenant: str, subject: str) -> bytes:
    return hmac.digest(salt, f"{tenant}\0{subject}".encode(), "sha256")


def neighbour(sender: str, body: Mapping[str, Any]) -> Requester:
    """Who asks when another site does: never with a role that an app of this site could have."""
    return Requester(f"site:{sender}", str(body["tenant"]), Role.APP)


@dataclass(frozen=True)
class Reply:
    """Another site's answer."""

    items: list[Shown]
    offered: list[LabelClass]
    withheld: tuple[Rule, ...]
    receipt: str


def answer_body(
    offered: Iterable[LabelClass], withheld: tuple[Rule, ...], receipt: str
) -> dict[str, Any]:
    """What stands beside the released items: the classes policy let out, and what it kept."""
    return {
        "kind": "answer",
        "offered": [item.to_json() for item in sorted(offered, key=lambda item: item.key)],
        "withheld": named(withheld),
        "receipt": receipt,
    }


def answer_from(body: Mapping[str, Any]) -> Reply:
    """The inverse of ``answer_body`` with its items.

    Raises:
        InputError: ``letter-malformed``.
    """
    try:
        return Reply(
            items=[shown_from(item) for item in body["items"]],
            offered=[LabelClass.from_json(item) for item in body["offered"]],
            withheld=tuple(
                Rule(item["id"], item["title"], item["basis"]) for item in body["withheld"]
            ),
            receipt=str(body["receipt"]),
        )
    except (KeyError, TypeError, ValueError):
        raise malformed() from None


def only_item(body: Mapping[str, Any]) -> Shown:
    """The query inside a question's letter, or ``letter-malformed``."""
    try:
        (item,) = body["items"]
        return shown_from(item)
    except (KeyError, TypeError, ValueError):
        raise malformed() from None


def shown_from(item: Mapping[str, Any]) -> Shown:
    """A released item from a letter; refuses vectors that are not finite."""
    vector = base64.b64decode(item["vector"]) if item["vector"] is not None else None
    if vector is not None:
        numbers = struct.unpack(f"<{len(vector) // 4}f", vector)
        if not all(math.isfinite(number) for number in numbers):
            raise ValueError("a vector that is not finite")
    score = item["score"]
    return Shown(
        id=str(item["id"]),
        form=Form(item["form"]),
        label_class=LabelClass.from_json(item["class"]),
        memory=None if item["memory"] is None else str(item["memory"]),
        vector=vector,
        embedder=str(item["embedder"]),
        score=None if score is None else min(max(float(score), 0.0), 1.0),
        rules=tuple(str(rule) for rule in item["rules"]),
        facts=dict(item["facts"]),
    )


def malformed() -> InputError:
    """A letter whose seal is right and whose content is not of this protocol."""
    return InputError(
        "letter-malformed",
        "Another site sent something that this version cannot read; nothing of it was used.",
        "Bring both sites to the same version of Memory Fabric.",
    )
