"""Two bundles in meaning: what the second newly allows and newly refuses, of every question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import z3

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.cedar.findings import BundleError, Finding, invalid
from memory_fabric.adapters.cedar.policy import REGION_TYPE, Policy
from memory_fabric.adapters.cedar.register import Register
from memory_fabric.adapters.cedar.rules import named_entities
from memory_fabric.adapters.prover.examples import Example, replay
from memory_fabric.adapters.prover.properties import Step, assumptions
from memory_fabric.adapters.prover.solving import Solving, Undecided
from memory_fabric.adapters.prover.translate import Translation
from memory_fabric.adapters.prover.values import Formula, Place, all_of, any_of
from memory_fabric.adapters.prover.world import World
from memory_fabric.core.access import Question

_MOST = 60
"""Groups that are shown in each direction; how many more there are is not looked for."""
_ELSEWHERE = "elsewhere"
_LISTS = {
    "purposes": "purpose", "specials": "special category", "instruments": "instrument",
    "blocs": "bloc",
}  # fmt: skip


@dataclass(frozen=True)
class Change:
    """Questions of one kind that are answered otherwise, by one of them.

    Attributes:
        group: act, form or nothing, the data's home, the receiver's place: in words.
        before, after: what Cedar says to the example under each bundle.
    """

    group: tuple[str, str, str, str]
    before: Example
    after: Example

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        act, form, home, to = self.group
        return {
            "act": act, "form": form or None, "home": home, "to": to,
            "before": self.before.to_json(), "after": self.after.to_json(),
        }  # fmt: skip


@dataclass(frozen=True)
class Differences:
    """Everything in which two bundles differ.

    Attributes:
        words: changes of vocabulary and register, as sentences.
        whole: whether all changed groups are shown.
    """

    allowed: tuple[Change, ...]
    refused: tuple[Change, ...]
    words: tuple[str, ...]
    whole: bool
    assumptions: tuple[str, ...]

    @property
    def none(self) -> bool:
        """Whether both say the same of every question, with the same words and facts."""
        return not (self.allowed or self.refused or self.words)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "same": self.none, "complete": self.whole, "words": list(self.words),
            "newly_allowed": [change.to_json() for change in self.allowed],
            "newly_refused": [change.to_json() for change in self.refused],
            "assumptions": list(self.assumptions),
        }  # fmt: skip


def compare(
    old: Path, new: Path, now: datetime, step: Step = lambda done, total: None
) -> Differences:
    """What changes from one bundle to another, at one moment.

    Raises:
        PolicyInvalid: a bundle has findings, a rule is not modelled, z3 comes to no answer, or
            z3 and Cedar differ.
    """
    engines = [CedarEngine(read_bundle(folder)) for folder in (old, new)]
    world = World([engine.policy for engine in engines], now)
    try:
        before, after = (Translation(engine.policy, world) for engine in engines)
        areas = _areas(before, after)
        solving = Solving(world)
        comparing = _Comparing(world, solving, areas, engines, step)
        allowed = comparing.changes(after.allows, before.allows)
        refused = comparing.changes(before.allows, after.allows)
    except BundleError as error:
        raise invalid([error.finding]) from error
    except Undecided as error:
        raise invalid([Finding("packs", 0, "", "z3 came to no answer.", "Report it.")]) from error
    words = (*_words(*(e.policy for e in engines)), *_facts(*(e.policy.register for e in engines)))
    whole = max(len(allowed), len(refused)) < _MOST
    return Differences(tuple(allowed), tuple(refused), words, whole, assumptions(now))


class _Comparing:
    def __init__(
        self,
        world: World,
        solving: Solving,
        areas: list[tuple[str, tuple[Formula, Formula]]],
        engines: list[CedarEngine],
        step: Step,
    ) -> None:
        self._world, self._solving, self._areas = world, solving, areas
        self._engines, self._step = engines, step

    def changes(self, said: Formula, not_said: Formula) -> list[Change]:
        """One change of each group of questions that one bundle allows and the other refuses."""
        found: list[Change] = []
        seen: list[Formula] = []
        while len(found) < _MOST:
            self._step(len(found), _MOST)
            question = self._solving.example(said, z3.Not(not_said), *seen)
            if question is None:
                break
            home, home_formula = self._area(question, 0)
            there, to_formula = self._area(question, 1)
            act, form = str(question.act), str(question.form or "")
            asked = [self._world.is_word(self._world.action, form or act)]
            if form:
                asked.append(self._world.is_word(self._world.way, act))
            seen.append(z3.Not(all_of(*asked, home_formula, to_formula)))
            before, after = (replay(engine, question, self._world.now) for engine in self._engines)
            if before.verdict.allowed == after.verdict.allowed:
                raise BundleError(
                    Finding("packs", 0, "", "z3 and Cedar differ.", "Report it; trust no proof.")
                )
            found.append(Change((act, form, home, there), before, after))
        return sorted(found, key=lambda change: change.group)

    def _area(self, question: Question, side: int) -> tuple[str, Formula]:
        assigned = list(self._world.assignment(question).items())
        for name, formulas in self._areas:
            here = z3.simplify(z3.substitute(formulas[side], *assigned))
            if z3.is_true(here):
                return name, formulas[side]
        raise KeyError("every place is in an area")


def _areas(old: Translation, new: Translation) -> list[tuple[str, tuple[Formula, Formula]]]:
    """Places in words, home and receiver: countries that rules name, blocs, and the rest."""
    world = new.world
    places: list[Place] = [world.values["resource.home"], world.values["principal.region"]]
    named = sorted(
        {
            name[:2]
            for translation in (old, new)
            for rule in translation.policy.rules
            for kind, name in named_entities(rule.tree)
            if kind == REGION_TYPE
        }
    )
    wanted: list[tuple[str, list[Formula]]] = [
        (country, [world.within(place, country) for place in places]) for country in named
    ]
    for name, bloc in new.policy.register.blocs.items():
        if bloc.countries:
            wanted.append((name, [new.bloc(place, name) for place in places]))
    wanted.append((_ELSEWHERE, [z3.BoolVal(True)] * 2))
    areas = []
    for number, (name, formulas) in enumerate(wanted):
        earlier = [before for _, before in wanted[:number]]
        home, to = (
            z3.And(formulas[side], z3.Not(any_of(*(one[side] for one in earlier))))
            for side in (0, 1)
        )
        areas.append((name, (home, to)))
    return areas


def _words(old: Policy, new: Policy) -> Iterator[str]:
    for name, kind in _LISTS.items():
        before, after = getattr(old.words, name), getattr(new.words, name)
        for word in after:
            if word not in before:
                yield f"New {kind}: {word}. Questions with it were refused until now."
        for word in before:
            if word not in after:
                yield f"The {kind} {word} is gone. Questions with it are refused from now on."


def _facts(old: Register, new: Register) -> Iterator[str]:
    def entries(register: Register) -> set[tuple[str, str, str, str, str]]:
        return {
            (
                bloc.name, code, f"{entry.starts:%Y-%m-%d}",
                f", up to {entry.ends:%Y-%m-%d} 00:00 UTC" if entry.ends else "",
                "countries" if bloc.countries else "organisations",
            )
            for bloc in register.blocs.values()
            for entry in bloc.entries
            for code in entry.regions
        }  # fmt: skip

    before, after = entries(old), entries(new)
    for name, code, starts, ends, members in sorted(after - before):
        yield f"Register: {code} in {name} ({members}) from {starts}{ends}."
    for name, code, starts, ends, members in sorted(before - after):
        yield f"Register: no longer {code} in {name} ({members}) from {starts}{ends}."
