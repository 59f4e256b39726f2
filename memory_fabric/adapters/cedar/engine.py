"""The policy engine on Cedar. It fails closed: only an allow without any error is a yes.

Cedar skips a rule that errors, so that a failing ``forbid`` would let data out; and a missing
entity is no error where a rule only asks what it belongs to. Hence three walls: a bundle with
findings never becomes an engine, a question with an unknown word never reaches Cedar, and an
answer with any error in it is a denial.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Hashable, Sequence
from datetime import datetime, timedelta
from functools import cached_property

from cedarpy import AuthzResult, Decision, Entities, PolicySet, is_authorized_batch

from memory_fabric.adapters.cedar.bundle import Bundle
from memory_fabric.adapters.cedar.closest import Permits
from memory_fabric.adapters.cedar.findings import invalid
from memory_fabric.adapters.cedar.lint import examine
from memory_fabric.adapters.cedar.policy import Policy
from memory_fabric.adapters.cedar.questions import (
    Json,
    action_of,
    class_entity,
    context_of,
    kind_of,
    region_entity,
    site_entity,
    uid,
    unknown_words,
)
from memory_fabric.adapters.cedar.rules import permit_of
from memory_fabric.core.access import Near, Question, Rule, Verdict

_CLOCK_STEP = timedelta(seconds=60)
"""How long an answer may stand where a rule uses the clock in a way that cannot be foreseen."""
_ENTITY_LIMIT = 10_000
"""Entities kept between questions at most; beyond it the world is built anew."""
_POLICY_NAME = re.compile(r"`policy(\d+)`")


class CedarEngine:
    """One validated policy bundle, ready to answer (``core.ports.PolicyEngine``).

    Safe to share between threads. About 0.2 ms a question with 60 rules, asked in batches.

    Raises:
        PolicyInvalid: the bundle has findings; ``details['findings']`` lists them.
    """

    def __init__(self, bundle: Bundle) -> None:
        policy, findings = examine(bundle)
        if policy is None:
            raise invalid(findings)
        self._policy = policy
        self._rules = tuple(parsed.rule for parsed in policy.rules)
        self._world: World | None = None
        self._lock = threading.Lock()

    @property
    def policy(self) -> Policy:
        """The bundle made ready."""
        return self._policy

    @property
    def digest(self) -> str:
        """SHA-256 over the whole bundle, hexadecimal."""
        return self._policy.digest

    @property
    def purposes(self) -> tuple[str, ...]:
        """The closed vocabulary of purposes, in the schema's order."""
        return self._policy.words.purposes

    @property
    def specials(self) -> tuple[str, ...]:
        """The closed vocabulary of special categories, in the schema's order."""
        return self._policy.words.specials

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Every rule of the bundle, in the order of its packs."""
        return self._rules

    def changes_at(self, now: datetime) -> datetime | None:
        """The next moment at which time alone could change a verdict of this bundle.

        What ends with a site (its instruments and memberships) is told by
        ``Site.changes_at``, and a break-glass by its ``expires``.
        """
        moments = {*self._policy.register.moments(), *self._policy.clock.moments}
        if self._policy.clock.freely:
            moments.add(now + _CLOCK_STEP)
        return min((moment for moment in moments if now < moment), default=None)

    def decide(self, questions: Sequence[Question], now: datetime) -> list[Verdict]:
        """A verdict for each question, in order. Never raises on a question: errors deny."""
        verdicts: dict[int, Verdict] = {}
        askable: list[int] = []
        for index, question in enumerate(questions):
            if problems := self._problems(question, now):
                verdicts[index] = Verdict(False, (), problems)
            else:
                askable.append(index)
        if askable:
            answers = self._ask([questions[index] for index in askable], now)
            verdicts |= zip(askable, answers, strict=True)
        return [verdicts[index] for index in range(len(questions))]

    def _problems(self, question: Question, now: datetime) -> tuple[str, ...]:
        try:
            return tuple(unknown_words(question, self._policy.words, self._policy.register, now))
        except (ValueError, TypeError, AttributeError) as error:
            return (f"the question cannot be read: {type(error).__name__}",)

    def closest(self, questions: Sequence[Question], now: datetime) -> list[Near]:
        """Of one question in several forms: the rules that came closest to permitting it. Empty
        where it cannot be put.
        """
        askable = [question for question in questions if not self._problems(question, now)]
        if not askable:
            return []
        try:
            results = self._put(askable, now, self._permits.policy_set)
        except (ValueError, TypeError, AttributeError):
            return []
        register, region = self._policy.register, askable[0].destination.region
        joinable = frozenset(
            bloc for bloc in register.blocs if register.may_join(bloc, region, now)
        )
        return self._permits.closest([question.form for question in askable], results, joinable)

    def in_play(self, questions: Sequence[Question], now: datetime) -> list[frozenset[str]]:
        """For each question, the ids of the rules that are about its act and its data, whether
        their conditions hold or not. For reports, never for a decision.
        """
        results = self._put(list(questions), now, self._scopes)
        return [
            frozenset(
                self._rules[int(name.removeprefix("policy"))].id
                for name in result.diagnostics.reasons
            )
            for result in results
        ]

    @cached_property
    def _scopes(self) -> PolicySet:
        parts = [(rule.tree["action"], rule.tree["resource"]) for rule in self._policy.rules]
        texts = [permit_of(action=action, resource=resource) for action, resource in parts]
        return PolicySet.from_str("\n".join(texts))

    @cached_property
    def _permits(self) -> Permits:
        return Permits(self._policy.rules)

    def _ask(self, questions: list[Question], now: datetime) -> list[Verdict]:
        try:
            results = self._put(questions, now, self._policy.policy_set)
        except (ValueError, TypeError, AttributeError) as error:
            problem = f"the question cannot be put to Cedar: {type(error).__name__}"
            return [Verdict(False, (), (problem,))] * len(questions)
        return [self._verdict(result) for result in results]

    def _put(self, questions: list[Question], now: datetime, rules: PolicySet) -> list[AuthzResult]:
        with self._lock:
            world, self._world = self._world, None  # put back only if every entity went in
            if world is None or not world.holds(now):
                world = World(self._policy, now, self.changes_at(now))
            requests, entities = world.requests(questions, now)
            self._world = world
        return is_authorized_batch(requests, rules, entities, self._policy.schema)

    def _verdict(self, result: AuthzResult) -> Verdict:
        numbers = sorted(int(name.removeprefix("policy")) for name in result.diagnostics.reasons)
        errors = tuple(_POLICY_NAME.sub(self._named, text) for text in result.diagnostics.errors)
        if not errors and result.decision is Decision.NoDecision:
            errors = ("Cedar made no decision",)
        allowed = result.decision is Decision.Allow and not errors
        return Verdict(allowed, tuple(self._rules[number] for number in numbers), errors)

    def _named(self, match: re.Match[str]) -> str:
        number = int(match.group(1))
        return self._rules[number].id if number < len(self._rules) else match.group()


class World:
    """The entities that Cedar knows, for as long as the register stays the same.

    Each distinct site, class and region is put in once, under a name of its own.
    """

    def __init__(self, policy: Policy, now: datetime, until: datetime | None) -> None:
        self._policy = policy
        self._since, self._until = now, until
        self._names: dict[Hashable, str] = {}
        self._fresh: list[Json] = []
        self._entities = Entities.from_json_str("[]", policy.schema)
        for code in sorted(policy.regions):
            self._region(code, now)

    def holds(self, now: datetime) -> bool:
        """Whether it may still be used: the register says the same, and there is room."""
        current = self._since <= now and (self._until is None or now < self._until)
        return current and len(self._names) < _ENTITY_LIMIT

    def requests(self, questions: Sequence[Question], now: datetime) -> tuple[list[Json], Entities]:
        """Cedar's requests for these questions, and the entities that they speak of."""
        contexts: dict[Hashable, str] = {}
        requests = [self._request(question, now, contexts) for question in questions]
        if self._fresh:
            self._entities = self._entities.with_added_json_str(
                json.dumps(self._fresh), self._policy.schema
            )
            self._fresh = []
        return requests, self._entities

    def _request(self, question: Question, now: datetime, contexts: dict[Hashable, str]) -> Json:
        for code in (question.origin, question.destination.region, question.state.label_class.home):
            self._region(code, now)
        site, requester = question.destination, question.requester
        site_key = (
            "site", site.site_id, site.region, site.tier, site.tenants, site.transfer_risk_assessed,
            site.current(site.instruments, now), site.current(site.memberships, now),
        )  # fmt: skip
        site_name = self._name(site_key, lambda name: site_entity(name, site, now))
        kind = kind_of(question)
        update = question.update if kind == "ModelUpdate" else None
        class_name = self._name(
            (kind, question.state, update),
            lambda name: class_entity(kind, name, question.state, update),
        )
        context_key = (
            question.act, question.purpose, question.origin, question.plan, question.loosens,
            question.break_glass, requester.tenant, requester.role,
        )  # fmt: skip
        if context_key not in contexts:
            contexts[context_key] = context_of(question, now)
        return {
            "principal": uid("Site", site_name),
            "action": action_of(question),
            "resource": uid(kind, class_name),
            "context": contexts[context_key],
        }

    def _region(self, code: str, now: datetime) -> None:
        for region in {code, code[:2]}:
            key = ("region", str(region))
            if key not in self._names:
                self._names[key] = region
                self._fresh.append(region_entity(region, self._policy.register, now))

    def _name(self, key: Hashable, entity: Callable[[str], Json]) -> str:
        if key not in self._names:
            self._names[key] = str(len(self._names))
            self._fresh.append(entity(self._names[key]))
        return self._names[key]
