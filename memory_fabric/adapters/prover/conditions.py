"""Conditions of properties, in the words of the case files, as formulas."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import z3

from memory_fabric.adapters.cedar.strict_yaml import Node
from memory_fabric.adapters.cedar.wording import meant
from memory_fabric.adapters.iso3166 import is_region
from memory_fabric.adapters.prover.translate import Translation
from memory_fabric.adapters.prover.values import Formula, Place, Words, all_of, any_of, equal
from memory_fabric.adapters.prover.world import ten_thousandths
from memory_fabric.core.access import LADDER, Act, Role
from memory_fabric.core.labels import Consent, DataClass

_FIELDS = (
    "act", "form", "data", "to", "from", "purpose", "role", "tenant", "plan", "update",
    "emergency", "loosens", "rules",
)  # fmt: skip
_DATA = (
    "home", "outside", "class", "about", "special", "purposes", "consent", "legal-hold",
    "retention-over",
)  # fmt: skip
_TO = ("inside", "outside", "instruments", "memberships", "risk-assessed")
_HOME = "home"
_YES_NO = {"yes": True, "no": False}
_SIGNS: dict[str, Callable[[Formula, int], Formula]] = {
    "above": lambda value, bound: value > bound,
    "below": lambda value, bound: value < bound,
    "at most": lambda value, bound: value <= bound,
    "at least": lambda value, bound: value >= bound,
    "exactly": lambda value, bound: value == bound,
}


class Conditions:
    """Reads conditions over one bundle. Every field narrows; a list in a field widens."""

    def __init__(self, translation: Translation) -> None:
        self._translation = translation
        self._world = translation.world
        self._values = translation.world.values

    def read(self, node: Node) -> Formula:
        """When a condition holds.

        Raises:
            BundleError: a field, word, bloc, region, rule or number is not known; says where.
        """
        fields = node.fields("a condition", [], _FIELDS)
        if not fields:
            raise node.wrong("A condition says something.", f"It may say: {', '.join(_FIELDS)}.")
        return all_of(*(part for name, one in fields.items() for part in self._field(name, one)))

    def _field(self, name: str, node: Node) -> Iterator[Formula]:
        match name:
            case "act":
                yield any_of(*(self._act(word) for word in _words(node, "act", Act)))
            case "form":
                forms = _words(node, "form", LADDER)
                yield any_of(*(self._is("action", form) for form in forms))
            case "data":
                for part, one in node.fields("data", [], _DATA).items():
                    yield self._data(part, one)
            case "to":
                for part, one in node.fields("a receiver", [], _TO).items():
                    yield self._to(part, one)
            case "from":
                origin = self._values["context.origin"]
                for part, one in node.fields("a place", [], ("inside", "outside")).items():
                    within = z3.And(
                        self._world.has("context.origin"), self._anywhere(one, origin, site=False)
                    )
                    yield within if part == "inside" else z3.Not(within)
            case "purpose":
                yield self._purpose(node)
            case "role":
                roles = _words(node, "role", Role)
                yield any_of(*(self._is("context.requester.role", role) for role in roles))
            case "tenant":
                node.one_of("tenant", ["another"])
                yield self._another_tenant()
            case "plan":
                yield self._world.has("context.plan")
                yield from self._numbers(
                    node, {"ttl-hours": "context.plan.ttlHours",
                           "min-cohort": "context.plan.minCohort",
                           "epsilon": "context.plan.epsilon"},
                )  # fmt: skip
            case "update":
                yield self._world.updates
                yield from self._numbers(
                    node, {"people": "resource.cohort", "epsilon": "resource.epsilon",
                           "masked": "resource.secureAggregated"},
                )  # fmt: skip
            case "emergency":
                yield self._emergency(node)
            case "loosens":
                yield self._world.has("context.loosens")
                yield self._flag(node, "context.loosens")
            case "rules":
                rules = self._translation.rules
                yield any_of(*(rules[i] for i in _words(node, "rule of this bundle", rules)))

    def _is(self, path: str, word: str) -> Formula:
        return self._world.is_word(self._values[path], word)

    def _act(self, word: str) -> Formula:
        if Act(word).has_forms:
            return z3.And(self._world.shares, self._is("context.way", word))
        return self._is("action", word)

    def _data(self, name: str, node: Node) -> Formula:
        home, words = self._values["resource.home"], self._translation.policy.words
        match name:
            case "home":
                return self._anywhere(node, home, site=False)
            case "outside":
                return z3.Not(self._anywhere(node, home, site=False))
            case "about":
                people = node.one_of("about", ["people", "nobody"]) == "people"
                return self._values["resource.personal"] == people
            case "class":
                classes = _words(node, "class", DataClass)
                return any_of(*(self._is("resource.dataClass", word) for word in classes))
            case "consent":
                consents = _words(node, "consent", Consent)
                return any_of(*(self._is("resource.consent", word) for word in consents))
            case "special" | "purposes":
                known = words.specials if name == "special" else words.purposes
                return self._some(node, name, self._values[f"resource.{name}"], known)
            case "legal-hold":
                return z3.And(
                    self._world.has("resource.legalHold"), self._flag(node, "resource.legalHold")
                )
        return self._flag(node, "resource.retentionExpired")

    def _to(self, name: str, node: Node) -> Formula:
        match name:
            case "inside" | "outside":
                region = self._values["principal.region"]
                within = self._anywhere(node, region, site=True)
                return within if name == "inside" else z3.Not(within)
            case "instruments":
                signed, known = (
                    self._values["principal.instruments"],
                    self._translation.policy.words,
                )
                return self._some(node, "instrument", signed, known.instruments)
            case "memberships":
                joined = Words("Bloc", self._world.joined)
                return self._some(node, "bloc of organisations", joined, tuple(joined.holds))
        return self._flag(node, "principal.transferRiskAssessed")

    def _anywhere(self, node: Node, place: Place, site: bool) -> Formula:
        """Whether a place is in one of some regions and blocs; ``home`` is the data's own region.

        Args:
            site: whether it is the receiving site's, which may have joined a bloc by itself.
        """
        found = []
        blocs = self._translation.policy.register.blocs
        for item in _listed(node):
            name = item.text("a region or bloc")
            if name == _HOME:
                found.append(equal(place, self._values["resource.home"]))
            elif name in blocs:
                inside = self._translation.site_in(name)
                found.append(inside if site else self._translation.bloc(place, name))
            elif is_region(name):
                found.append(self._world.within(place, name))
            else:
                near = meant(name, blocs)
                raise item.wrong(
                    f"{name!r} is no region, and no bloc of the register.",
                    f"Did you mean {near}?" if near else "Use a code such as DE, or a bloc's name.",
                )
        return any_of(*found)

    def _some(self, node: Node, what: str, group: Words, known: tuple[str, ...]) -> Formula:
        words = _words(node, what, ("any", "none", *known))
        if "none" in words:
            return z3.Not(any_of(*group.holds.values()))
        chosen = group.holds if "any" in words else words
        return any_of(*(group.holds[word] for word in chosen))

    def _purpose(self, node: Node) -> Formula:
        asked, purposes = self._values["context.purpose"], self._values["resource.purposes"]
        known = self._translation.policy.words.purposes
        has = self._world.has("context.purpose")
        words = _words(node, "purpose", ("another", *known))
        if "another" in words:
            own = (z3.And(self._world.is_word(asked, word), holds)
                   for word, holds in purposes.holds.items())  # fmt: skip
            return z3.And(has, z3.Not(any_of(*own)))
        return z3.And(has, any_of(*(self._world.is_word(asked, word) for word in words)))

    def _another_tenant(self) -> Formula:
        tenant, asking = self._values["resource.tenant"], self._values["context.requester.tenant"]
        holds = self._values["principal.tenants"].holds
        kept = any_of(*(z3.And(self._world.is_word(tenant, t), holds[t]) for t in holds))
        return z3.Not(z3.And(tenant.number == asking.number, kept))

    def _emergency(self, node: Node) -> Formula:
        opened = self._world.has("context.breakGlass")
        first, second = (self._values[f"context.breakGlass.approver{n}"] for n in (1, 2))
        match node.one_of("emergency", ["none", "open", "one approver"]):
            case "none":
                return z3.Not(opened)
            case "open":
                return opened
        return z3.And(opened, first == second)

    def _flag(self, node: Node, path: str) -> Formula:
        return self._values[path] == _YES_NO[node.one_of("answer", _YES_NO)]

    def _numbers(self, node: Node, paths: Mapping[str, str]) -> Iterator[Formula]:
        for name, one in node.fields("these numbers", [], paths).items():
            if name == "masked":
                yield self._flag(one, paths[name])
            else:
                yield _bound(one, self._values[paths[name]], name == "epsilon")


def _bound(node: Node, value: Formula, decimal: bool) -> Formula:
    text = node.text("a bound")
    sign, _, number = text.rpartition(" ")
    whole, _, places = number.partition(".")
    plain = whole.isascii() and whole.isdigit() and (not places or places.isdigit())
    if sign not in _SIGNS or not plain or len(places) > (4 if decimal else 0):
        raise node.wrong(
            f"{text!r} is no bound.",
            f"Write one of {', '.join(_SIGNS)} and a number, such as: above 720.",
        )
    return _SIGNS[sign](value, ten_thousandths(number) if decimal else int(number))


def _listed(node: Node) -> tuple[Node, ...]:
    return node.items("a list") if isinstance(node.value, tuple) else (node,)


def _words(node: Node, what: str, known: Iterable[str]) -> list[str]:
    names = [str(word) for word in known]
    return [item.one_of(what, names) for item in _listed(node)]
