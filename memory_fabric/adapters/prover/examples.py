"""A question found by z3, put to Cedar itself, and told: as a sentence, and as a case to paste."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.cedar.questions import WITHOUT_PURPOSE
from memory_fabric.adapters.iso3166 import region_name
from memory_fabric.core.access import LADDER, NOTHING_PERMITS, Form, Plan, Question, Verdict

_ACTS = {
    "query": "a query", "recall": "results of a recall", "export": "an export",
    "take_in": "taking in", "send_update": "a model update", "train": "training",
    "erase": "erasure", "relabel": "a changed label",
}  # fmt: skip


@dataclass(frozen=True)
class Example:
    """A concrete question, and what Cedar said to it."""

    question: Question
    now: datetime
    verdict: Verdict
    answer: str
    rules: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """Who would send what to whom, under which circumstances."""
        question = self.question
        label, site = question.state.label_class, question.destination
        what = _ACTS[question.act] + (f" in the form {question.form}" if question.form else "")
        about = "about people" if label.personal else "about nobody"
        parts = [f"{what}, {label.data_class} data {about}"]
        if label.special:
            parts.append(f"special: {', '.join(sorted(label.special))}")
        parts.append(f"home {region_name(label.home)}")
        if question.origin != label.home:
            parts.append(f"leaving {region_name(question.origin)}")
        parts.append(f"to a site in {region_name(site.region)}")
        if site.memberships:
            parts.append(f"a member of {', '.join(sorted(site.memberships))}")
        if site.instruments:
            assessed = "with" if site.transfer_risk_assessed else "without"
            signed = ", ".join(sorted(site.instruments))
            parts.append(f"which signed {signed}, {assessed} a risk assessment")
        if question.act not in WITHOUT_PURPOSE:
            parts.append(f"for {question.purpose}")
        parts += _circumstances(question)
        return f"{'; '.join(parts)}. Cedar: {'allowed' if self.verdict.allowed else 'refused'}."

    @property
    def case(self) -> str:
        """A whole case file with this question and the answer of the rules."""
        question, quoted = self.question, json.dumps
        label, site = question.state.label_class, question.destination
        data: dict[str, Any] = {
            "home": label.home, "class": label.data_class,
            "about": "people" if label.personal else "nobody", "purposes": label.purposes,
        }  # fmt: skip
        data |= _said({"special": label.special}) | {"consent": label.consent}
        data |= {"tenant": label.tenant} if label.tenant != "acme" else {}
        data |= _yes(
            {"legal-hold": label.legal_hold, "retention-over": question.state.retention_over}
        )
        to: dict[str, Any] = {"region": site.region}
        to |= _said(
            {"tenants": site.tenants, "instruments": set(site.instruments),
             "memberships": set(site.memberships)}
        )  # fmt: skip
        to |= _yes({"risk-assessed": site.transfer_risk_assessed})
        lines = [
            'about: "Found by a proof."', f"now: {quoted(self.now.isoformat())}",
            "sites:", f"  there: {_flow(to)}", "data:", f"  this: {_flow(data)}", "cases:",
            '  - case: "Say what this shows"', f"    act: {question.act}", "    data: this",
            "    to: there", f"    from: {quoted(question.origin)}",
            f"    purpose: {question.purpose}", f"    role: {question.requester.role}",
            f"    tenant: {quoted(question.requester.tenant)}",
        ]  # fmt: skip
        if question.act.has_forms:
            plan = question.plan
            numbers = {"ttl-hours": str(plan.ttl_hours), "min-cohort": str(plan.min_cohort)}
            lines.append(f"    plan: {_flow({**numbers, 'epsilon': plan.epsilon})}")
        if question.loosens:
            lines.append('    loosens: "yes"')
        if update := question.update:
            masked = "yes" if update.secure_aggregated else "no"
            facts = {"masked": masked, "people": str(update.cohort), "epsilon": update.epsilon}
            lines.append(f"    update: {_flow(facts)}")
        if glass := question.break_glass:
            who = [glass.approver1, glass.approver2]
            lines.append(f"    emergency: {_flow({'ticket': glass.ticket, 'approvers': who})}")
        lines += [f"    answer: {quoted(self.answer)}", f"    rules: {quoted(list(self.rules))}"]
        return "\n".join(lines) + "\n"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "sentence": self.sentence, "case": self.case, "allowed": self.verdict.allowed,
            "act": str(self.question.act),
            "form": str(self.question.form) if self.question.form else None,
            "home": str(self.question.state.label_class.home),
            "to": str(self.question.destination.region),
            "rules": [rule.to_json() for rule in self.verdict.rules],
        }  # fmt: skip


def replay(engine: CedarEngine, question: Question, now: datetime) -> Example:
    """The question, put to Cedar: in its own form, and in every form as a case asks it."""
    forms: Iterable[Form | None] = LADDER if question.act.has_forms else (None,)
    ladder = [replace(question, form=form) for form in forms]
    verdict, *verdicts = engine.decide([question, *ladder], now)
    refusing: set[str] = set()
    for asked, said in zip(ladder, verdicts, strict=True):
        ids = {rule.id for rule in said.rules}
        if said.allowed:
            return Example(question, now, verdict, str(asked.form or "yes"), tuple(sorted(ids)))
        refusing |= ids
    rules = tuple(sorted(refusing)) or (NOTHING_PERMITS.id,)
    return Example(question, now, verdict, "refused", rules)


def _circumstances(question: Question) -> list[str]:
    parts = []
    label = question.state.label_class
    if question.requester.tenant != label.tenant:
        parts.append("asked by another tenant")
    if label.consent != "none":
        parts.append(f"consent {label.consent}")
    if label.legal_hold:
        parts.append("under a legal hold")
    if question.state.retention_over:
        parts.append("retention over")
    if question.act.has_forms and question.plan != Plan():
        plan = question.plan
        parts.append(
            f"kept {plan.ttl_hours} hours, at least {plan.min_cohort} people, "
            f"epsilon {plan.epsilon}"
        )
    if update := question.update:
        masked = "masked" if update.secure_aggregated else "not masked"
        parts.append(f"{masked}, {update.cohort} people, epsilon {update.epsilon}")
    if question.act == "relabel":
        parts.append(f"{'looser' if question.loosens else 'tighter'}, by {question.requester.role}")
    if glass := question.break_glass:
        parts.append(
            f"in an emergency {glass.ticket!r}, approved by {glass.approver1!r} "
            f"and {glass.approver2!r}"
        )
    return parts


def _said(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if value}


def _yes(flags: dict[str, bool]) -> dict[str, str]:
    return {name: "yes" for name, on in flags.items() if on}


def _flow(entries: dict[str, Any]) -> str:
    """A mapping on one line, everything in quotes: it reads back as text."""

    def one(value: Any) -> str:
        if isinstance(value, str):
            return json.dumps(value, ensure_ascii=False)
        items = value if isinstance(value, list) else sorted(value)
        return f"[{', '.join(map(one, items))}]"

    return f"{{{', '.join(f'{name}: {one(value)}' for name, value in entries.items())}}}"
