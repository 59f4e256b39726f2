"""Recorded requests, put to policy again: under the rules of then, or under others.

A receipt keeps of every decision what policy saw, save what the newest ``terms`` receipt before it
spells out (roster, plans, label classes). No text of a memory or a query is needed, and none is
there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from memory_fabric.core.access import (
    BUILDABLE,
    Act,
    BreakGlass,
    Form,
    Plan,
    Requester,
    Role,
    Update,
)
from memory_fabric.core.emergency import Emergency, Statement
from memory_fabric.core.labels import ClassState, LabelClass
from memory_fabric.core.ledger_ports import Ledger
from memory_fabric.core.places import Roster, Site
from memory_fabric.core.ports import PolicyEngine
from memory_fabric.core.receipt_search import Wanted
from memory_fabric.flows.terms import TERMS
from memory_fabric.gate.decisions import Decisions
from memory_fabric.gate.gate import Ask, Gate, Rulebook
from memory_fabric.gate.permits import Mint

_PAGE = 500
Bundles = Callable[[str], PolicyEngine | None]
"""The rules of a bundle by its digest, or ``None`` where the site does not keep them."""
Told = Callable[[int, int], None]
"""Told of progress: receipts done, and of how many."""


@dataclass(frozen=True)
class Terms:
    """What a ``terms`` receipt spells out for those that follow it.

    Attributes:
        index: of that receipt.
        bundle: digest of the rules.
        crossing: whether they were in force for what crosses.
        rules_end: until when, where that was said.
        roster, plans, forms: as they stood.
        classes: the declared ones, by their key.
    """

    index: int
    bundle: str
    crossing: bool
    rules_end: datetime | None
    roster: Roster
    plans: Mapping[Form, Plan]
    forms: frozenset[Form]
    classes: Mapping[str, LabelClass]

    @classmethod
    def from_receipt(cls, receipt: Mapping[str, Any]) -> Terms:
        """From the receipt as JSON."""
        told = receipt["request"]
        classes = [LabelClass.from_json(item) for item in told["classes"]]
        return cls(
            index=receipt["index"],
            bundle=told["bundle"],
            crossing=told["crossing"],
            rules_end=datetime.fromisoformat(end) if (end := told.get("rules_end")) else None,
            roster=Roster.from_json(told["roster"]),
            plans={Form(name): Plan(**numbers) for name, numbers in told["plans"].items()},
            forms=frozenset(Form(name) for name in told.get("forms", BUILDABLE)),
            classes={item.key: item for item in classes},
        )


@dataclass(frozen=True)
class Recorded:
    """One recorded answer, and all that policy saw of its question.

    Attributes:
        receipt: id of the receipt.
        index: its place in the log.
        bundle: digest of the rules that answered.
        ask: the question, without its classes.
        states: the class states that share the answer.
        now: by when it was asked.
        answer: as the receipt keeps it: ``allowed``, ``form``, ``plan``, ``rules``.
        terms: in force at the time.
        glass: the emergency within which it was asked.
    """

    receipt: str
    index: int
    bundle: str
    ask: Ask
    states: tuple[ClassState, ...]
    now: datetime
    answer: Mapping[str, Any]
    terms: Terms
    glass: BreakGlass | None = None


class Record:
    """The requests in a log, with the terms that each was decided under."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    @cached_property
    def _terms(self) -> list[Terms]:
        found = _newest_first(self._ledger, Wanted(act=TERMS), None)
        return [Terms.from_receipt(receipt) for receipt in found][::-1]

    def receipts(self, last: int | None, act: str | None = None) -> list[Mapping[str, Any]]:
        """The newest ``last`` receipts of decisions, all of them where it is ``None``; oldest
        first.
        """
        found: list[Mapping[str, Any]] = []
        for receipt in _newest_first(self._ledger, Wanted(act=act), last if act else None):
            if receipt["decisions"]:
                found.append(receipt)
            if last is not None and len(found) >= last:
                break
        return found[::-1]

    def requests(self, receipt: Mapping[str, Any]) -> Iterator[Recorded]:
        """What was asked of policy for a receipt."""
        place = bisect_left([terms.index for terms in self._terms], receipt["index"])
        if not place:
            return
        terms = self._terms[place - 1]
        me = terms.roster[receipt["site"]]
        for told in receipt["decisions"]:
            classes = [terms.classes[key] for key in told["classes"]]
            classes += [LabelClass.from_json(item) for item in told["undeclared"]]
            yield Recorded(
                receipt=receipt["id"],
                index=receipt["index"],
                bundle=receipt["bundle"],
                ask=_ask(receipt, told, terms.roster, me),
                states=tuple(ClassState(item, told["retention_over"]) for item in classes),
                now=datetime.fromisoformat(told.get("as_of", receipt["at"])),
                answer={name: told[name] for name in ("allowed", "form", "plan", "rules")},
                terms=terms,
                glass=BreakGlass.from_json(glass) if (glass := told.get("break_glass")) else None,
            )


