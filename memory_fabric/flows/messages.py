"""What sites say to each other, as JSON inside sealed letters; both directions side by side."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from memory_fabric.config import MAX_CLASSES
from memory_fabric.core.access import Requester, Role, Rule, named
from memory_fabric.core.errors import InputError
from memory_fabric.core.labels import LabelClass
from memory_fabric.core.memory import MemoryType
from memory_fabric.flows import strangers
from memory_fabric.flows.reading import Filters
from memory_fabric.gate.permits import Shown

MISREAD = (
    KeyError,
    TypeError,
    ValueError,
    IndexError,
    ArithmeticError,
    AttributeError,
    InputError,
)
_SALT_BYTES, _MARK_BYTES = 16, 32


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
        return Question(
            requester=neighbour(sender, body),
            purpose=str(body["purpose"]),
            hint=_hint_from(body["hint"]) if body["hint"] is not None else None,
            limit=min(max(int(body["limit"]), 1), 1000),
            filters=Filters(
                memory_types=frozenset(MemoryType(item) for item in body["memory_types"]),
                created_after=strangers.moment(body["created_after"]),
                created_before=strangers.moment(body["created_before"]),
                threshold=strangers.number(body["threshold"]),
            ),
        )
    except MISREAD:
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
    except MISREAD:
        raise malformed() from None


def known_subject(hint: tuple[bytes, bytes], tenant: str, names: Iterable[str]) -> str:
    """The subject that a hint is about; a name that matches nothing where none of them is it."""
    salt, mark = hint
    return next((name for name in names if _mark(salt, tenant, name) == mark), mark.hex())


def _hint(tenant: str, subject: str) -> list[str]:
    """A pseudonym for one message: recognised by a site that knows the subject, linkable to no
    other message. Not anonymous: whoever can guess the name can check the guess.
    """
    salt = secrets.token_bytes(_SALT_BYTES)
    return [salt.hex(), _mark(salt, tenant, subject).hex()]


def _hint_from(value: Any) -> tuple[bytes, bytes]:
    salt, mark = (bytes.fromhex(part) for part in value)
    if (len(salt), len(mark)) != (_SALT_BYTES, _MARK_BYTES):
        raise ValueError("not a hint")
    return salt, mark


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


def answer_from(body: Mapping[str, Any], limit: int) -> Reply:
    """The inverse of ``answer_body`` with its items, of which ``limit`` were asked for.

    Raises:
        InputError: ``letter-malformed``.
    """
    try:
        if len(body["items"]) > limit or len(body["offered"]) > MAX_CLASSES:
            raise ValueError("more than was asked for")
        return Reply(
            items=[strangers.shown(item) for item in body["items"]],
            offered=[strangers.label_class(item) for item in body["offered"]],
            withheld=tuple(strangers.rule(item) for item in body["withheld"]),
            receipt=strangers.receipt_id(body["receipt"]),
        )
    except MISREAD:
        raise malformed() from None


def only_item(body: Mapping[str, Any]) -> Shown:
    """The query inside a question's letter, or ``letter-malformed``."""
    try:
        (item,) = body["items"]
        return strangers.shown(item)
    except MISREAD:
        raise malformed() from None


@dataclass(frozen=True)
class Told:
    """What another site says it erased."""

    memories: int
    keys: int
    receipt: str


def erased_from(body: Mapping[str, Any]) -> Told | tuple[Rule, ...]:
    """What another site erased, or the rules by which it refused.

    Raises:
        InputError: ``letter-malformed``.
    """
    try:
        if body["kind"] in ("refused", "answer"):
            return tuple(strangers.rule(item) for item in body["withheld"])
        if body["kind"] != "erased":
            raise ValueError("neither erased nor refused")
        return Told(
            strangers.count(body["memories"]),
            strangers.count(body["keys"]),
            strangers.receipt_id(body["receipt"]),
        )
    except MISREAD:
        raise malformed() from None


def malformed() -> InputError:
    """A letter whose seal is right and whose content is not of this protocol."""
    return InputError(
        "letter-malformed",
        "Another site sent something that this version cannot read; nothing of it was used.",
        "Bring both sites to the same version of Memory Fabric.",
    )
