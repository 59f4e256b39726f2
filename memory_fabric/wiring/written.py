"""The rules in force as they are written: text, basis, cases, and the facts of the register."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from memory_fabric.adapters.cedar.bundle import REGISTER, read_bundle
from memory_fabric.adapters.cedar.casefile import Case, parse_cases
from memory_fabric.adapters.cedar.findings import BundleError
from memory_fabric.adapters.cedar.register import Register, parse_register
from memory_fabric.adapters.cedar.rules import parse_rule, split_rules
from memory_fabric.core.access import Rule
from memory_fabric.core.errors import PolicyInvalid


@dataclass(frozen=True)
class WrittenCase:
    """A decision case that names a rule: where it stands, what it shows, what it expects."""

    file: str
    line: int
    name: str
    answer: str


@dataclass(frozen=True)
class WrittenRule:
    """A rule as compliance wrote it.

    Attributes:
        permits: whether it allows; else it forbids.
        notify: who is to be told of its use, as written.
        file, line: where it starts in the bundle.
        text: its source, annotations included.
        cases: that must be decided by it.
    """

    rule: Rule
    permits: bool
    notify: str
    file: str
    line: int
    text: str
    cases: tuple[WrittenCase, ...]


@dataclass(frozen=True)
class WrittenFact:
    """Some regions of a bloc, from one legal source.

    Attributes:
        ends: the first moment at which it no longer holds; ``None`` for open.
    """

    bloc: str
    title: str
    regions: tuple[str, ...]
    source: str
    starts: datetime
    ends: datetime | None


@dataclass(frozen=True)
class Written:
    """A whole bundle for readers."""

    digest: str
    rules: tuple[WrittenRule, ...]
    facts: tuple[WrittenFact, ...]


@lru_cache(4)
def read_written(folder: Path, digest: str) -> Written:
    """A bundle that passed its checks, for readers.

    Raises:
        PolicyInvalid: ``policy-changed``, the files are no longer those of this digest.
    """
    bundle = read_bundle(folder)
    if bundle.digest != digest:
        raise PolicyInvalid(
            "policy-changed",
            "The policy files in the home are not those that the site decides by.",
            "Open the site anew, or bring the files back.",
        )
    packs, tests = bundle.under("packs/"), bundle.under("cases/")
    try:
        cases = [case for file, text in tests.items() for case in parse_cases(text, file)]
    except BundleError:
        cases = []  # they speak of other rules, say: the rules are in force all the same
    register = parse_register(bundle.files[REGISTER], REGISTER)
    rules = tuple(
        _rule(file, line, text, cases)
        for file, pack in packs.items()
        for line, text in split_rules(pack)
    )
    return Written(digest, rules, _facts(register))


def _rule(file: str, line: int, text: str, cases: list[Case]) -> WrittenRule:
    parsed = parse_rule(file, line, text)
    return WrittenRule(
        rule=parsed.rule,
        permits=parsed.tree["effect"] == "permit",
        notify=parsed.annotations.get("notify", ""),
        file=file,
        line=line,
        text=text.strip(),
        cases=tuple(
            WrittenCase(case.file, case.line, case.name, case.answer)
            for case in cases
            if parsed.rule.id in case.rules
        ),
    )


def _facts(register: Register) -> tuple[WrittenFact, ...]:
    return tuple(
        WrittenFact(
            bloc.name, bloc.title, tuple(sorted(entry.regions)), entry.source, entry.starts,
            entry.ends,
        )
        for bloc in register.blocs.values()
        for entry in bloc.entries
    )  # fmt: skip
