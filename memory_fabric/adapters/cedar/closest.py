"""Which rule came closest to permitting, and what it misses.

A permit is cut into its parts: what it says of the receiving site, of the act, of the data, and
each condition between two ``&&``. Each part becomes a permit of its own, and Cedar says which of
them hold. Nothing is evaluated here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from cedarpy import AuthzResult, PolicySet

from memory_fabric.adapters.cedar.phrases import said, scope_missing
from memory_fabric.adapters.cedar.rules import ParsedRule, named_entities, permit_of
from memory_fabric.core.access import Form, Near

_MOST = 3
"""Rules told at most, where several came equally close."""
_NOWHERE = frozenset[str]()
_CONDITION = re.compile(r"(?:when|unless)\s*\{(.*)\};\s*$", re.DOTALL)
_NAME = re.compile(r"policy(\d+)")


@dataclass(frozen=True)
class _Part:
    """One part of a permit.

    Attributes:
        rule: the permit's number among the bundle's rules.
        place: ``principal``, ``action``, ``resource``, or ``condition``.
        of_data: whether it speaks of the data, which whoever asks cannot change.
        within: regions and blocs, where it asks the receiving site to be in one of them.
        missing: what is not so where it does not hold.
    """

    rule: int
    place: str
    of_data: bool
    within: frozenset[str]
    missing: str


class Permits:
    """The permits of a bundle in parts, ready to be asked."""

    def __init__(self, rules: Sequence[ParsedRule]) -> None:
        self._rules = rules
        parts: list[_Part] = []
        texts: list[str] = []
        for number, rule in enumerate(rules):
            if rule.tree["effect"] == "permit":
                for part, text in _parts(number, rule):
                    parts.append(part)
                    texts.append(text)
        self._parts = parts
        self.policy_set = PolicySet.from_str("\n".join(texts))

    def closest(
        self,
        forms: Sequence[Form | None],
        results: Sequence[AuthzResult],
        joinable: frozenset[str],
    ) -> list[Near]:
        """The permits of which least is missing, from what Cedar says of their parts. What can be
        mended (a contract, an assessment, a number) counts as less than data or place.

        Args:
            forms, results: of the same question, form by form.
            joinable: blocs that an organisation where the receiving site stands may join.
        """
        best: dict[int, tuple[tuple[int, ...], Near]] = {}
        for rung, (form, result) in enumerate(zip(forms, results, strict=True)):
            held = {int(name.removeprefix("policy")) for name in result.diagnostics.reasons}
            erred = {
                int(found) for text in result.diagnostics.errors for found in _NAME.findall(text)
            }
            lacking: dict[int, list[int]] = {}
            for number, part in enumerate(self._parts):
                lacking.setdefault(part.rule, [])
                if number not in held:
                    lacking[part.rule].append(number)
            for rule, numbers in lacking.items():
                parts = [self._parts[number] for number in numbers]
                if any(part.place in ("action", "resource") for part in parts):
                    continue  # it is about another act, or about another country's data
                # A part that errs reads what an earlier one asked for and did not find.
                told = [self._parts[n] for n in numbers if n not in erred] or parts
                lasting = [
                    part for part in told if part.of_data or part.within.difference(joinable)
                ]
                score = (len(lasting), len(parts), rung)
                near = Near(self._rules[rule].rule, form, tuple(part.missing for part in told))
                if rule not in best or score < best[rule][0]:
                    best[rule] = (score, near)
        if not best:
            return []
        least = min(score[:2] for score, _ in best.values())
        return [near for score, near in best.values() if score[:2] == least][:_MOST]


def _parts(number: int, rule: ParsedRule) -> Iterator[tuple[_Part, str]]:
    tree = rule.tree
    yield _Part(number, "action", False, _NOWHERE, ""), permit_of(action=tree["action"])
    for place in ("principal", "resource"):
        if tree[place]["op"] != "All":
            missing = scope_missing(place, tree[place])
            text = permit_of(**{place: tree[place]})
            within = _places(tree[place]) if place == "principal" else _NOWHERE
            yield _Part(number, place, place == "resource", within, missing), text
    for condition in tree["conditions"]:
        wanted = condition["kind"] == "when"
        for body in _conjuncts(condition["body"]) if wanted else [condition["body"]]:
            text = permit_of(conditions=[{"kind": condition["kind"], "body": body}])
            found = _CONDITION.search(text)
            written = " ".join(found.group(1).split()) if found else ""
            missing = said(body, not wanted, written)
            within = _places(body) if wanted else _NOWHERE
            yield _Part(number, "condition", _speaks_of_data(body), within, missing), text


def _places(tree: Any) -> frozenset[str]:
    return frozenset(
        name for kind, name in named_entities(tree) if kind.endswith(("::Region", "::Bloc"))
    )


def _conjuncts(tree: Any) -> Iterator[Any]:
    if isinstance(tree, dict) and "&&" in tree:
        yield from _conjuncts(tree["&&"]["left"])
        yield from _conjuncts(tree["&&"]["right"])
    else:
        yield tree


def _speaks_of_data(tree: Any) -> bool:
    if tree == {"Var": "resource"}:
        return True
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return any(_speaks_of_data(value) for value in inner)
