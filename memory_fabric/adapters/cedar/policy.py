"""A bundle made ready: its rules, vocabularies and register, parsed, checked and held by Cedar."""

from __future__ import annotations

from dataclasses import dataclass

from cedarpy import PolicySet, Schema

from memory_fabric.adapters.cedar.register import Register
from memory_fabric.adapters.cedar.rules import ParsedRule, named_entities
from memory_fabric.adapters.cedar.times import ClockUse
from memory_fabric.adapters.cedar.vocabulary import NAMESPACE, Vocabulary

REGION_TYPE = f"{NAMESPACE}::Region"


@dataclass(frozen=True)
class Policy:
    """What the checks hand to the engine. Made by ``lint.examine`` only.

    Attributes:
        rules: in the order in which Cedar numbers them.
        policy_set, schema: Cedar's own parsed forms, reused by every decision.
    """

    digest: str
    rules: tuple[ParsedRule, ...]
    words: Vocabulary
    register: Register
    policy_set: PolicySet
    schema: Schema
    clock: ClockUse

    @property
    def regions(self) -> frozenset[str]:
        """Regions that the register or a rule names."""
        named = {
            name
            for rule in self.rules
            for kind, name in named_entities(rule.tree)
            if kind == REGION_TYPE
        }
        return self.register.regions | named
