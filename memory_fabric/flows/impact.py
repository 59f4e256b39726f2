"""What a candidate bundle would change here: for this site's own classes, and for what was asked.

Decisions are compared, not what was found: a receipt does not say whether anything lay in a class
that it speaks of, so a recall that "would have been refused" may have found nothing anyway.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from memory_fabric.core.access import LADDER, Act, Requester, Role
from memory_fabric.core.labels import ClassState, LabelClass
from memory_fabric.core.ports import PolicyEngine
from memory_fabric.flows.node import Node
from memory_fabric.flows.replay import Record, Replay
from memory_fabric.gate.gate import Ask, Gate, Rulebook
from memory_fabric.gate.permits import Mint

EXAMPLES = 20
"""Receipts named for one change at most."""
LAST = 10_000
"""Receipts looked at unless more or fewer are asked for."""
_ASKED = (Act.RECALL, Act.QUERY, Act.TAKE_IN, Act.EXPORT)
Told = Callable[[str, int, int], None]
"""Told of progress: which part, done, and of how many."""
_Answer = Mapping[str, Any]


@dataclass
class Change:
    """One label class that a candidate answers otherwise.

    Attributes:
        effect: ``refused`` (nothing any more), ``narrowed`` (a lesser form), ``widened`` (a fuller
            form), ``let_out`` (refused before), ``plan`` (the same form with other numbers).
        act, site: what was asked, and the other site (this one where nothing crosses).
        purpose: what for.
        label_class: the class; ``retention_over`` whether its retention was.
        before, after: form (``None`` for a refusal or an act without forms), plan and rules.
        receipts: how many recorded requests it concerns; 0 for a declared class.
        examples: ids of the newest of them.
    """

    effect: str
    act: str
    site: str
    purpose: str
    label_class: LabelClass
    retention_over: bool
    before: _Answer
    after: _Answer
    receipts: int = 0
    examples: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "effect": self.effect,
            "act": self.act,
            "site": self.site,
            "purpose": self.purpose,
            "class": {**self.label_class.to_json(), "text": str(self.label_class)},
            "retention_over": self.retention_over,
            "before": dict(self.before),
            "after": dict(self.after),
            "receipts": self.receipts,
            "examples": self.examples,
        }


@dataclass(frozen=True)
class Recent:
    """What a candidate would have changed about recorded requests, by whole receipts.

    Attributes:
        receipts: looked at.
        refused: allowed in something, and under the candidate in nothing.
        restricted: allowed in less: a class refused or a lesser form, but not all.
        let_out: refused wholly, and under the candidate allowed in something.
        widened: allowed in more: a further class, or a fuller form.
        examples: ids of receipts by these words, the newest of each.
        changes: by class.
    """

    receipts: int
    refused: int
    restricted: int
    let_out: int
    widened: int
    examples: Mapping[str, list[str]]
    changes: list[Change]


@dataclass(frozen=True)
class Impact:
    """What a candidate bundle would change at one site.

    Attributes:
        before, after: digests of the bundle in force and of the candidate.
        asked: questions about declared classes, each act and site that they could go to.
        declared: the declared classes that the candidate answers otherwise, as of now.
        recent: the same for recorded requests.
    """

    before: str
    after: str
    asked: int
    declared: list[Change]
    recent: Recent

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        recent = self.recent
        return {
            "before": self.before,
            "after": self.after,
            "sentences": self.sentences(),
            "declared": {
                "asked": self.asked,
                "changes": [change.to_json() for change in self.declared],
            },
            "recent": {
                "receipts": recent.receipts,
                "refused": recent.refused,
                "restricted": recent.restricted,
                "let_out": recent.let_out,
                "widened": recent.widened,
                "examples": dict(recent.examples),
                "changes": [change.to_json() for change in recent.changes],
                "rules": rules_of(recent.changes),
            },
        }

    def sentences(self) -> list[str]:
        """The same for people."""
        recent = self.recent
        of_last = f"of the last {recent.receipts:,} recorded requests"
        said = []
        for count, what in (
            (recent.refused, "would have refused"),
            (recent.restricted, "would have released less for"),
            (recent.let_out, "would have let out"),
            (recent.widened, "would have released more for"),
        ):
            that = ", which were refused" if what.endswith("let out") else ""
            if count:
                said.append(f"The candidate {what} {count:,} {of_last}{that}.")
        if not said:
            said.append(f"The candidate answers all {of_last.removeprefix('of ')} alike.")
        about = f"{self.asked:,} questions about this site's declared classes"
        changed = len(self.declared)
        said.append(
            f"Of {about} it answers {changed:,} otherwise."
            if changed
            else f"It answers all {about} alike."
        )
        return said


def rules_of(changes: Iterable[Change]) -> list[dict[str, Any]]:
    """How many requests changed by which rule: for what is refused the rule that now refuses, else
    the one that now allows.
    """
    counts: dict[tuple[str, str], int] = {}
    for change in changes:
        for rule in change.after["rules"]:
            key = rule, change.effect
            counts[key] = counts.get(key, 0) + change.receipts
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [
        {"rule": rule, "effect": effect, "requests": count} for (rule, effect), count in ordered
    ]


def impact(
    node: Node, candidate: PolicyEngine, last: int = LAST, told: Told | None = None
) -> Impact:
    """Put this site's declared classes and its newest recorded requests to a candidate's rules.

    Args:
        candidate: its rules, validated.
        last: so many receipts that hold decisions.
        told: of progress.
    """
    asked, declared = _declared(node, candidate, told)
    return Impact(
        node.gate.rulebook.digest, candidate.digest, asked, declared,
        _recent(node, candidate, last, told),
    )  # fmt: skip


def _declared(node: Node, candidate: PolicyEngine, told: Told | None) -> tuple[int, list[Change]]:
    """Each declared class, for each of its purposes, to and from each site of its tenant."""
    book = Rulebook(candidate, candidate)
    other = Gate(book, node.roster, node.gate.plans, node.gate.available, node.clock, Mint())
    questions = [
        (Ask(act, Requester("", tenant, Role.APP), purpose, *ends), states)
        for tenant in sorted(node.settings.tenants)
        for purpose in node.purposes
        if (states := node.settings.states(tenant, purpose))
        for site in node.roster
        if tenant in site.tenants
        for act in _ASKED
        if act is Act.RECALL or site.site_id != node.me.site_id
        for ends in [(site, node.me) if act is Act.TAKE_IN else (node.me, site)]
    ]
    found: list[Change] = []
    for number, (ask, states) in enumerate(questions, 1):
        before, after = node.gate.decide(ask, states), other.decide(ask, states)
        for state, decision in before.items():
            answers = decision.to_json(), after[state].to_json()
            if effect := _effect(*answers):
                found.append(_change(effect, ask, state, *answers))
        if told:
            told("declared classes", number, len(questions))
    return sum(len(states) for _, states in questions), found


def _recent(node: Node, candidate: PolicyEngine, last: int, told: Told | None) -> Recent:
    record = Record(node.ledger)
    replay = Replay(candidate, always=True)
    receipts = record.receipts(last)
    ids: dict[str, list[str]] = {
        name: [] for name in ("refused", "restricted", "let_out", "widened")
    }
    changes: dict[tuple[object, ...], Change] = {}
    for number, receipt in enumerate(receipts, 1):
        effects: set[str] = set()
        allowed_before = allowed_after = False
        for recorded in record.requests(receipt):
            allowed_before = allowed_before or recorded.answer["allowed"]
            for state, decision in replay.answer(recorded).items():
                allowed_after = allowed_after or decision.allowed
                answer = decision.to_json()
                effect = _effect(recorded.answer, answer)
                if effect is None:
                    continue
                effects.add(effect)
                change = _change(effect, recorded.ask, state, recorded.answer, answer)
                key = (
                    effect,
                    change.act,
                    change.site,
                    change.purpose,
                    state,
                    *change.after["rules"],
                )
                change = changes.setdefault(key, change)
                if change.examples[-1:] != [receipt["id"]]:
                    change.receipts += 1
                    change.examples = [*change.examples, receipt["id"]][-EXAMPLES:]
        if name := _whole(effects, allowed_before, allowed_after):
            ids[name].append(receipt["id"])
        if told:
            told("recorded requests", number, len(receipts))
    ordered = sorted(changes.values(), key=lambda change: -change.receipts)
    return Recent(
        len(receipts),
        **{name: len(found) for name, found in ids.items()},
        examples={name: found[-EXAMPLES:] for name, found in ids.items()},
        changes=ordered,
    )


def _whole(effects: set[str], before: bool, after: bool) -> str | None:
    """What became of one receipt, in one word."""
    if before and not after:
        return "refused"
    if after and not before:
        return "let_out"
    if effects & {"refused", "narrowed"}:
        return "restricted"
    return "widened" if effects & {"let_out", "widened"} else None


def _effect(before: _Answer, after: _Answer) -> str | None:
    if before["allowed"] != after["allowed"]:
        return "let_out" if after["allowed"] else "refused"
    if before["form"] != after["form"]:
        order = [str(form) for form in LADDER]
        wider = order.index(after["form"]) < order.index(before["form"])
        return "widened" if wider else "narrowed"
    return "plan" if before["plan"] != after["plan"] else None


def _change(effect: str, ask: Ask, state: ClassState, before: _Answer, after: _Answer) -> Change:
    told = ask.to_json()
    return Change(
        effect, told["act"], told["site"], ask.purpose, state.label_class, state.retention_over,
        before, after,
    )  # fmt: skip
