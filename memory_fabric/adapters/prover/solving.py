"""Asking z3: whether anything can be so, and if so, the plainest question that shows it."""

from __future__ import annotations

from collections.abc import Iterator

import z3

from memory_fabric.adapters.prover.values import Formula, Words, equal
from memory_fabric.adapters.prover.world import World, milliseconds
from memory_fabric.core.access import LADDER, Question

_PATIENCE_MS = 20_000


class Undecided(Exception):
    """z3 came to no answer in time."""


class Solving:
    """One solver over a world."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._solver = z3.Solver()
        self._solver.set("timeout", _PATIENCE_MS)
        self._solver.add(*world.limits())
        self._wishes = list(_wishes(world))

    def possible(self, *formulas: Formula) -> bool:
        """Whether some question makes all of them hold.

        Raises:
            Undecided: z3 gave up.
        """
        answer = self._solver.check(*formulas)
        if answer == z3.unknown:
            raise Undecided
        return bool(answer == z3.sat)

    def example(self, *formulas: Formula) -> Question | None:
        """The plainest question that makes all of them hold; none where nothing does.

        Raises:
            Undecided: z3 gave up.
        """
        if not self.possible(*formulas):
            return None
        model, kept = self._solver.model(), list(formulas)
        for wish in self._wishes:
            if z3.is_true(model.eval(wish, True)):
                kept.append(wish)
            elif self._solver.check(*kept, wish) == z3.sat:
                kept.append(wish)
                model = self._solver.model()
        return self._world.question(model)


def _wishes(world: World) -> Iterator[Formula]:
    """What makes a question plain, the weightiest first."""
    value = world.values
    yield z3.Not(world.emergency)
    for path, usual in (
        ("resource.tenant", "acme"), ("context.requester.tenant", "acme"),
        ("context.way", "recall"), ("context.requester.role", "app"),
        ("resource.consent", "none"), ("resource.dataClass", "confidential"),
        ("principal.tier", "edge"),
    ):  # fmt: skip
        yield world.is_word(value[path], usual)
    for form in LADDER:
        yield z3.Or(z3.Not(world.shares), world.is_word(world.action, form))
    yield value["principal.tenants"].holds["acme"]
    yield z3.Not(value["principal.transferRiskAssessed"])
    yield z3.Not(value["resource.legalHold"])
    yield z3.Not(value["resource.retentionExpired"])
    yield value["resource.personal"]
    yield equal(value["context.origin"], value["resource.home"])
    for path in ("resource.special", "principal.instruments", "principal.tenants"):
        yield from _few(value[path])
    yield from (z3.Not(joined) for joined in world.joined.values())
    yield from _few(value["resource.purposes"])
    for code in ("DE", "GB", "US", "CN"):
        for place in ("resource.home", "principal.region"):
            yield equal(value[place], world.region(code))
    for place in ("resource.home", "principal.region", "context.origin"):
        yield value[place].part == 0
    for path, plain in (
        ("context.plan.ttlHours", 24), ("context.plan.minCohort", 0),
        ("context.plan.epsilon", 0), ("resource.cohort", 100), ("resource.epsilon", 10_000),
    ):  # fmt: skip
        yield value[path] == plain
    hour = 3_600_000
    yield value["context.breakGlass.expires"] == milliseconds(world.now) + hour
    yield value["context.breakGlass.ticket"] == "INC-1"
    yield value["context.breakGlass.approver1"] == "anna"
    yield value["context.breakGlass.approver2"] == "ben"
    yield value["context.breakGlass.approver2"] == "anna"


def _few(words: Words) -> Iterator[Formula]:
    for name, holds in words.holds.items():
        if not (words.kind == "Tenant" and name == "acme"):
            yield z3.Not(holds)
