"""What is written correctly in a bundle and still makes no sense: a number on the wrong side, an
emergency that a prohibition undoes, a fact that has expired.

None of it keeps a site from using a bundle that it has: it is for whoever writes one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from memory_fabric.adapters.cedar.bundle import REGISTER, SCHEMA, Bundle
from memory_fabric.adapters.cedar.findings import Finding, Severity
from memory_fabric.adapters.cedar.policy import Policy
from memory_fabric.adapters.cedar.rules import ParsedRule, Tree, line_within, named_entities
from memory_fabric.adapters.cedar.vocabulary import NAMESPACE, reaches
from memory_fabric.core.access import Act, Form

SOON = timedelta(days=90)
"""How long before its end an entry of the register is warned of."""
_MOST_HOURS, _FEWEST_PEOPLE, _MOST_EPSILON = 10 * 8760, 10, Decimal(10)
_EMERGENCY = {"has": {"left": {"Var": "context"}, "attr": "breakGlass"}}
_APPROVERS = [
    {".": {"left": {".": {"left": {"Var": "context"}, "attr": "breakGlass"}}, "attr": name}}
    for name in ("approver1", "approver2")
]
_TWO_PEOPLE = [
    {"!=": {"left": one, "right": other}} for one, other in (_APPROVERS, reversed(_APPROVERS))
]
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}
_NEGATED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_DECIMAL = {
    "lessThan": "<", "lessThanOrEqual": "<=", "greaterThan": ">", "greaterThanOrEqual": ">=",
}  # fmt: skip
_UPPER, _LOWER = ("ttlHours", "epsilon"), ("minCohort", "cohort")
_SENSE = {
    "ttlHours": "hours that the receiver keeps the data",
    "epsilon": "privacy spent",
    "minCohort": "people behind statistics",
    "cohort": "people behind an update",
}


def doubts(bundle: Bundle, policy: Policy, now: datetime) -> Iterator[Finding]:
    """Everything of this kind about a bundle that passes ``lint.examine``."""
    actions = reaches(policy.schema)
    for rule in policy.rules:
        yield from _open_to_all(rule, actions)
        yield from _numbers(rule, actions)
    yield from _emergencies(policy.rules, actions)
    yield from _unused(bundle, policy)
    yield from _expired(policy, now)


def acts_of(rule: ParsedRule, actions: dict[str, frozenset[str]]) -> frozenset[str]:
    """The acts and forms that a rule's scope speaks of."""
    scope = rule.tree["action"]
    if scope["op"] == "All":
        return frozenset().union(*actions.values())
    named = scope.get("entities") or [scope["entity"]]
    return frozenset().union(*(actions[entity["id"]] for entity in named))


def _found(rule: ParsedRule, severity: Severity, message: str, fix: str, *words: str) -> Finding:
    return Finding(rule.file, rule.line_of(*words), rule.rule.id, message, fix, severity)


def _open_to_all(rule: ParsedRule, actions: dict[str, frozenset[str]]) -> Iterator[Finding]:
    tree = rule.tree
    lets_out = {*Form, Act.SEND_UPDATE} & acts_of(rule, actions)
    unlimited = tree["principal"]["op"] == "All" and tree["resource"]["op"] == "All"
    if tree["effect"] == "permit" and lets_out and unlimited and not tree["conditions"]:
        yield _found(
            rule, Severity.ERROR, "The rule permits everything to everybody: it has no condition.",
            "Say for whom, for which data, or under which circumstances.", "permit",
        )  # fmt: skip


# ---- Numbers -----------------------------------------------------------------------------


def _numbers(rule: ParsedRule, actions: dict[str, frozenset[str]]) -> Iterator[Finding]:
    reached = acts_of(rule, actions)
    senseless = [str(form) for form in Form if form in reached - {Form.AGGREGATE}]
    if _holds(rule.tree["conditions"], {"Var": "action"}):
        senseless = []  # which form it means stands in its conditions
    if senseless and "minCohort" in set(_attributes(rule.tree["conditions"])):
        yield _found(
            rule, Severity.ERROR,
            f"minCohort means nothing for {', '.join(senseless)}: it counts people in statistics.",
            'Limit the rule to action == Sov::Action::"aggregate", or take the number out.',
            "minCohort",
        )  # fmt: skip
    permits = rule.tree["effect"] == "permit"
    for condition in rule.tree["conditions"]:
        for name, sign, number in _bounds(condition["body"], condition["kind"] == "unless"):
            yield from _bound(rule, name, sign if permits else _NEGATED[sign], number)


