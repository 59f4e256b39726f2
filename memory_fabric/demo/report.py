"""What the demo says: chapters, their tables, what was expected, and the lines of the summary."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Table:
    """Rows under column names; an empty title for none."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]

    def to_json(self) -> dict[str, Any]:
        """Each row as an object."""
        rows = [dict(zip(self.columns, row, strict=True)) for row in self.rows]
        return {"title": self.title, "rows": rows}


@dataclass(frozen=True)
class Check:
    """Something the demo expected, and whether it was so."""

    expected: str
    held: bool

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"expected": self.expected, "held": self.held}


@dataclass(frozen=True)
class Summary:
    """One line of the last table: what was asked, what came, by which rules."""

    asked: str
    came: str
    rules: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {"asked": self.asked, "came": self.came, "rules": list(self.rules)}


@dataclass
class Outcome:
    """What a chapter came to.

    Attributes:
        summary: its line in the last table.
        tables: for people.
        checks: what was expected.
        facts: what the product answered, for machines.
    """

    summary: Summary
    tables: list[Table] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)

    def expect(self, expected: str, held: bool) -> None:
        """Note an expectation, and whether it held."""
        self.checks.append(Check(expected, held))

    @property
    def held(self) -> bool:
        """Whether every expectation held."""
        return all(check.held for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "summary": self.summary.to_json(),
            "expectations": [check.to_json() for check in self.checks],
            "tables": [table.to_json() for table in self.tables],
            "answers": self.facts,
        }


@dataclass(frozen=True)
class Chapter:
    """One step of the story: it is announced first, and played then.

    Attributes:
        title: what happens.
        why: one sentence, why it matters.
        commands: what a user would type for the same, in the folder of the homes.
        play: does it.
    """

    title: str
    why: str
    commands: tuple[str, ...]
    play: Callable[[], Outcome]
