"""Which check catches which planted mistake, for ``docs/internals/planted-mistakes.md``.

``python -m tests.unit.policy.caught`` writes the page.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.cases import run_cases
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.cedar.findings import errors_in
from memory_fabric.adapters.cedar.lint import check
from memory_fabric.adapters.prover.doubts import proven_doubts
from memory_fabric.adapters.prover.properties import prove
from memory_fabric.core.errors import PolicyInvalid
from tests.unit.policy.planted import AFTER, BEFORE, Mistake

ROOT = Path(__file__).parents[3]
STARTER = ROOT / "policies"
PAGE = ROOT / "docs" / "internals" / "planted-mistakes.md"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)

INTRODUCTION = """\
# Planted mistakes

Mistakes that people make in a policy bundle, each planted into a copy of the starter bundle, and
what catches it before the bundle is installed. A test makes this page and fails where it is no
longer true (`tests/unit/policy/test_planted.py`).

- **check** is `policy check`: an *error* keeps a bundle from being used, a *warning* does not.
- **test** is `policy test` with the starter bundle's own cases: the first one that fails.
- **prove** is `policy prove` with the starter bundle's own properties: the first one refuted.

A dash says that it does not notice. Where the bundle cannot be read, check says so and nothing else
is run. `policy diff` against the bundle in force shows every change of meaning besides; no mistake
here is left to it alone, so it is not counted.
"""


def by_check(bundle: Path) -> str:
    """The first finding: errors before warnings."""
    findings = check(bundle, NOW)
    if not errors_in(findings):
        findings += proven_doubts(CedarEngine(read_bundle(bundle)).policy, NOW)
    found = sorted((finding.severity, finding.message) for finding in findings)
    return f"{found[0][0]}: {found[0][1]}" if found else ""


def by_test(bundle: Path) -> str:
    """The first case that fails, or the rules that no case exercises."""
    try:
        report = run_cases(bundle)
    except PolicyInvalid:
        return ""
    if report.failures:
        case = report.failures[0].case
        return f"{case.name} ({case.file})"
    return f"no case for {', '.join(report.uncovered)}" if report.uncovered else ""


def by_prove(bundle: Path) -> str:
    """The first property that is refuted."""
    try:
        refuted = prove(bundle, NOW).refuted
    except PolicyInvalid:
        return ""
    return f"{refuted[0].name} ({refuted[0].file})" if refuted else ""


CHECKS: Mapping[str, Callable[[Path], str]] = {
    "check": by_check,
    "test": by_test,
    "prove": by_prove,
}
"""What each says of a bundle; nothing where it does not notice."""


def caught(mistake: Mistake, bundle: Path) -> dict[str, str]:
    """What each check says of the mistake, planted into this copy of the starter bundle."""
    mistake.plant(bundle)
    return {name: says(bundle) for name, says in CHECKS.items()}


def page(found: Mapping[str, Mapping[str, str]]) -> str:
    """The page, from what was caught by mistake."""
    parts = [INTRODUCTION]
    for title, mistakes in (
        ("Written before the checks", BEFORE),
        ("Written after them", AFTER),
    ):
        parts += [f"## {title}\n", "\n".join(_table(mistakes, found)) + "\n"]
    return "\n".join(parts)


def _table(mistakes: Sequence[Mistake], found: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    yield f"| mistake | what would happen | {' | '.join(CHECKS)} |"
    yield "|---" * (2 + len(CHECKS)) + "|"
    for mistake in mistakes:
        cells = [found[mistake.name][name].replace("|", "\\|") or "–" for name in CHECKS]
        yield f"| {mistake.name} | {mistake.harm} | {' | '.join(cells)} |"


def everything(folder: Path) -> dict[str, dict[str, str]]:
    """What is caught, by mistake; works in a folder that is empty."""
    found = {}
    for mistake in (*BEFORE, *AFTER):
        bundle = folder / mistake.name
        shutil.copytree(STARTER, bundle)
        found[mistake.name] = caught(mistake, bundle)
    return found


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        PAGE.write_text(page(everything(Path(made))))
