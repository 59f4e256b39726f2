"""How a rule depends on the clock: at known moments, or in ways only asking again can tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

_COMPARISONS = {"<", "<=", ">", ">=", "==", "!="}
_CONTEXT = {"Var": "context"}
_NOW = {".": {"left": _CONTEXT, "attr": "now"}}
_TICK = timedelta(milliseconds=1)


@dataclass
class ClockUse:
    """What the rules of a bundle do with ``context.now``.

    Attributes:
        moments: moments at which a comparison with a written date changes its outcome.
        freely: whether any rule uses the clock in another way.
    """

    moments: set[datetime] = field(default_factory=set)
    freely: bool = False

    def visit(self, tree: Any) -> None:
        """Take in one rule, or a part of it."""
        if isinstance(tree, list):
            for item in tree:
                self.visit(item)
        if not isinstance(tree, dict):
            return
        if tree in (_NOW, _CONTEXT):
            self.freely = True
            return
        for operator, operands in tree.items():
            if operator in _COMPARISONS and self._with_written_date(operands):
                continue
            if operator in (".", "has") and operands.get("left") == _CONTEXT:
                continue
            self.visit(operands)

    def _with_written_date(self, operands: dict[str, Any]) -> bool:
        left, right = operands["left"], operands["right"]
        for now, written in ((left, right), (right, left)):
            if now == _NOW and (moment := written_moment(written)):
                self.moments |= {moment, moment + _TICK}
                return True
        return False


def written_moment(tree: Any) -> datetime | None:
    """The moment that a rule writes out as a date, if this is one."""
    match tree:
        case {"datetime": [{"Value": str(text)}]}:
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                return None
            return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