def _bound(rule: ParsedRule, name: str, sign: str, number: Decimal) -> Iterator[Finding]:
    """One bound, as a permit would state it: what must hold for data to go."""

    def found(severity: Severity, message: str, fix: str) -> Finding:
        return _found(rule, severity, message, fix, name)

    upper = sign in ("<", "<=")
    if name in _UPPER and not upper and number <= (name == "ttlHours"):
        return  # noise was added at all; it is kept at all
    if (name in _UPPER) != upper:
        word, other = ("at least", "at most") if not upper else ("at most", "at least")
        yield found(
            Severity.ERROR,
            f"{name} ({_SENSE[name]}) is asked to be {word} {number}.",
            f"Turn the comparison round: what protects people is {other}.",
        )
    elif name in _UPPER and (number < 0 or (number == 0 and sign == "<")):
        yield found(Severity.ERROR, f"{name} can never be below {number}.", "Mend the number.")
    elif name == "ttlHours" and number == 0:
        yield found(Severity.ERROR, "Nothing can be kept for 0 hours.", "Mend the number.")
    elif name == "ttlHours" and number > _MOST_HOURS:
        yield found(Severity.WARNING, f"{number} hours are more than ten years.", "Is that meant?")
    elif name == "epsilon" and number > _MOST_EPSILON:
        yield found(
            Severity.WARNING,
            f"An epsilon of {number} protects nobody: noise that weak hides no single person.",
            "Common bounds lie between 0.1 and 10.",
        )
    elif name in _LOWER and number < _FEWEST_PEOPLE:
        yield found(
            Severity.WARNING,
            f"{number} people are few: one of them may be recognised.",
            f"Common bounds lie between {_FEWEST_PEOPLE} and 100.",
        )


def _bounds(tree: Any, negated: bool) -> Iterator[tuple[str, str, Decimal]]:
    """Comparisons of a plan's or an update's number with a written one: name, sign, number."""
    if isinstance(tree, list):
        for item in tree:
            yield from _bounds(item, negated)
    if not isinstance(tree, dict):
        return
    for operator, operands in tree.items():
        if operator == "!":
            yield from _bounds(operands, not negated)
        elif operator in ("<", "<=", ">", ">="):
            yield from _compared(operands["left"], operands["right"], operator, negated)
        elif operator in _DECIMAL:
            yield from _compared(operands[0], operands[1], _DECIMAL[operator], negated)
        elif operator == "if-then-else":
            yield from _bounds([operands["then"], operands["else"]], negated)
        elif operator not in ("==", "!="):  # of these nobody knows which side is meant to hold
            yield from _bounds(operands, negated)


def _compared(
    left: Any, right: Any, sign: str, negated: bool
) -> Iterator[tuple[str, str, Decimal]]:
    for one, other, seen in ((left, right, sign), (right, left, _TURNED[sign])):
        match one, other:
            case {".": {"attr": str(name)}}, {"Value": int(number)} | {
                "decimal": [{"Value": str(number)}]
            } if name in _SENSE:
                yield name, _NEGATED[seen] if negated else seen, Decimal(number)


def _attributes(tree: Any) -> Iterator[str]:
    match tree:
        case {".": {"left": left, "attr": str(name)}}:
            yield name
            yield from _attributes(left)
        case dict():
            for value in tree.values():
                yield from _attributes(value)
        case list():
            for value in tree:
                yield from _attributes(value)


# ---- Emergencies -------------------------------------------------------------------------


