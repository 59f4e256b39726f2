"""What operations take and give, between JSON and the words of the core."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from memory_fabric.core.access import Requester, named
from memory_fabric.core.drafts import moment
from memory_fabric.core.errors import (
    InputError,
)
from memory_fabric.core.labels import Consent, DataClass, LabelChange
from memory_fabric.core.memory import MemoryType
from memory_fabric.flows.asking import Query, Reach, Withheld
from memory_fabric.flows.node import Node
from memory_fabric.flows.reading import Filters
from memory_fabric.gate.permits import Release, Shown

Json = dict[str, Any]


def sole_purpose(requester: Requester, purpose: str | None) -> str | None:
    """A key bound to a single purpose need not name it."""
    if purpose is None and len(requester.purposes) == 1:
        return next(iter(requester.purposes))
    return purpose


def result(node: Node, site_id: str, item: Shown) -> Json:
    """A released memory as users of memory layers know it (``docs/reference/http.md``)."""
    numbers = item.vector and struct.unpack(f"<{len(item.vector) // 4}f", item.vector)
    return {
        # Another site wrote its own facts: they go first, so that they name nothing anew.
        **item.facts,
        "id": item.id,
        "memory": item.memory,
        "score": round(item.score, 6) if item.score is not None else None,
        "form": str(item.form),
        "site": site_id,
        "region": str(node.roster[site_id].region),
        "rules": list(item.rules),
        "embedding": list(numbers) if numbers else None,
        "embedder": item.embedder,
    }


def own_row(item: Shown) -> Json:
    """A memory in full, with its label, as it can be remembered again."""
    facts, label = item.facts, item.label_class
    return {
        "id": item.id,
        "memory": item.memory,
        "memory_type": facts["memory_type"],
        "valid_at": facts["valid_at"] or facts["created_at"],
        "metadata": facts["metadata"],
        "label": {
            "subjects": facts["subjects"],
            "data_class": str(label.data_class),
            "personal": label.personal,
            "special": sorted(label.special),
            "purposes": sorted(label.purposes),
            "consent": str(label.consent),
            "legal_hold": label.legal_hold,
            "expires_at": facts["expires_at"],
        },
    }


def not_reached(withheld: Sequence[Withheld], unreachable: Mapping[str, str]) -> Json:
    """What sites kept back, and, where there are any, which did not answer."""
    told: Json = {
        "withheld": [
            {
                "site": held.site.site_id,
                "region": str(held.site.region),
                "rules": named(held.rules),
            }
            for held in sorted(withheld, key=lambda held: held.site.site_id)
        ]
    }
    if unreachable:
        told["unreachable"] = [
            {"site": site, "code": code} for site, code in sorted(unreachable.items())
        ]
    return told


def results(node: Node, released: Release) -> list[Json]:
    """All items of a release."""
    return [
        result(node, part.permit.origin, item) for part in released.parts for item in part.items
    ]


def one_of(kind: Any, value: Any, name: str, code: str) -> Any:
    """A word as a member of its enumeration, or `InputError` with the given code."""
    try:
        return kind(value)
    except ValueError:
        raise InputError(
            code,
            f"`{name}` holds a word that is not in its list.",
            f"Use one of {', '.join(kind)}.",
        ) from None


def filters_from(fields: Mapping[str, Any], threshold: float) -> Filters:
    """Filters of a search, or `filter-unknown`."""
    unknown = set(fields) - {"memory_type", "created_after", "created_before"}
    if unknown:
        raise InputError(
            "filter-unknown",
            "A filter is not known.",
            "Filter by memory_type, created_after, created_before.",
        )
    types = fields.get("memory_type") or ()
    listed = [types] if isinstance(types, str) else list(types)
    return Filters(
        memory_types=frozenset(
            one_of(MemoryType, item, "memory_type", "memory-type-unknown") for item in listed
        ),
        created_after=moment(fields.get("created_after"), "created_after"),
        created_before=moment(fields.get("created_before"), "created_before"),
        threshold=threshold,
    )


def query_from(
    requester: Requester,
    text: str,
    purpose: str | None,
    subject: str | None,
    all_subjects: bool,
    reach: str,
    top_k: int,
    special: Sequence[str],
    filters: Mapping[str, Any] | None,
    threshold: float = 0.0,
) -> Query:
    """What a recall is asked, as its flow takes it."""
    return Query(
        text=text,
        purpose=sole_purpose(requester, purpose),
        subject=subject,
        all_subjects=all_subjects,
        reach=one_of(Reach, reach, "reach", "reach-unknown"),
        top_k=top_k,
        special=frozenset(special),
        filters=filters_from(filters or {}, threshold),
    )


def change_from(fields: Mapping[str, Any]) -> LabelChange:
    """What a change of label asks for, or `label-invalid`."""
    known = {"data_class", "personal", "special", "purposes", "consent", "legal_hold", "expires_at"}
    if unknown := set(fields) - known:
        raise InputError(
            "label-invalid",
            f"A label has no {len(unknown)} such field(s).",
            f"Use {', '.join(sorted(known))}.",
        )
    data_class, consent = fields.get("data_class"), fields.get("consent")
    return LabelChange(
        data_class=one_of(DataClass, data_class, "data_class", "label-invalid")
        if data_class
        else None,
        personal=fields.get("personal"),
        special=frozenset(fields["special"]) if fields.get("special") is not None else None,
        purposes=frozenset(fields["purposes"]) if fields.get("purposes") else None,
        consent=one_of(Consent, consent, "consent", "label-invalid") if consent else None,
        legal_hold=fields.get("legal_hold"),
        expires_at=moment(fields.get("expires_at"), "expires_at"),
    )
