"""The matrix: for each label class and each destination, the most that may be released."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from memory_fabric.core.access import Act, Decision, Requester, Role
from memory_fabric.core.errors import InputError
from memory_fabric.core.labels import ClassState, LabelClass
from memory_fabric.core.places import Site
from memory_fabric.gate.gate import Ask, Gate


@dataclass(frozen=True)
class Row:
    """A label class at the site that holds it, asked for one of its purposes."""

    origin: Site
    purpose: str
    state: ClassState


def in_order(origin: Site, purpose: str, states: Iterable[ClassState]) -> list[Row]:
    """Rows of one purpose: by whom they are about, then by how confidential they are."""
    ordered = sorted(states, key=lambda state: _order(state.label_class))
    return [Row(origin, purpose, state) for state in ordered]


def released_act(name: str) -> Act:
    """The act of this name, where it is one that releases data in a form.

    Raises:
        InputError: ``act-unknown``.
    """
    known = [act for act in Act if act.has_forms]
    if name not in known:
        raise InputError(
            "act-unknown", "That act has no forms.", f"Use one of {', '.join(sorted(known))}."
        )
    return Act(name)


def cells(
    gate: Gate, tenant: str, act: Act, rows: Sequence[Row], sites: Sequence[Site]
) -> list[list[Decision]]:
    """A decision for each row (outer list) and site, as an app there would be answered now."""
    requester = Requester("", tenant, Role.APP)
    together: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        together.setdefault((row.origin.site_id, row.purpose), []).append(row)
    decided = {
        key: [
            gate.decide(
                Ask(act, requester, alike[0].purpose, alike[0].origin, site),
                [row.state for row in alike],
            )
            for site in sites
        ]
        for key, alike in together.items()
    }
    return [
        [decisions[row.state] for decisions in decided[row.origin.site_id, row.purpose]]
        for row in rows
    ]


def to_json(
    act: Act,
    rows: Sequence[Row],
    sites: Sequence[Site],
    decisions: Sequence[Sequence[Decision]],
    name: Callable[[str], str],
    label: Callable[[Site], str],
) -> dict[str, Any]:
    """The same for machines.

    Args:
        name: a region's name for people.
        label: a site in few letters, for the head of a column.
    """
    return {
        "act": str(act),
        "sites": [
            {
                "site": site.site_id,
                "label": label(site),
                "region": str(site.region),
                "name": name(site.region),
                "memberships": sorted(site.memberships),
            }
            for site in sites
        ],
        "rows": [
            {
                "class": {**row.state.label_class.to_json(), "text": str(row.state.label_class)},
                "purpose": row.purpose,
                "cells": [
                    {
                        "form": str(decision.form) if decision.form else None,
                        "rules": [rule.id for rule in decision.rules],
                    }
                    for decision in decided
                ],
            }
            for row, decided in zip(rows, decisions, strict=True)
        ],
    }


def _order(label_class: LabelClass) -> tuple[object, ...]:
    return (
        not label_class.personal, sorted(label_class.special), label_class.data_class.rank,
        str(label_class.consent), sorted(label_class.purposes), label_class.key,
    )  # fmt: skip
