"""The gate: turns a request into decisions, and decisions into permits. Nothing else decides.

It asks policy rung by rung, from the most to the least permissive form, and grants the first one
that policy allows and the site can produce. Everything that is not an explicit, error-free allow
is a denial that names its rules.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from memory_fabric.core.access import (
    BUNDLE_UNUSABLE,
    FORM_NOT_AVAILABLE,
    LADDER,
    NOTHING_PERMITS,
    RULES_EXPIRED,
    UNDECIDABLE,
    Act,
    BreakGlass,
    Decision,
    Form,
    Near,
    Plan,
    Plans,
    Question,
    Requester,
    Rule,
    Update,
    Verdict,
)
from memory_fabric.core.emergency import Emergency
from memory_fabric.core.errors import Denied
from memory_fabric.core.labels import ClassState
from memory_fabric.core.mandate import Mandate
from memory_fabric.core.places import Region, Roster, Site
from memory_fabric.core.ports import Clock, PolicyEngine
from memory_fabric.gate.decisions import Decisions
from memory_fabric.gate.permits import Mint, Permit

_CACHE_LIMIT = 200_000
"""Cached decisions at most, and as many again in whole sets; beyond it each starts over."""

_Key = tuple[Hashable, ...]


@dataclass(frozen=True)
class Rulebook:
    """The rules in force.

    Attributes:
        home: the last bundle that validated; it governs what stays at the site.
        crossing: the same, or ``None`` while the installed bundle is invalid: nothing crosses.
        problem: why nothing crosses, for people.
        mandate: by whose authority; ``None`` where nobody has to give it, or nobody's is believed.
        expires: from then on nothing crosses either.
    """

    home: PolicyEngine
    crossing: PolicyEngine | None
    problem: str = ""
    mandate: Mandate | None = None
    expires: datetime | None = None

    @property
    def digest(self) -> str:
        """Name of the bundle in receipts."""
        return self.home.digest

    def closed(self, now: datetime) -> Rule | None:
        """The rule by which nothing crosses at all, where that is so."""
        if self.crossing is None:
            return BUNDLE_UNUSABLE
        return RULES_EXPIRED if self.expires and self.expires <= now else None


@dataclass(frozen=True)
class Ask:
    """A request as the gate takes it: a question without its class, form and plan.

    ``origin`` is the site where the data lies, ``destination`` the one that receives it; for
    ``take_in`` the destination is this site.
    """

    act: Act
    requester: Requester
    purpose: str
    origin: Site
    destination: Site
    loosens: bool = False
    update: Update | None = None

    @property
    def crosses(self) -> bool:
        """Whether anything leaves or enters the site."""
        return self.origin.site_id != self.destination.site_id

    def to_json(self) -> dict[str, Any]:
        """What receipts keep of it, beside requester and purpose: the act, the other site (this one
        where nothing crosses), and what policy sees of a change of label or an update.
        """
        there = self.origin if self.act is Act.TAKE_IN else self.destination
        told: dict[str, Any] = {"act": str(self.act), "site": there.site_id}
        if self.loosens:
            told["loosens"] = True
        if self.update:
            told["update"] = asdict(self.update)
        return told

    def question(
        self, state: ClassState, form: Form | None, plan: Plan, glass: BreakGlass | None = None
    ) -> Question:
        """The question about one class state, in one form."""
        return Question(
            act=self.act,
            origin=Region(self.origin.region),
            destination=self.destination,
            # Rules see tenant and role; a cached answer must not depend on anything else.
            requester=Requester("", self.requester.tenant, self.requester.role),
            purpose=self.purpose,
            state=state,
            form=form,
            plan=plan,
            loosens=self.loosens,
            update=self.update,
            break_glass=glass,
        )


class Gate:
    """Decides and strikes permits.

    Args:
        rulebook: the rules in force.
        roster: the sites known; its digest is part of every cached decision's key.
        plans: the configured plan of each form.
        available: forms that this site can produce.
        clock: the time.
        mint: strikes the permits; the vault redeems at the same one.

    Attributes:
        emergencies: those that two officers opened here. What crosses within one's purpose and
            destination is asked with it, until it ends; what it changes is up to the rules.
    """

    def __init__(
        self,
        rulebook: Rulebook,
        roster: Roster,
        plans: Plans,
        available: frozenset[Form],
        clock: Clock,
        mint: Mint,
    ) -> None:
        self.rulebook = rulebook
        self.roster = roster
        self.emergencies: tuple[Emergency, ...] = ()
        self.plans = plans
        self.available = available
        self._clock = clock
        self._mint = mint
        self._plans_key = tuple((form, plans[form]) for form in LADDER)
        self._cache: dict[tuple[_Key, ClassState], tuple[datetime, Decision]] = {}
        self._sets: dict[tuple[_Key, frozenset[ClassState]], tuple[datetime, Decisions]] = {}
        self._in_sets = 0
        self._lock = threading.Lock()

    def decide(self, ask: Ask, states: Iterable[ClassState]) -> Decisions:
        """The decision for each class state: the most permissive form that may be released.

        A set that was decided on before is looked up whole, at once where it is the same object.
        """
        rules, now = self.rulebook, self._clock.now()
        engine = rules.crossing if ask.crosses else rules.home
        wanted = frozenset(states)
        closed = rules.closed(now) if ask.crosses else None
        if closed or engine is None:
            return Decisions(dict.fromkeys(wanted, _denied(closed or BUNDLE_UNUSABLE)), now)
        glass = self._glass(ask, now)
        common = self._key(engine, ask, glass)
        held = self._sets.get((common, wanted))
        if held and _still_true(held[0], held[1].changes_at, now):
            return held[1]
        decisions = self._decided(engine, ask, glass, common, wanted, now)
        with self._lock:
            self._in_sets += len(wanted)
            if self._in_sets > _CACHE_LIMIT:
                self._sets.clear()
                self._in_sets = len(wanted)
            self._sets[common, wanted] = (now, decisions)
        return decisions

    def _decided(
        self,
        engine: PolicyEngine,
        ask: Ask,
        glass: BreakGlass | None,
        common: _Key,
        states: frozenset[ClassState],
        now: datetime,
    ) -> Decisions:
        """Each state's decision, cached or asked for now; always in the same order."""
        decisions: dict[ClassState, Decision] = {}
        since: list[datetime] = []
        missing: list[ClassState] = []
        ordered = sorted(states, key=lambda state: (state.label_class.key, state.retention_over))
        for state in ordered:
            cached = self._cache.get((common, state))
            if cached and _still_true(cached[0], cached[1].changes_at, now):
                since.append(cached[0])
                decisions[state] = cached[1]
            else:
                missing.append(state)
        if missing:
            ends = [
                self.rulebook.expires if ask.crosses else None,
                glass.expires if glass else None,
                engine.changes_at(now),
                ask.destination.changes_at(now),
                ask.origin.changes_at(now),
            ]
            changes_at = min((end for end in ends if end), default=None)
            fresh = self._ladder(engine, ask, glass, missing, now)
            with self._lock:
                if len(self._cache) + len(fresh) > _CACHE_LIMIT:
                    self._cache.clear()
                for state, decision in fresh.items():
                    decisions[state] = replace(decision, changes_at=changes_at)
                    self._cache[common, state] = (now, decisions[state])
        asked = now if missing else max(since, default=now)
        return Decisions({state: decisions[state] for state in ordered}, asked, glass)

    def closest(self, ask: Ask, state: ClassState) -> list[Near]:
        """The rules that came closest to permitting what was refused, in a form that this site can
        produce. For people: it decides nothing.
        """
        rules, now = self.rulebook, self._clock.now()
        engine = rules.crossing if ask.crosses else rules.home
        if ask.crosses and rules.closed(now):
            return []
        rungs = [form for form in LADDER if form in self.available] if ask.act.has_forms else [None]
        questions = [
            ask.question(state, form, self.plans[form] if form else Plan(), self._glass(ask, now))
            for form in rungs
        ]
        return engine.closest(questions, now) if engine else []

    def permit(self, ask: Ask, decisions: Decisions, subject: str | None) -> Permit:
        """A permit over the allowed ones among the decisions; it may cover none of them."""
        return self._mint.strike(
            act=ask.act,
            origin=ask.origin.site_id,
            tenant=ask.requester.tenant,
            purpose=ask.purpose,
            subject=subject,
            destination=ask.destination.site_id,
            grants=decisions,
            now=self._clock.now(),
        )

    def _glass(self, ask: Ask, now: datetime) -> BreakGlass | None:
        """The emergency within which is asked, where rules can see one; of several the one that
        lasts longest.
        """
        if not (ask.crosses and ask.act.has_forms):
            return None
        there = ask.destination.site_id
        open_now = [one for one in self.emergencies if one.covers(ask.purpose, there, now)]
        latest = max(
            open_now, key=lambda one: (one.statement.expires, one.statement.ticket), default=None
        )
        return latest.glass if latest else None

    def _key(self, engine: PolicyEngine, ask: Ask, glass: BreakGlass | None) -> _Key:
        """Everything a decision depends on save class and clock; the roster holds the sites'
        attributes, so that its digest stands for them.
        """
        return (
            engine.digest, self.roster.digest, ask.act, ask.requester.tenant, ask.requester.role,
            ask.purpose, ask.origin.site_id, ask.destination.site_id, ask.loosens, ask.update,
            self._plans_key, glass,
        )  # fmt: skip

    def _ladder(
        self,
        engine: PolicyEngine,
        ask: Ask,
        glass: BreakGlass | None,
        states: list[ClassState],
        now: datetime,
    ) -> dict[ClassState, Decision]:
        """Ask rung by rung; a class leaves the ladder once granted or undecidable."""
        rungs: tuple[Form | None, ...] = LADDER if ask.act.has_forms else (None,)
        climbing = dict.fromkeys(states)
        refusing: dict[ClassState, list[Rule]] = {state: [] for state in states}
        unavailable: dict[ClassState, list[Rule]] = {state: [] for state in states}
        decided: dict[ClassState, Decision] = {}
        for form in rungs:
            plan = self.plans[form] if form else Plan()
            questions = [ask.question(state, form, plan, glass) for state in climbing]
            verdicts = engine.decide(questions, now)
            for state, verdict in zip(list(climbing), verdicts, strict=True):
                if not _clean(verdict):
                    decided[state] = _denied(UNDECIDABLE)
                elif not verdict.allowed:
                    refusing[state] += verdict.rules
                    continue
                elif form is not None and form not in self.available:
                    unavailable[state] = [FORM_NOT_AVAILABLE]
                    continue
                else:
                    decided[state] = Decision(True, form, plan, verdict.rules)
                del climbing[state]
        for state in climbing:
            reasons = [*refusing[state], *unavailable[state]] or [NOTHING_PERMITS]
            decided[state] = _denied(*reasons)
        return decided


def _denied(*rules: Rule) -> Decision:
    return Decision(False, None, Plan(), tuple(dict.fromkeys(rules)))


def _clean(verdict: Verdict) -> bool:
    """An allow counts only with a rule to name, and nothing counts after an evaluation error."""
    return not verdict.errors and (bool(verdict.rules) or not verdict.allowed)


def _still_true(since: datetime, changes_at: datetime | None, now: datetime) -> bool:
    return since <= now and (changes_at is None or now < changes_at)


def denied(what: str, decisions: Decisions, receipt: str) -> Denied:
    """The error for a request that policy refused wholly."""
    return Denied.by_rules(what, [rule.to_json() for rule in decisions.refusing], receipt)
