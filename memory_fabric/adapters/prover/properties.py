"""Properties of a bundle: what must never be allowed, proved of every question there is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import z3

from memory_fabric.adapters.cedar.bundle import Bundle, read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.cedar.findings import BundleError, Finding, invalid
from memory_fabric.adapters.cedar.strict_yaml import Node, load
from memory_fabric.adapters.prover.conditions import Conditions
from memory_fabric.adapters.prover.examples import Example, replay
from memory_fabric.adapters.prover.solving import Solving, Undecided
from memory_fabric.adapters.prover.translate import Translation
from memory_fabric.adapters.prover.values import Formula, any_of
from memory_fabric.adapters.prover.world import World

Step = Callable[[int, int], None]


@dataclass(frozen=True)
class Property:
    """One sentence that must hold, and when it would be broken."""

    name: str
    basis: str
    file: str
    line: int
    broken: Formula


@dataclass(frozen=True)
class Proof:
    """What came of one property; refuted where there is an example."""

    name: str
    basis: str
    file: str
    line: int
    seconds: float
    example: Example | None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "property": self.name, "basis": self.basis, "file": self.file, "line": self.line,
            "proved": self.example is None, "seconds": round(self.seconds, 3),
            "example": self.example.to_json() if self.example else None,
        }  # fmt: skip


@dataclass(frozen=True)
class ProofReport:
    """All properties of a bundle, and what the proofs take for granted."""

    proofs: tuple[Proof, ...]
    assumptions: tuple[str, ...]

    @property
    def refuted(self) -> tuple[Proof, ...]:
        """The properties that do not hold."""
        return tuple(proof for proof in self.proofs if proof.example)


def prove(directory: Path, now: datetime, step: Step = lambda done, total: None) -> ProofReport:
    """Prove or refute every property of the bundle in a directory, at one moment.

    Raises:
        PolicyInvalid: the bundle has findings, a property can't be read, a rule is not modelled,
            or z3 and Cedar differ: nothing is told then.
    """
    bundle = read_bundle(directory)
    engine = CedarEngine(bundle)
    world = World([engine.policy], now)
    try:
        translation = Translation(engine.policy, world)
        properties = _properties(bundle, Conditions(translation))
    except BundleError as error:
        raise invalid([error.finding]) from error
    solving = Solving(world)
    proofs = []
    for number, item in enumerate(properties):
        step(number, len(properties))
        proofs.append(_prove(item, translation, solving, engine))
    return ProofReport(tuple(proofs), assumptions(now))


def assumptions(now: datetime) -> tuple[str, ...]:
    """What every proof takes for granted."""
    return (
        f"The register, instruments, memberships and clock as of {now:%Y-%m-%d %H:%M} UTC.",
        "Labels as the program makes them: with a purpose, and special categories only of people.",
        "The program computes retention, legal holds and an update's facts rightly, "
        "and presents an emergency only while it is open.",
        "Every region is in ISO 3166; parts of a country that no rule names are alike.",
        "Rules do not know single tenants: three stand for all.",
    )


def _prove(
    item: Property, translation: Translation, solving: Solving, engine: CedarEngine
) -> Proof:
    started = time.perf_counter()
    try:
        question = solving.example(translation.allows, item.broken)
    except Undecided as error:
        raise invalid([_finding(item, "z3 came to no answer.", "Say it more simply.")]) from error
    seconds = time.perf_counter() - started
    example = replay(engine, question, translation.world.now) if question else None
    if example and not example.verdict.allowed:
        raise invalid(
            [_finding(item, "z3 and Cedar differ on a question.", "Report it; trust no proof.")]
        )
    return Proof(item.name, item.basis, item.file, item.line, seconds, example)


def _finding(item: Property, message: str, fix: str) -> Finding:
    return Finding(item.file, item.line, "", message, fix)


def _properties(bundle: Bundle, conditions: Conditions) -> list[Property]:
    findings: list[Finding] = []
    found: list[Property] = []
    for path, text in bundle.under("properties/").items():
        try:
            if not path.endswith(".yaml"):
                raise BundleError(Finding(path, 0, "", "This is no property file.", "Use .yaml."))
            found += _file(load(text, path), conditions)
        except BundleError as error:
            findings.append(error.finding)
    if findings:
        raise invalid(findings)
    return found


def _file(root: Node, conditions: Conditions) -> Iterator[Property]:
    fields = root.fields("a property file", ["about", "properties"])
    fields["about"].text("about")
    for node in fields["properties"].items("properties"):
        parts = node.fields("a property", ["property", "basis", "never"], ["unless"])
        broken = conditions.read(parts["never"])
        if "unless" in parts:
            ways = [conditions.read(way) for way in parts["unless"].items("unless")]
            broken = z3.And(broken, z3.Not(any_of(*ways)))
        yield Property(
            parts["property"].text("property"), parts["basis"].text("basis"),
            node.file, node.line, broken,
        )  # fmt: skip