def _emergencies(
    rules: Sequence[ParsedRule], actions: dict[str, frozenset[str]]
) -> Iterator[Finding]:
    """A break-glass stands twice: as a permit, and as an ``unless`` on what would refuse it."""
    permits = [rule for rule in rules if _asks_emergency(rule.tree, "permit", "when")]
    forbids = [rule for rule in rules if _asks_emergency(rule.tree, "forbid", "unless")]
    refusing = [rule for rule in rules if rule.tree["effect"] == "forbid"]
    for rules_here, twins, message, fix in (
        (
            permits, forbids, "The emergency is permitted, and no prohibition makes way for it.",
            "Add `unless { context has breakGlass && ... }` to each one that should.",
        ),
        (
            forbids, permits, "This makes way for an emergency that no rule permits.",
            "Add the permit, or take the exception out.",
        ),
    ):  # fmt: skip
        for rule in rules_here:
            against = any(_same_data(rule, other, actions) for other in refusing)
            if against and not any(_alike(rule, twin, actions) for twin in twins):
                yield _found(rule, Severity.ERROR, message, fix, "breakGlass")
    for rule in permits:
        if not any(_holds(rule.tree["conditions"], different) for different in _TWO_PEOPLE):
            yield _found(
                rule, Severity.ERROR, "One person alone could open this emergency.",
                "Add `context.breakGlass.approver1 != context.breakGlass.approver2`.",
                "breakGlass",
            )  # fmt: skip


def _asks_emergency(tree: Tree, effect: str, kind: str) -> bool:
    return tree["effect"] == effect and any(
        condition["kind"] == kind and _holds(condition["body"], _EMERGENCY)
        for condition in tree["conditions"]
    )


def _holds(tree: Any, part: Any) -> bool:
    if tree == part:
        return True
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return any(_holds(value, part) for value in inner)


def _alike(one: ParsedRule, other: ParsedRule, actions: dict[str, frozenset[str]]) -> bool:
    """Whether two rules can speak of the same act, and name the same data where both name any."""
    mine, theirs = (set(named_entities(rule.tree["resource"])) for rule in (one, other))
    if mine and theirs:
        return _same_data(one, other, actions)
    return bool(acts_of(one, actions) & acts_of(other, actions))


def _same_data(one: ParsedRule, other: ParsedRule, actions: dict[str, frozenset[str]]) -> bool:
    """Whether two rules can speak of the same act, and name the same data, or both none."""
    mine, theirs = (set(named_entities(rule.tree["resource"])) for rule in (one, other))
    return mine == theirs and bool(acts_of(one, actions) & acts_of(other, actions))


# ---- Words and facts ---------------------------------------------------------------------


def _unused(bundle: Bundle, policy: Policy) -> Iterator[Finding]:
    """Words that no rule names. A purpose needs none: the wall between purposes holds for all."""
    named = {entity for rule in policy.rules for entity in named_entities(rule.tree)}
    text = bundle.files[SCHEMA]
    for kind, words, harm in (
        ("Special", policy.words.specials, "data of such a category is treated like any other"),
        ("Instrument", policy.words.instruments, "to sign one changes nothing"),
        ("Bloc", policy.words.blocs, "to belong to one changes nothing"),
    ):
        idle = [word for word in words if (f"{NAMESPACE}::{kind}", word) not in named]
        if idle:
            yield Finding(
                SCHEMA, line_within(text, f'"{idle[0]}"') + 1, "",
                f"No rule speaks of {', '.join(idle)} ({kind}): {harm}.",
                "Write a rule, or take the words out.", Severity.WARNING,
            )  # fmt: skip


def _expired(policy: Policy, now: datetime) -> Iterator[Finding]:
    for bloc in policy.register.blocs.values():
        for entry in bloc.entries:
            if entry.ends is None or now + SOON < entry.ends:
                continue
            regions, last = ", ".join(sorted(entry.regions)), entry.ends - timedelta(days=1)
            ended = "ended with" if entry.ends <= now else "ends with"
            yield Finding(
                REGISTER, entry.line, "",
                f"That {regions} belongs to {bloc.name} {ended} {last:%Y-%m-%d} ({entry.source}).",
                "Put its successor here; until then, rules that rest on it do not permit.",
                Severity.WARNING,
            )  # fmt: skip
