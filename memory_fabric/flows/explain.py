"""Explain: put one question to policy without doing anything, and say the answer in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from memory_fabric.core.access import LADDER, Act, Decision, Requester, named
from memory_fabric.core.drafts import Draft
from memory_fabric.core.errors import InputError
from memory_fabric.core.labels import ClassState
from memory_fabric.core.places import Region
from memory_fabric.flows.node import Node
from memory_fabric.flows.remember import label_for
from memory_fabric.gate.gate import Ask

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
    """

    decision: Decision
    sentences: tuple[str, ...]
    label: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "allowed": self.decision.allowed,
            "form": str(self.decision.form) if self.decision.form else None,
            "plan": self.decision.plan.to_json() if self.decision.allowed else None,
            "rules": named(self.decision.rules),
            "label": dict(self.label),
            "sentences": list(self.sentences),
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
    try:
        asked = Act(act)
    except ValueError:
        raise InputError(
            "act-unknown", "There is no such act.", f"Use one of {', '.join(_ACTS)}."
        ) from None
    if asked not in _ACTS:
        raise InputError(
            "act-unknown", "That act is decided in a round.", f"Use {', '.join(_ACTS)}."
        )
    other = node.roster[site_id] if site_id else node.me
    origin, destination = (other, node.me) if asked is Act.TAKE_IN else (node.me, other)
    needs_purpose = asked not in (Act.ERASE, Act.RELABEL)
    checked = node.check_purpose(purpose, requester) if needs_purpose else ""
    draft = Draft.from_fields(
        {"memory": "-", "label": {"purposes": [checked] if checked else [], **label}}
    )
    state = _state(node, requester, draft, home)
    ask = Ask(asked, requester, checked, origin, destination)
    decision = node.gate.decide(ask, [state])[state]
    return Explained(decision, _sentences(asked, ask, decision, state), state.label_class.to_json())


def _state(node: Node, requester: Requester, draft: Draft, home: str | None) -> ClassState:
    """The class state a question is about; an undeclared class may be asked about too."""
    anybody = replace(draft, subjects=draft.subjects or ("-",))
    label = label_for(node, requester, anybody)
    if home:
        node.check_region(home)
        label = replace(label, home=Region(home))
    return label.state(node.clock.now())


def _sentences(act: Act, ask: Ask, decision: Decision, state: ClassState) -> tuple[str, ...]:
    where = f"{ask.destination.site_id} ({ask.destination.region})"
    verb = _ACTS[act].format(to=where, origin=f"{ask.origin.site_id} ({ask.origin.region})")
    purpose = f" for {ask.purpose}" if ask.purpose else ""
    what = f"memories of class '{state.label_class}' of {state.label_class.home}"
    question = f"May this site {verb} {what}{purpose}?"
    if not decision.allowed:
        answer = "No."
    elif decision.form:
        answer = f"Yes, {_FORMS[decision.form]}, for at most {decision.plan.ttl_hours} hours."
        if decision.form is not LADDER[0]:
            answer += " Not in any fuller form."
    else:
        answer = "Yes."
    reasons = [f"{rule.id}: {rule.title} ({rule.basis})." for rule in decision.rules]
    return (question, answer, *reasons)
