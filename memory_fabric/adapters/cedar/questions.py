"""Questions in Cedar's words: entities for who and what, an action, and the circumstances."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from memory_fabric.adapters.cedar.register import Register
from memory_fabric.adapters.cedar.vocabulary import NAMESPACE, Vocabulary
from memory_fabric.adapters.iso3166 import is_region
from memory_fabric.core.access import Act, Question, Update
from memory_fabric.core.labels import ClassState
from memory_fabric.core.places import Site

Json = dict[str, Any]

_DECIMAL = re.compile(r"-?\d{1,14}\.\d{1,4}")
_LONG = 2**63
WITHOUT_PURPOSE = (Act.ERASE, Act.RELABEL)
"""Acts that are asked for no purpose."""
_KINDS = {Act.QUERY: "Query", Act.SEND_UPDATE: "ModelUpdate"}


def uid(kind: str, name: str) -> Json:
    """An entity's name."""
    return {"type": f"{NAMESPACE}::{kind}", "id": name}


def _ref(kind: str, name: str) -> Json:
    return {"__entity": uid(kind, name)}


def _refs(kind: str, names: frozenset[str]) -> list[Json]:
    return [_ref(kind, name) for name in sorted(names)]


def _decimal(number: str) -> Json:
    return {"__extn": {"fn": "decimal", "arg": number}}


def _moment(moment: datetime) -> Json:
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
    thousandths = moment.microsecond // 1000
    return {"__extn": {"fn": "datetime", "arg": f"{text}.{thousandths:03}Z"}}


def kind_of(question: Question) -> str:
    """The resource's entity type."""
    return _KINDS.get(question.act, "Memories")


def unknown_words(
    question: Question, words: Vocabulary, register: Register, now: datetime
) -> Iterator[str]:
    """What stands in a question that the bundle or the world does not know. Any of it denies."""
    label, site = question.state.label_class, question.destination
    for region in (question.origin, site.region, label.home):
        if not is_region(region):
            yield f"unknown region {region}"
    asked = frozenset() if question.act in WITHOUT_PURPOSE else frozenset({question.purpose})
    for what, used, known in (
        ("purpose", label.purposes | asked, words.purposes),
        ("special category", label.special, words.specials),
        ("instrument", site.current(site.instruments, now), words.instruments),
    ):
        for word in sorted(used - frozenset(known)):
            yield f"unknown {what} {word!r}"
    for bloc in sorted(site.current(site.memberships, now)):
        if not register.may_join(bloc, site.region, now):
            yield f"the register has no bloc {bloc!r} that organisations in {site.region} may join"
    if question.act.has_forms != (question.form is not None):
        yield f"{question.act} asked {'without' if question.act.has_forms else 'with'} a form"
    yield from _bad_numbers(question)


def _bad_numbers(question: Question) -> Iterator[str]:
    wholes = [question.plan.ttl_hours, question.plan.min_cohort]
    decimals = [question.plan.epsilon]
    if question.act is Act.SEND_UPDATE:
        if question.update is None:
            yield "send_update asked without the facts of the update"
            return
        wholes.append(question.update.cohort)
        decimals.append(question.update.epsilon)
    for whole in wholes:
        if not 0 <= whole < _LONG:
            yield f"{whole} is out of range"
    for number in decimals:
        if not _DECIMAL.fullmatch(number) or number.startswith("-"):
            yield f"{number!r} is no decimal of at most 4 places"


def region_entity(code: str, register: Register, now: datetime) -> Json:
    """A region, inside its country and its blocs."""
    parents = [uid("Bloc", bloc) for bloc in register.blocs_of(code, now)]
    if "-" in code:
        parents.append(uid("Region", code[:2]))
    return {"uid": uid("Region", code), "attrs": {}, "parents": parents}


def site_entity(name: str, site: Site, now: datetime) -> Json:
    """A receiving site, with those instruments and memberships that are in force."""
    memberships = sorted(site.current(site.memberships, now))
    return {
        "uid": uid("Site", name),
        "attrs": {
            "region": _ref("Region", site.region),
            "tier": _ref("Tier", site.tier),
            "tenants": _refs("Tenant", site.tenants),
            "instruments": _refs("Instrument", site.current(site.instruments, now)),
            "transferRiskAssessed": site.transfer_risk_assessed,
        },
        "parents": [uid("Region", site.region), *(uid("Bloc", bloc) for bloc in memberships)],
    }


def class_entity(kind: str, name: str, state: ClassState, update: Update | None) -> Json:
    """A label class as memories, as a query, or as what an update was trained on."""
    label = state.label_class
    attrs: Json = {
        "home": _ref("Region", label.home),
        "tenant": _ref("Tenant", label.tenant),
        "dataClass": _ref("DataClass", label.data_class),
        "purposes": _refs("Purpose", label.purposes),
        "consent": _ref("Consent", label.consent),
        "retentionExpired": state.retention_over,
    }
    if update is None:
        attrs["personal"] = label.personal
        attrs["special"] = _refs("Special", label.special)
        attrs["legalHold"] = label.legal_hold
    else:
        attrs["trainedOnPersonal"] = label.personal
        attrs["trainedOn"] = _refs("Special", label.special)
        attrs["secureAggregated"] = update.secure_aggregated
        attrs["cohort"] = update.cohort
        attrs["epsilon"] = _decimal(update.epsilon)
    return {"uid": uid(kind, name), "attrs": attrs, "parents": [uid("Region", label.home)]}


def action_of(question: Question) -> Json:
    """The form where the act has forms, else the act itself."""
    return uid("Action", question.form or question.act)


def context_of(question: Question, now: datetime) -> str:
    """The circumstances, as JSON text."""
    act = question.act
    context: Json = {
        "requester": {
            "tenant": _ref("Tenant", question.requester.tenant),
            "role": _ref("Role", question.requester.role),
        },
        "now": _moment(now),
    }
    if act is Act.RELABEL:
        context["loosens"] = question.loosens
    if act not in WITHOUT_PURPOSE:
        context["purpose"] = _ref("Purpose", question.purpose)
        context["origin"] = _ref("Region", question.origin)
    if act.has_forms:
        context["way"] = _ref("Way", act)
        context["plan"] = {
            "ttlHours": question.plan.ttl_hours,
            "minCohort": question.plan.min_cohort,
            "epsilon": _decimal(question.plan.epsilon),
        }
        if question.break_glass and now < question.break_glass.expires:
            context["breakGlass"] = {
                "ticket": question.break_glass.ticket,
                "approver1": question.break_glass.approver1,
                "approver2": question.break_glass.approver2,
                "expires": _moment(question.break_glass.expires),
            }
    return json.dumps(context)