def _ask(receipt: Mapping[str, Any], told: Mapping[str, Any], roster: Roster, me: Site) -> Ask:
    """The question of one recorded decision. What older versions did not write follows from the
    receipt's own request.
    """
    request = receipt["request"]
    who = request["requester"]
    act = Act(told.get("act", receipt["act"]))
    other = roster[told.get("site") or _other_site(request, act, me)]
    origin, destination = (other, me) if act is Act.TAKE_IN else (me, other)
    update = None
    if act is Act.SEND_UPDATE:
        facts = told.get("update", {"cohort": int(told.get("cohort", 0))})
        update = Update(**{"secure_aggregated": False, "epsilon": "0.0", **facts})
    return Ask(
        act,
        Requester("", who["tenant"], Role(who["role"])),
        request.get("purpose", ""),
        origin,
        destination,
        loosens=told.get("loosens", act is Act.RELABEL and request.get("loosens", False)),
        update=update,
    )


def _other_site(request: Mapping[str, Any], act: Act, me: Site) -> str:
    crossing = act in (Act.TAKE_IN, Act.SEND_UPDATE)
    named = [request.get("origin"), request.get("destination")] if crossing else []
    return next((str(site) for site in named if site and site != me.site_id), me.site_id)


def _newest_first(ledger: Ledger, wanted: Wanted, limit: int | None) -> Iterator[Mapping[str, Any]]:
    before: int | None = None
    while page := ledger.receipts(before, min(_PAGE, limit or _PAGE), wanted):
        yield from page
        before = page[-1]["index"]


class Replay:
    """Puts recorded requests to one bundle's rules, each as of its own time.

    Equal questions are asked once for as long as time alone cannot change the answer: of ten
    thousand recalls only a handful reaches the rules. Ask in the order of the log.

    Args:
        engine: the rules.
        always: they answer what crosses even where, at the time, nothing crossed.
    """

    def __init__(self, engine: PolicyEngine, *, always: bool = False) -> None:
        self._engine = engine
        self._always = always
        self._gates: dict[tuple[int, bool], tuple[Gate, _Then]] = {}

    def answer(self, recorded: Recorded) -> Decisions:
        """What these rules answer, by class state."""
        terms = recorded.terms
        crossing = self._always or terms.crossing
        key = terms.index, crossing
        if key not in self._gates:
            then = _Then(recorded.now)
            ends = None if self._always else terms.rules_end
            book = Rulebook(self._engine, self._engine if crossing else None, expires=ends)
            gate = Gate(book, terms.roster, terms.plans, terms.forms, then, Mint())
            self._gates[key] = gate, then
        gate, then = self._gates[key]
        then.moment = recorded.now
        gate.emergencies = _emergencies(recorded)
        return gate.decide(recorded.ask, recorded.states)


def _emergencies(recorded: Recorded) -> tuple[Emergency, ...]:
    glass, ask = recorded.glass, recorded.ask
    if glass is None:
        return ()
    said = Statement(ask.origin.site_id, glass.ticket, ask.purpose, None, glass.expires)
    return (Emergency(said, (glass.approver1, glass.approver2)),)


class _Then:
    """A clock that stands where it is put (``core.ports.Clock``)."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


@dataclass(frozen=True)
class Replayed:
    """What asking again gave.

    Attributes:
        receipts: that hold decisions.
        answers: class states that were asked about.
        different: recorded answers that the recorded rules do not give.
        unknown: receipts whose bundle the site does not keep, by its digest.
    """

    receipts: int
    answers: int
    different: Sequence[tuple[Recorded, ClassState, Mapping[str, Any]]]
    unknown: Mapping[str, int]


def replay(ledger: Ledger, bundles: Bundles, last: int | None, told: Told | None) -> Replayed:
    """Put recorded requests to the rules that answered them.

    Args:
        bundles: the rules by digest.
        last: only the newest so many receipts.
        told: of progress.
    """
    record = Record(ledger)
    receipts = record.receipts(last)
    engines: dict[str, Replay | None] = {}
    different: list[tuple[Recorded, ClassState, Mapping[str, Any]]] = []
    unknown: dict[str, int] = {}
    answers = 0
    for number, receipt in enumerate(receipts, 1):
        bundle = receipt["bundle"]
        if bundle not in engines:
            engine = bundles(bundle)
            engines[bundle] = Replay(engine) if engine else None
        again = engines[bundle]
        if again is None:
            unknown[bundle] = unknown.get(bundle, 0) + 1
            continue
        for recorded in record.requests(receipt):
            for state, decision in again.answer(recorded).items():
                answers += 1
                now = decision.to_json()
                if now != recorded.answer:
                    different.append((recorded, state, now))
        if told:
            told(number, len(receipts))
    return Replayed(len(receipts), answers, different, unknown)
