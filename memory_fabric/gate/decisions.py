"""The gate's answers on a set of class states, and what every request asks of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cached_property, lru_cache
from types import MappingProxyType

from memory_fabric.core.access import BreakGlass, Decision, Rule
from memory_fabric.core.labels import ClassState, LabelClass

_REMEMBERED = 256


class Decisions(Mapping[ClassState, Decision]):
    """A decision for each class state. Immutable: a site has thousands of classes and decides on
    the same ones again and again, so what follows from the decisions is worked out once.

    Attributes:
        since: the moment by which all of them were asked; they hold from then until ``changes_at``.
        glass: an emergency that was open when they were, and that the rules could see.
    """

    def __init__(
        self,
        by_state: Mapping[ClassState, Decision],
        since: datetime | None = None,
        glass: BreakGlass | None = None,
    ) -> None:
        self._by_state = dict(by_state)
        self.since = since
        self.glass = glass

    def __getitem__(self, state: ClassState) -> Decision:
        return self._by_state[state]

    def __iter__(self) -> Iterator[ClassState]:
        return iter(self._by_state)

    def __len__(self) -> int:
        return len(self._by_state)

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash(frozenset(self._by_state.items()))

    @cached_property
    def granted(self) -> Mapping[ClassState, Decision]:
        """The allowed ones; nobody can change it."""
        return MappingProxyType(
            {state: decision for state, decision in self._by_state.items() if decision.allowed}
        )

    @cached_property
    def permitted(self) -> frozenset[ClassState]:
        """The states that are allowed in any form."""
        return frozenset(self.granted)

    @cached_property
    def refusing(self) -> tuple[Rule, ...]:
        """The rules behind every refusal, each once, sorted by id."""
        rules = {
            rule.id: rule
            for decision in self._by_state.values()
            if not decision.allowed
            for rule in decision.rules
        }
        return tuple(rules[key] for key in sorted(rules))

    @cached_property
    def changes_at(self) -> datetime | None:
        """The next moment at which time alone could change any of them."""
        changes = (decision.changes_at for decision in self._by_state.values())
        return min((change for change in changes if change), default=None)

    @cached_property
    def alike(self) -> tuple[tuple[Decision, bool, tuple[LabelClass, ...]], ...]:
        """The classes that share an answer: decision, whether retention is over, which ones."""
        groups: dict[tuple[Decision, bool], list[LabelClass]] = {}
        for state, decision in self._by_state.items():
            groups.setdefault((decision, state.retention_over), []).append(state.label_class)
        return tuple((decision, over, tuple(found)) for (decision, over), found in groups.items())

    def only(self, states: frozenset[ClassState]) -> Decisions:
        """The decisions on those of the states that were decided on."""
        return _only(self, states, self.since, self.glass)


@lru_cache(_REMEMBERED)
def _only(
    decisions: Decisions,
    states: frozenset[ClassState],
    since: datetime | None,
    glass: BreakGlass | None,
) -> Decisions:
    if states.issuperset(decisions):
        return decisions
    kept = {state: decision for state, decision in decisions.items() if state in states}
    return Decisions(kept, since, glass)
