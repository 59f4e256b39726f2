"""A policy engine whose rules are a Python function: for tests of the gate itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from memory_fabric.core.access import Near, Question, Verdict

Rules = Callable[[Question, datetime], Verdict]


class FunctionEngine:
    """The port ``PolicyEngine`` over a function; counts what it is asked."""

    def __init__(
        self, rules: Rules, digest: str = "rules-1", changes_at: datetime | None = None
    ) -> None:
        self.rules = rules
        self.digest = digest
        self.purposes = ("care", "research")
        self.specials = ("health",)
        self.asked: list[Question] = []
        self._changes_at = changes_at

    def decide(self, questions: Sequence[Question], now: datetime) -> list[Verdict]:
        self.asked += questions
        return [self.rules(question, now) for question in questions]

    def closest(self, questions: Sequence[Question], now: datetime) -> list[Near]:
        return []

    def changes_at(self, now: datetime) -> datetime | None:
        if self._changes_at is None or self._changes_at <= now:
            return None
        return self._changes_at
