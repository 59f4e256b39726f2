"""Case files: sites and data by name, and questions about them, in plain words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from memory_fabric.adapters.cedar.strict_yaml import Node, load
from memory_fabric.adapters.iso3166 import check_region
from memory_fabric.core.access import Act, BreakGlass, Form, Plan, Question, Requester, Role, Update
from memory_fabric.core.errors import InputError
from memory_fabric.core.labels import ClassState, Consent, DataClass, LabelClass
from memory_fabric.core.places import Region, Site, Tier

TENANT = "acme"
"""Whose data and whose sites a case speaks of, where it does not say."""

_YES_NO = {"yes": True, "no": False}


@dataclass(frozen=True)
class Case:
    """One example.

    Attributes:
        name: what it shows, as a sentence.
        question: what is asked; its form is left to the ladder.
        answer: the form expected, ``yes``, or ``refused``.
        rules: ids of the rules that must give this answer, no more and no fewer.
    """

    file: str
    line: int
    name: str
    question: Question
    now: datetime
    answer: str
    rules: tuple[str, ...]


def parse_cases(text: str, file: str) -> list[Case]:
    """The cases of one file, in its order.

    Raises:
        BundleError: anything in it is not exactly as it should be.
    """
    root = load(text, file).fields("a case file", ["about", "now", "sites", "data", "cases"])
    root["about"].text("about")
    now = _moment(root["now"])
    sites = {name: _site(name, node) for name, node in root["sites"].entries("sites").items()}
    data = {name: _state(node) for name, node in root["data"].entries("data").items()}
    return [_case(node, now, sites, data) for node in root["cases"].items("cases")]


def _site(name: str, node: Node) -> Site:
    fields = node.fields(
        "a site", ["region"], ["tenants", "instruments", "memberships", "risk-assessed"]
    )
    try:
        return Site(
            name,
            _region(fields["region"]),
            Tier.EDGE,
            frozenset(_words(fields, "tenants") or [TENANT]),
            embedder="",
            signing_key=b"",
            sealing_key=b"",
            address="",
            instruments=dict.fromkeys(_words(fields, "instruments"), ""),
            memberships=dict.fromkeys(_words(fields, "memberships"), ""),
            transfer_risk_assessed=_flag(fields, "risk-assessed"),
        )
    except InputError as error:
        raise node.wrong(error.what, error.do) from error


def _state(node: Node) -> ClassState:
    fields = node.fields(
        "data",
        ["home", "class", "about", "purposes"],
        ["special", "consent", "tenant", "legal-hold", "retention-over"],
    )
    if not fields["purposes"].items("purposes"):
        raise fields["purposes"].wrong("Data has at least one purpose.", "Name it.")
    if "special" in fields and fields["about"].value == "nobody":
        raise fields["special"].wrong("Special categories are about people.", "Mend one of them.")
    consent = fields["consent"].one_of("consent", Consent) if "consent" in fields else "none"
    label = LabelClass(
        home=_region(fields["home"]),
        tenant=fields["tenant"].text("tenant") if "tenant" in fields else TENANT,
        data_class=DataClass(fields["class"].one_of("class", DataClass)),
        personal=fields["about"].one_of("about", ["people", "nobody"]) == "people",
        special=frozenset(_words(fields, "special")),
        purposes=frozenset(_words(fields, "purposes")),
        consent=Consent(consent),
        legal_hold=_flag(fields, "legal-hold"),
    )
    return ClassState(label, _flag(fields, "retention-over"))


def _case(
    node: Node, now: datetime, sites: Mapping[str, Site], data: Mapping[str, ClassState]
) -> Case:
    fields = node.fields(
        "a case",
        ["case", "act", "data", "to", "answer", "rules"],
        ["from", "purpose", "role", "tenant", "plan", "loosens", "update", "emergency", "now"],
    )
    act = Act(fields["act"].one_of("act", Act))
    state = data[fields["data"].one_of("data", data)]
    now = _moment(fields["now"]) if "now" in fields else now
    role = fields["role"].one_of("role", Role) if "role" in fields else "app"
    purposes = sorted(state.label_class.purposes)
    question = Question(
        act=act,
        origin=_region(fields["from"]) if "from" in fields else state.label_class.home,
        destination=sites[fields["to"].one_of("site", sites)],
        requester=Requester(
            "case", fields["tenant"].text("tenant") if "tenant" in fields else TENANT, Role(role)
        ),
        purpose=fields["purpose"].text("purpose") if "purpose" in fields else purposes[0],
        state=state,
        plan=_plan(fields["plan"]) if "plan" in fields else Plan(),
        loosens=_flag(fields, "loosens"),
        update=_update(fields["update"]) if "update" in fields else None,
        break_glass=_emergency(fields["emergency"], now) if "emergency" in fields else None,
    )
    answers = [*Form, "refused"] if act.has_forms else ["yes", "refused"]
    return Case(
        file=node.file,
        line=node.line,
        name=fields["case"].text("case"),
        question=question,
        now=now,
        answer=fields["answer"].one_of("answer", answers),
        rules=_words(fields, "rules"),
    )


def _plan(node: Node) -> Plan:
    fields = node.fields("a plan", [], ["ttl-hours", "min-cohort", "epsilon"])
    return Plan(
        ttl_hours=_whole(fields["ttl-hours"]) if "ttl-hours" in fields else Plan().ttl_hours,
        min_cohort=_whole(fields["min-cohort"]) if "min-cohort" in fields else 0,
        epsilon=fields["epsilon"].text("epsilon") if "epsilon" in fields else Plan().epsilon,
    )


def _update(node: Node) -> Update:
    fields = node.fields("an update", ["masked", "people", "epsilon"])
    return Update(
        _flag(fields, "masked"), _whole(fields["people"]), fields["epsilon"].text("epsilon")
    )


def _emergency(node: Node, now: datetime) -> BreakGlass:
    fields = node.fields("an emergency", ["ticket", "approvers"])
    approvers = _words(fields, "approvers")
    if len(approvers) != 2:
        raise node.wrong("An emergency names two approvers.", "Write them as [anna, ben].")
    return BreakGlass(fields["ticket"].text("ticket"), *approvers, expires=now + timedelta(hours=1))


def _words(fields: Mapping[str, Node], name: str) -> tuple[str, ...]:
    return tuple(item.text(name) for item in fields[name].items(name)) if name in fields else ()


def _flag(fields: Mapping[str, Node], name: str) -> bool:
    return name in fields and _YES_NO[fields[name].one_of(f"answer to {name}", _YES_NO)]


def _region(node: Node) -> Region:
    try:
        return check_region(node.text("a region"))
    except InputError as error:
        raise node.wrong(error.what, error.do) from error


def _whole(node: Node) -> int:
    digits = node.text("a number")
    if not (digits.isascii() and digits.isdigit()):
        raise node.wrong(f"{digits!r} is no whole number.", 'Write it as "50".')
    return int(digits)


def _moment(node: Node) -> datetime:
    try:
        moment = datetime.fromisoformat(node.text("a moment"))
    except ValueError as error:
        raise node.wrong("This is no moment.", 'Write it as "2026-11-23T12:00:00Z".') from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
