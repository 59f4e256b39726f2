"""Whether a schema takes the questions that this program asks: tried out, not assumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from cedarpy import Entities, PolicySet, Schema, is_authorized_batch

from memory_fabric.adapters.cedar.findings import Finding
from memory_fabric.adapters.cedar.questions import (
    Json,
    action_of,
    class_entity,
    context_of,
    kind_of,
    site_entity,
    uid,
)
from memory_fabric.adapters.cedar.vocabulary import Vocabulary
from memory_fabric.core.access import LADDER, Act, BreakGlass, Question, Requester, Role, Update
from memory_fabric.core.labels import ClassState, Consent, DataClass, LabelClass
from memory_fabric.core.places import Region, Site, Tier

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def schema_misfits(schema: Schema, words: Vocabulary, file: str) -> Iterator[Finding]:
    """One finding for each question that the schema would not take."""
    seen: set[str] = set()
    for question in _questions(words):
        for problem in _problems(question, schema):
            if problem not in seen:
                seen.add(problem)
                yield Finding(
                    file, 0, "", f"The schema does not fit this program: {problem}.",
                    "Change the lists that are yours, and leave the rest as it was.",
                )  # fmt: skip


def _questions(words: Vocabulary) -> Iterator[Question]:
    home = Region("DE")
    label = LabelClass(
        home, "tenant", DataClass.PUBLIC, True, frozenset(words.specials),
        frozenset(words.purposes), Consent.NONE,
    )  # fmt: skip
    site = Site(
        "site", home, Tier.EDGE, frozenset({"tenant"}), "", b"", b"", "",
        instruments=dict.fromkeys(words.instruments, ""),
    )  # fmt: skip
    plain = Question(
        Act.ERASE, home, site, Requester("", "tenant", Role.APP),
        words.purposes[0] if words.purposes else "", ClassState(label),
    )  # fmt: skip
    emergency = BreakGlass("T-1", "a", "b", _NOW + timedelta(hours=1))
    for act in Act:
        update = Update(True, 1, "1.0") if act is Act.SEND_UPDATE else None
        for form in LADDER if act.has_forms else (None,):
            question = replace(plain, act=act, form=form, update=update)
            yield question
            if act.has_forms:
                yield replace(question, break_glass=emergency)


def _problems(question: Question, schema: Schema) -> list[str]:
    kind = kind_of(question)
    known: list[Json] = [
        {"uid": uid("Region", "DE"), "attrs": {}, "parents": []},
        site_entity("probe", question.destination, _NOW),
        class_entity(kind, "probe", question.state, question.update),
    ]
    request = {
        "principal": uid("Site", "probe"),
        "action": action_of(question),
        "resource": uid(kind, "probe"),
        "context": context_of(question, _NOW),
    }
    try:
        entities = Entities.from_json_str(json.dumps(known), schema)
    except ValueError as error:
        return [f"{kind} or Site: {error}"]
    return is_authorized_batch([request], PolicySet.from_str(""), entities, schema)[
        0
    ].diagnostics.errors
