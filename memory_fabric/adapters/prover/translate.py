"""A bundle's rules as formulas.

Models the fragment of Cedar in which a validated rule can't fail: everything but arithmetic and
moving dates, which may overflow. Whatever else stands in a rule stops the translation with the
rule's place; nothing is guessed. Semantics after the Cedar Language Reference, "Authorization" and
"Operators": a question is allowed if a permit applies and no forbid does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import z3

from memory_fabric.adapters.cedar.findings import BundleError, Finding
from memory_fabric.adapters.cedar.policy import Policy
from memory_fabric.adapters.cedar.rules import ParsedRule
from memory_fabric.adapters.cedar.times import written_moment
from memory_fabric.adapters.cedar.vocabulary import NAMESPACE
from memory_fabric.adapters.prover.values import (
    Bloc,
    Formula,
    Listed,
    NotModelled,
    Place,
    Thing,
    Value,
    Word,
    all_of,
    any_of,
    contains,
    contains_all,
    contains_any,
    equal,
    is_empty,
)
from memory_fabric.adapters.prover.world import World, milliseconds, ten_thousandths
from memory_fabric.core.access import Question

Tree = Mapping[str, Any]

_ORDERS: dict[str, Callable[[Any, Any], Formula]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
_ORDERS |= {
    "lessThan": _ORDERS["<"], "lessThanOrEqual": _ORDERS["<="],
    "greaterThan": _ORDERS[">"], "greaterThanOrEqual": _ORDERS[">="],
}  # fmt: skip
_SETS = {"contains": contains, "containsAll": contains_all, "containsAny": contains_any}
_ACTION = re.compile(r'^\s*action "([^"]+)"(?: in \[([^\]]*)\])?', re.MULTILINE)
_NAME = re.compile(r'Action::"([^"]+)"')


class Translation:
    """One bundle, over a world of questions.

    Attributes:
        rules: for each rule's id, when it applies.
        askable: when this bundle knows every word of the question; others are refused.
        allows: when a question is allowed.

    Raises:
        BundleError: a rule holds what this translation does not model; names it and its line.
    """

    def __init__(self, policy: Policy, world: World) -> None:
        self.policy = policy
        self.world = world
        self._parents = {
            name: frozenset(_NAME.findall(groups or ""))
            for name, groups in _ACTION.findall(str(policy.schema))
        }
        self.rules: dict[str, Formula] = {}
        permits: list[Formula] = []
        forbids: list[Formula] = []
        for rule in policy.rules:
            applies = self.rules[rule.rule.id] = self._rule(rule)
            (permits if rule.tree["effect"] == "permit" else forbids).append(applies)
        self.askable = self._askable()
        self.permitted = any_of(*permits)
        self.forbidden = any_of(*forbids)
        self.allows = z3.And(self.askable, self.permitted, z3.Not(self.forbidden))

    def says(self, question: Question) -> bool:
        """Whether the formulas allow one question: for comparing them with Cedar.

        Raises:
            KeyError, ValueError: the question names something that the world does not hold.
        """
        assigned = list(self.world.assignment(question).items())
        return bool(z3.is_true(z3.simplify(z3.substitute(self.allows, *assigned))))

    def bloc(self, place: Place, name: str) -> Formula:
        """Whether a place lies in a bloc of countries."""
        found = self.policy.register.blocs[name]
        if not found.countries:
            return z3.BoolVal(False)
        return self._covered(place, name)

    def site_in(self, name: str) -> Formula:
        """Whether the receiving site is in a bloc, by its place or because it joined."""
        inside = self.bloc(self.world.values["principal.region"], name)
        return any_of(inside, self.world.joined.get(name, z3.BoolVal(False)))

    def _covered(self, place: Place, name: str) -> Formula:
        entries = self.policy.register.blocs[name].entries
        codes = sorted({c for e in entries if e.holds(self.world.now) for c in e.regions})
        return any_of(*(self.world.within(place, code) for code in codes))

    def _askable(self) -> Formula:
        world, words = self.world, self.policy.words
        known = {
            "resource.special": words.specials,
            "resource.purposes": words.purposes,
            "principal.instruments": words.instruments,
        }
        formulas = [
            z3.Not(holds)
            for path, list_ in known.items()
            for word, holds in world.values[path].holds.items()
            if word not in list_
        ]
        for word in world.lists["Purpose"]:
            if word not in words.purposes:
                asked = world.is_word(world.values["context.purpose"], word)
                formulas.append(z3.Not(z3.And(world.has("context.purpose"), asked)))
        for name, joined in world.joined.items():
            bloc = self.policy.register.blocs.get(name)
            if bloc is None or bloc.countries:
                formulas.append(z3.Not(joined))
            else:
                region = world.values["principal.region"]
                formulas.append(z3.Implies(joined, self._covered(region, name)))
        return all_of(*formulas)

    def _rule(self, rule: ParsedRule) -> Formula:
        try:
            tree = rule.tree
            scopes = [self._scope(who, tree[who]) for who in ("principal", "action", "resource")]
            bodies = [(part["kind"], self._formula(part["body"])) for part in tree["conditions"]]
        except (NotModelled, KeyError, ValueError, TypeError, AttributeError, z3.Z3Exception) as e:
            what = str(e) if isinstance(e, NotModelled) else f"{type(e).__name__} {e}"
            raise BundleError(
                Finding(
                    rule.file, rule.line, rule.rule.id,
                    f"Proofs do not cover this rule: {what} is not modelled.",
                    "Say it in the operators that the other rules use; nothing was proved.",
                )
            ) from e  # fmt: skip
        return all_of(*scopes, *(body if kind == "when" else z3.Not(body) for kind, body in bodies))

    def _scope(self, who: str, scope: Tree) -> Formula:
        thing = Thing(who)
        match scope:
            case {"op": "All", **rest} if not rest:
                return z3.BoolVal(True)
            case {"op": "==", "entity": entity}:
                return self._same(thing, self._entity(entity))
            case {"op": "in", "entity": entity}:
                return self._in(thing, self._entity(entity))
            case {"op": "in", "entities": entities}:
                return any_of(*(self._in(thing, self._entity(entity)) for entity in entities))
            case {"op": "is", "entity_type": str(kind), **rest}:
                inside = rest.get("in")
                here = self._is(thing, kind)
                return (
                    z3.And(here, self._in(thing, self._entity(inside["entity"])))
                    if inside
                    else here
                )
        raise NotModelled(f"the scope of {who}")

    def _entity(self, uid: Tree) -> Value:
        kind, name = uid["type"].removeprefix(f"{NAMESPACE}::"), uid["id"]
        if kind == "Region":
            return self.world.region(name)
        if kind == "Bloc":
            if name not in self.policy.register.blocs:
                raise NotModelled(f"the bloc {name}")
            return Bloc(name)
        if kind == "Action":
            return Word("Action", None, name)
        return self.world.constant(kind, name)

    def _is(self, thing: Value, kind: str) -> Formula:
        match thing:
            case Thing(path="principal"):
                return z3.BoolVal(kind == f"{NAMESPACE}::Site")
            case Thing(path="resource"):
                return self.world.kind(kind.removeprefix(f"{NAMESPACE}::"))
        raise NotModelled("`is` of this kind")

    def _same(self, left: Value, right: Value) -> Formula:
        match left, right:
            case (Thing(path="action"), Word(kind="Action", word=str(word))):
                known = word in self.world.lists["Action"]
                return self.world.is_word(self.world.action, word) if known else z3.BoolVal(False)
            case (Word(kind="Action"), Thing(path="action")):
                return self._same(right, left)
        return equal(left, right)

    def _in(self, left: Value, right: Value) -> Formula:
        match left, right:
            case _, Listed():
                return any_of(*(self._in(left, item) for item in right.items))
            case Thing(path="action"), Word(kind="Action", word=str(word)):
                inside = [a for a in self.world.lists["Action"] if word in self._above(a)]
                return any_of(*(self.world.is_word(self.world.action, a) for a in inside))
            case Thing(path="principal"), Bloc():
                return self.site_in(right.name)
            case Thing(path="principal"), Place():
                return self._in(self.world.values["principal.region"], right)
            case Thing(path="resource"), Bloc() | Place():
                return self._in(self.world.values["resource.home"], right)
            case Place(), Bloc():
                return self.bloc(left, right.name)
            case Place(), Place():
                whole = z3.And(left.country == right.country, right.part == 0)
                return any_of(equal(left, right), whole)
        raise NotModelled("`in` of this kind")

    def _above(self, action: str) -> frozenset[str]:
        """An action and all groups that it is in."""
        found, fresh = {action}, {action}
        while fresh:
            fresh = {p for name in fresh for p in self._parents.get(name, ())} - found
            found |= fresh
        return frozenset(found)

    def _formula(self, tree: Tree) -> Formula:
        value = self._value(tree)
        if not z3.is_bool(value):
            raise NotModelled("a condition that is no yes or no")
        return value

    def _value(self, tree: Tree) -> Value:
        ((operator, operand),) = tree.items()
        match operator, operand:
            case "Value", bool():
                return z3.BoolVal(operand)
            case "Value", int():
                return z3.IntVal(operand)
            case "Value", str():
                return z3.StringVal(operand)
            case "Value", {"__entity": uid}:
                return self._entity(uid)
            case "Var", str():
                return Thing(operand)
            case ".", {"left": left, "attr": str(name)}:
                return self._attribute(self._value(left), name)
            case "has", {"left": left, "attr": str(name)}:
                thing = self._value(left)
                if isinstance(thing, Thing):
                    return self.world.has(f"{thing.path}.{name}")
            case "Set", list():
                return Listed(tuple(self._value(item) for item in operand))
            case "!", {"arg": arg}:
                return z3.Not(self._formula(arg))
            case "isEmpty", {"arg": arg}:
                return is_empty(self._value(arg))
            case "&&", {"left": left, "right": right}:
                return z3.And(self._formula(left), self._formula(right))
            case "||", {"left": left, "right": right}:
                return z3.Or(self._formula(left), self._formula(right))
            case "if-then-else", {"if": if_, "then": then, "else": else_}:
                return z3.If(self._formula(if_), self._formula(then), self._formula(else_))
            case "==", {"left": left, "right": right}:
                return self._same(self._value(left), self._value(right))
            case "!=", {"left": left, "right": right}:
                return z3.Not(self._same(self._value(left), self._value(right)))
            case "in", {"left": left, "right": right}:
                return self._in(self._value(left), self._value(right))
            case "is", {"left": left, "entity_type": str(kind), **rest}:
                thing, here = self._value(left), self._is(self._value(left), kind)
                inside: Any = rest.get("in")
                return z3.And(here, self._in(thing, self._value(inside))) if inside else here
            case "like", {"left": left, "pattern": list(pattern)}:
                return _like(self._value(left), pattern)
            case "decimal", [{"Value": str(written)}]:
                return z3.IntVal(ten_thousandths(written))
            case "datetime", [{"Value": str()}]:
                if moment := written_moment(tree):
                    return z3.IntVal(milliseconds(moment))
            case _ if operator in _ORDERS or operator in _SETS:
                pair = operand if isinstance(operand, list) else [operand["left"], operand["right"]]
                left, right = (self._value(item) for item in pair)
                compare = _ORDERS.get(operator) or _SETS[operator]
                return compare(left, right)
        raise NotModelled(f"`{operator}`")

    def _attribute(self, value: Value, name: str) -> Value:
        if not isinstance(value, Thing):
            raise NotModelled(f"the attribute {name} of this")
        path = f"{value.path}.{name}"
        return self.world.values.get(path, Thing(path))


def _like(text: Value, pattern: list[Any]) -> Formula:
    anything = z3.Full(z3.ReSort(z3.StringSort()))
    parts = [anything if part == "Wildcard" else z3.Re(part["Literal"]) for part in pattern]
    if len(parts) < 2:
        parts += [z3.Re("")] * 2
    return z3.InRe(text, z3.Concat(*parts))
