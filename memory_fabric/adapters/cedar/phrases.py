"""Conditions of a rule in plain English: what is so, or is not so, of a question."""

from __future__ import annotations

from typing import Any

Tree = Any

_YES_NO = {
    ("principal", "transferRiskAssessed"): (
        "a transfer risk assessment is on file for the receiving site",
        "no transfer risk assessment is on file for the receiving site",
    ),
    ("resource", "personal"): ("the data is about people", "the data is about nobody"),
    ("resource", "trainedOnPersonal"): (
        "the update was trained on people's data", "the update was trained on nobody's data",
    ),
    ("resource", "legalHold"): ("the data is under a legal hold", "it is under no legal hold"),
    ("resource", "retentionExpired"): (
        "its retention period is over", "its retention period is not over",
    ),
    ("resource", "secureAggregated"): ("the update is masked", "the update is not masked"),
    ("context", "loosens"): ("the label becomes looser", "the label does not become looser"),
}  # fmt: skip
_SIGNS = {
    "<": "below", "<=": "at most", ">": "above", ">=": "at least",
    "lessThan": "below", "lessThanOrEqual": "at most",
    "greaterThan": "above", "greaterThanOrEqual": "at least",
}  # fmt: skip
_CONTRARY = {"below": "at least", "at most": "above", "above": "at most", "at least": "below"}
_NUMBERS = {
    "ttlHours": "the hours that the receiver keeps the data are",
    "minCohort": "the people behind the statistics are",
    "cohort": "the people behind the update are",
    "epsilon": "the privacy spent (epsilon) is",
}
_FACTS = {
    ("resource", "dataClass"): "the data's class",
    ("resource", "consent"): "the consent",
    ("context", "purpose"): "the purpose",
    ("context", "way"): "the way of sharing",
    ("requester", "role"): "the role of whoever asks",
    ("principal", "tier"): "the tier of the receiving site",
}


def scope_missing(part: str, scope: Tree) -> str:
    """What is not so where a rule's scope on ``principal`` or ``resource`` does not hold."""
    if scope["op"].startswith("is") and "in" not in scope:
        return "the rule is about another kind of data"
    entity = scope.get("entity") or scope.get("in", {}).get("entity")
    entities = scope.get("entities") or [entity]
    return _within(part, entities, False)


def said(tree: Tree, holds: bool, written: str) -> str:
    """A condition as a clause that is so where it holds, or where it does not.

    Args:
        written: the condition as it stands in the rule, for what has no words here.
    """
    return _said(tree, holds) or (f"`{written}` holds" if holds else f"`{written}` does not hold")


def _said(tree: Tree, holds: bool) -> str:
    be = "is" if holds else "is not"
    match tree:
        case {"!": {"arg": inner}}:
            return _said(inner, not holds)
        case {"||": {"left": left, "right": right}}:
            parts = [_said(left, holds), _said(right, holds)]
            return (" or " if holds else " and ").join(parts) if all(parts) else ""
        case {"&&": {"left": left, "right": right}}:
            parts = [_said(left, holds), _said(right, holds)]
            return (" and " if holds else " or ").join(parts) if all(parts) else ""
        case {".": {"left": {"Var": var}, "attr": name}} if (var, name) in _YES_NO:
            return _YES_NO[var, name][0 if holds else 1]
        case {"has": {"left": {"Var": "context"}, "attr": "breakGlass"}}:
            return "an emergency is open" if holds else "no emergency is open"
        case {"==": {"left": left, "right": right}} | {"!=": {"left": left, "right": right}}:
            return _equal(left, right, holds == ("==" in tree))
        case {"in": {"left": {"Var": str(var)}, "right": right}} if found := _entities(right):
            return _within(var, found, holds)
        case {"contains": {"left": left, "right": right}}:
            return _contains(left, right, be, holds)
        case {"containsAny": {"left": left, "right": right}}:
            return _contains_any(left, _entities(right), holds)
        case {"isEmpty": {"arg": {".": {"attr": "special" | "trainedOn"}}}}:
            return f"the data {'belongs to no' if holds else 'belongs to a'} special category"
    return _number(tree, holds)


def _equal(left: Tree, right: Tree, holds: bool) -> str:
    be = "is" if holds else "is not"
    if {_path(left), _path(right)} == {("principal", "region"), ("resource", "home")}:
        return f"the receiving site {be} in the region that the data belongs to"
    for fact, word in ((left, right), (right, left)):
        if (named := _FACTS.get(_path(fact))) and (words := _entities(word)):
            return f"{named} {be} {words[0]['id']}"
    return ""


def _contains(left: Tree, right: Tree, be: str, holds: bool) -> str:
    words, fact = _entities(left), _FACTS.get(_path(right))
    if words and fact:
        return f"{fact} {be} {_any_of(words)}"
    if named := _entities(right):
        return _contains_any(left, named, holds)
    if _path(left) == ("resource", "purposes") and _path(right) == ("context", "purpose"):
        return f"the purpose {be} one that the data was collected for"
    if _path(left) == ("principal", "tenants"):
        return f"the receiving site {'may' if holds else 'may not'} hold data of this tenant"
    return ""


def _contains_any(left: Tree, words: list[Tree], holds: bool) -> str:
    if not words:
        return ""
    match _path(left):
        case ("principal", "instruments"):
            return f"the receiving site has {'' if holds else 'not '}signed {_any_of(words)}"
        case ("resource", "special" | "trainedOn"):
            return f"the data {'is' if holds else 'is not'} of the category {_any_of(words)}"
        case ("resource", "purposes"):
            return f"the data {'serves' if holds else 'does not serve'} {_any_of(words)}"
    return ""


def _within(part: str, entities: list[Tree], holds: bool) -> str:
    be, names = "is" if holds else "is not", _any_of(entities)
    blocs = any(entity["type"].endswith("Bloc") for entity in entities)
    if part == "principal":
        belongs = "belongs to" if holds else "does not belong to"
        return f"the receiving site {belongs if blocs else f'{be} in'} {names}"
    return f"the data {be} at home in {names}"


def _number(tree: Tree, holds: bool) -> str:
    if not isinstance(tree, dict) or len(tree) != 1:
        return ""
    ((operator, operands),) = tree.items()
    if operator not in _SIGNS:
        return ""
    left, right = operands if isinstance(operands, list) else (operands["left"], operands["right"])
    value = right.get("Value") if isinstance(right, dict) else None
    if isinstance(right, dict) and "decimal" in right:
        value = right["decimal"][0].get("Value")
    name = _path(left)[-1]
    if name not in _NUMBERS or value is None:
        return ""
    sign = _SIGNS[operator]
    return f"{_NUMBERS[name]} {sign if holds else _CONTRARY[sign]} {value}"


def _path(tree: Tree) -> tuple[str, str]:
    """The last two names of an attribute: ``context.plan.ttlHours`` gives plan, ttlHours."""
    match tree:
        case {".": {"left": {"Var": str(var)}, "attr": str(name)}}:
            return var, name
        case {".": {"left": {".": {"attr": str(var)}}, "attr": str(name)}}:
            return var, name
    return "", ""


def _entities(tree: Tree) -> list[Tree]:
    """The entities that an expression names, where it is one, or a list of nothing else."""
    match tree:
        case {"Value": {"__entity": entity}}:
            return [entity]
        case {"Set": list(items)}:
            found = [_entities(item) for item in items]
            return [one for some in found for one in some] if all(found) else []
    return []


def _any_of(entities: list[Tree]) -> str:
    names = [str(entity["id"]) for entity in entities]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
