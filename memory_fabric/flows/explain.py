"""Explain: put one question to policy without doing anything, and say the answer in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from memory_fabric.core.access import LADDER, Act, Decision, Form, Near, Requester, named
from memory_fabric.core.drafts import Draft
from memory_fabric.core.errors import InputError
from memory_fabric.core.labels import ClassState, Consent
from memory_fabric.core.places import Region
from memory_fabric.flows.node import Node
from memory_fabric.flows.remember import label_for
from memory_fabric.gate.gate import Ask, Gate

_ACTS = {
    Act.RECALL: "answer a recall from {to} with",
    Act.QUERY: "send a query to {to} about",
    Act.EXPORT: "export to {to}",
    Act.TAKE_IN: "take in from {origin}",
    Act.TRAIN: "train on",
    Act.ERASE: "erase",
    Act.RELABEL: "change the label of",
}
_FORMS = {
    "full": "in full",
    "redacted": "with names and recognised identifiers masked",
    "vectors_only": "as vectors of the redacted text, without text",
    "noised_vectors": "as vectors with noise",
    "aggregate": "as statistics over many people",
}


@dataclass(frozen=True)
class Explained:
    """The answer to one question.

    Attributes:
        decision: as the gate would take it now.
        sentences: the same for people.
        label: the full label that the question was about.
        closest: where it is refused, the rules that came closest to permitting it.
    """

    decision: Decision
    sentences: tuple[str, ...]
    label: Mapping[str, Any]
    closest: tuple[Near, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "allowed": self.decision.allowed,
            "form": str(self.decision.form) if self.decision.form else None,
            "plan": self.decision.plan.to_json() if self.decision.allowed else None,
            "rules": named(self.decision.rules),
            "label": dict(self.label),
            "sentences": list(self.sentences),
            "closest": [{**near.to_json(), "sentence": _near(near)} for near in self.closest],
        }


def explain(
    node: Node,
    requester: Requester,
    act: str,
    purpose: str | None,
    site_id: str | None,
    label: Mapping[str, Any],
    home: str | None = None,
) -> Explained:
    """Decide without doing, for a label that need not be declared.

    Args:
        act: an ``Act``'s name.
        site_id: the other site; ``None`` for this one.
        label: the label's fields, with the tenant's defaults for what is left out.
        home: another home region than this site's.
    """
    asked = explained_act(act)
    other = node.roster[site_id] if site_id else node.me
    origin, destination = (other, node.me) if asked is Act.TAKE_IN else (node.me, other)
    needs_purpose = asked not in (Act.ERASE, Act.RELABEL)
    checked = node.check_purpose(purpose, requester) if needs_purpose else ""
    draft = Draft.from_fields(
        {"memory": "-", "label": {"purposes": [checked] if checked else [], **label}}
    )
    state = _state(node, requester, draft, home)
    return answer(node.gate, Ask(asked, requester, checked, origin, destination), state)


def explained_act(name: str) -> Act:
    """The act of this name, where it can be asked about.

    Raises:
        InputError: ``act-unknown``.
    """
    if name not in list(Act):
        raise InputError("act-unknown", "There is no such act.", f"Use one of {', '.join(_ACTS)}.")
    if name not in _ACTS:
        raise InputError(
            "act-unknown", "That act is decided in a round.", f"Use {', '.join(_ACTS)}."
        )
    return Act(name)


def answer(
    gate: Gate, ask: Ask, state: ClassState, asker: str = "this site", other: str = ""
) -> Explained:
    """The gate's answer to one question, with the rules that came closest where it is a no.

    Args:
        asker, other: both sites as the question names them; the other one by its name where left
            out.
    """
    decision = gate.decide(ask, [state])[state]
    closest = () if decision.allowed else tuple(gate.closest(ask, state))
    sentences = (
        _question(ask, state, asker, other),
        _answer(decision),
        *(f"{rule.id}: {rule.title} ({rule.basis})." for rule in decision.rules),
        *map(_near, closest),
    )
    return Explained(decision, sentences, state.label_class.to_json(), closest)


def _state(node: Node, requester: Requester, draft: Draft, home: str | None) -> ClassState:
    """The class state a question is about; an undeclared class may be asked about too."""
    anybody = replace(draft, subjects=draft.subjects or ("-",))
    label = label_for(node, requester, anybody)
    if home:
        node.check_region(home)
        label = replace(label, home=Region(home))
    return label.state(node.clock.now())


def _question(ask: Ask, state: ClassState, asker: str, other: str) -> str:
    to, origin = (
        other or f"{site.site_id} ({site.region})" for site in (ask.destination, ask.origin)
    )
    verb = _ACTS[ask.act].format(to=to, origin=origin)
    purpose = f", for {ask.purpose}," if ask.purpose else ""
    return f"May {asker}{purpose} {verb} {_described(state)}?"


def _described(state: ClassState) -> str:
    label = state.label_class
    about = "people" if label.personal else "nobody"
    kinds = f" ({', '.join(sorted(label.special))})" if label.special else ""
    told = [
        f"{label.data_class} data about {about}{kinds}",
        f"at home in {label.home}",
        f"kept for {' and '.join(sorted(label.purposes))}",
        "without consent" if label.consent is Consent.NONE else f"consent {label.consent}",
    ]
    told += ["under a legal hold"] * label.legal_hold
    told += ["past its retention period"] * state.retention_over
    return ", ".join(told)


def _answer(decision: Decision) -> str:
    if not decision.allowed:
        return "No."
    if not decision.form:
        return "Yes."
    plan = decision.plan
    told = f"Yes, {_FORMS[decision.form]}, for at most {plan.ttl_hours} hours."
    if decision.form is Form.AGGREGATE:
        told += f" At least {plan.min_cohort} people must stand behind each number."
    if decision.form is Form.NOISED_VECTORS:
        told += f" The noise must keep epsilon at {plan.epsilon} or below."
    return told if decision.form is LADDER[0] else f"{told} Not in any fuller form."


def _near(near: Near) -> str:
    form = f" {_FORMS[near.form]}" if near.form else ""
    if not near.missing:
        return f"{near.rule.id} would permit it{form}, but what refuses outweighs every permit."
    return f"{near.rule.id} came closest; it would permit it{form}, but {'; '.join(near.missing)}."
