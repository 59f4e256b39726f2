"""What is correct and cannot be meant, as far as only a proof can tell."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import combinations

import z3

from memory_fabric.adapters.cedar.findings import BundleError, Finding, Severity
from memory_fabric.adapters.cedar.policy import Policy
from memory_fabric.adapters.cedar.rules import ParsedRule
from memory_fabric.adapters.prover.solving import Solving, Undecided
from memory_fabric.adapters.prover.translate import Translation
from memory_fabric.adapters.prover.world import World
from memory_fabric.core.access import LADDER, Form


def proven_doubts(policy: Policy, now: datetime) -> Iterator[Finding]:
    """Rules that can never apply or never count, and a fuller form under a laxer bound of hours.

    A bundle that proofs do not cover gets one warning that says so.
    """
    world = World([policy], now)
    try:
        translation = Translation(policy, world)
        solving = Solving(world)
        for rule in policy.rules:
            yield from _idle(rule, translation, solving)
        yield from _lax(translation, solving)
    except BundleError as error:
        found = error.finding
        yield Finding(
            found.file, found.line, found.rule, found.message, found.fix, Severity.WARNING
        )
    except Undecided:
        yield Finding(
            "packs", 0, "", "A proof took too long.", "Say it more simply.", Severity.WARNING
        )


def _idle(rule: ParsedRule, translation: Translation, solving: Solving) -> Iterator[Finding]:
    applies = translation.rules[rule.rule.id]
    if not solving.possible(translation.askable, applies):
        yield _finding(
            rule, "The rule can never apply: no question meets all that it asks for.",
            "Take out what contradicts itself.",
        )  # fmt: skip
    elif rule.tree["effect"] == "permit" and not solving.possible(translation.allows, applies):
        yield _finding(
            rule, "The rule permits nothing: whatever it permits is forbidden by others.",
            "Take it out, or give the prohibition an `unless`.",
        )  # fmt: skip


def _lax(translation: Translation, solving: Solving) -> Iterator[Finding]:
    """A form that may be kept longer than a lesser one, all else being the same."""
    world, allows = translation.world, translation.allows
    action, hours = world.action.number, world.values["context.plan.ttlHours"]
    fewer = z3.Int("fewer hours")

    def granted(form: Form, kept: object) -> object:
        number = world.constant("Action", form).number
        return z3.substitute(allows, (action, number), (hours, kept))

    for fuller, lesser in combinations([f for f in LADDER if f is not Form.AGGREGATE], 2):
        if solving.possible(
            world.shares, fewer >= 0, fewer < hours,
            granted(fuller, hours), z3.Not(granted(lesser, hours)), granted(lesser, fewer),
        ):  # fmt: skip
            yield Finding(
                "packs", 0, "",
                f"Data in the form {fuller} may be kept longer than {lesser}, which says less.",
                "Compare the bounds on ttlHours: a fuller form needs the tighter one.",
                Severity.WARNING,
            )  # fmt: skip


def _finding(rule: ParsedRule, message: str, fix: str) -> Finding:
    return Finding(rule.file, rule.line, rule.rule.id, message, fix)
