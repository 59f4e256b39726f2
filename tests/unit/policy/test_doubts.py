"""What is written correctly and makes no sense: told with line and remedy."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from memory_fabric.adapters.cedar.bundle import REGISTER, SCHEMA, read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.cedar.findings import Finding, errors_in
from memory_fabric.adapters.cedar.lint import check

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SHARE = 'principal, action in Sov::Action::"share", resource'
AGGREGATE = 'principal, action == Sov::Action::"aggregate", resource'


def checked(bundle: Path, *lines: str) -> list[Finding]:
    """The findings of a bundle with one more rule, whose body starts on line 4."""
    notes = ['@id("extra")', '@title("A rule")', '@basis("Test")']
    (bundle / "packs" / "extra.cedar").write_text("\n".join([*notes, *lines]) + "\n")
    return [found for found in check(bundle, NOW) if found.file == "packs/extra.cedar"]


@pytest.mark.parametrize(
    ("body", "line", "word", "severity"),
    [
        (
            [f"permit ({SHARE})", "when { context.plan.ttlHours > 0 && resource.personal };"],
            None,
            "",
            "",
        ),
        (
            [
                f"permit ({SHARE})",
                'when { action == Sov::Action::"aggregate" &&',
                "context.plan.minCohort >= 50 };",
            ],
            None,
            "",
            "",
        ),
        (
            [
                'permit (principal, action in Sov::Action::"share",',
                'resource in Sov::Region::"KE") when { context has breakGlass &&',
                "context.breakGlass.approver1 != context.breakGlass.approver2 };",
            ],
            None,  # nothing refuses it there
            "",
            "",
        ),
        ([f"permit ({SHARE});"], 4, "no condition", "error"),
        (["permit (principal, action, resource);"], 4, "no condition", "error"),
        (
            [
                f"permit ({SHARE})",
                "when {",
                "  resource.personal &&",
                "  context.plan.ttlHours >= 720",
                "};",
            ],
            7,
            "at least 720",
            "error",
        ),
        (
            [
                f"permit ({SHARE})",
                "when { resource.personal }",
                "unless { context.plan.ttlHours < 720 };",
            ],
            6,
            "at least 720",
            "error",
        ),
        ([f"forbid ({SHARE})", "when { context.plan.ttlHours < 5 };"], 5, "at least 5", "error"),
        (
            [f"permit ({SHARE})", "when { 90000 >= context.plan.ttlHours };"],
            5,
            "ten years",
            "warning",
        ),
        ([f"permit ({SHARE})", "when { context.plan.ttlHours <= 0 };"], 5, "0 hours", "error"),
        (
            [f"permit ({SHARE})", "when { context.plan.minCohort >= 50 };"],
            5,
            "means nothing for full",
            "error",
        ),
        (
            [f"permit ({AGGREGATE})", "when { context.plan.minCohort >= 4 };"],
            5,
            "4 people are few",
            "warning",
        ),
        (
            [f"permit ({AGGREGATE})", "when { context.plan.minCohort <= 50 };"],
            5,
            "at most 50",
            "error",
        ),
        (
            [
                'permit (principal, action == Sov::Action::"send_update", resource)',
                'when { resource.epsilon.lessThan(decimal("12.0")) };',
            ],
            5,
            "protects nobody",
            "warning",
        ),
        (
            [
                'permit (principal, action == Sov::Action::"send_update", resource)',
                'when { resource.epsilon.greaterThan(decimal("3.0")) };',
            ],
            5,
            "at least 3.0",
            "error",
        ),
        (
            [
                f"forbid ({SHARE})",
                "when { resource.personal }",
                "unless { context has breakGlass };",
            ],
            None,
            "",
            "",  # the starter bundle's emergency is its twin
        ),
        (
            [
                'forbid (principal, action in Sov::Action::"share", resource in Sov::Region::"US")',
                "when { resource.personal }",
                "unless { context has breakGlass };",
            ],
            6,
            "no rule permits",
            "error",
        ),
        (
            [
                'permit (principal, action in Sov::Action::"share", resource in Sov::Region::"GB")',
                "when {",
                "  context has breakGlass &&",
                "  context.breakGlass.approver1 != context.breakGlass.approver2 };",
            ],
            6,
            "no prohibition makes way",
            "error",
        ),
        (
            [
                'permit (principal, action in Sov::Action::"share", resource in Sov::Bloc::"EEA")',
                "when { context has breakGlass };",
            ],
            5,
            "One person alone",
            "error",
        ),
    ],
)
def test_what_makes_no_sense_is_told_with_its_line(
    bundle: Path, body: list[str], line: int | None, word: str, severity: str
) -> None:
    findings = checked(bundle, *body)
    if line is None:
        assert findings == []
        return
    (found,) = findings
    assert (found.line, found.rule, found.severity) == (line, "extra", severity)
    assert word in found.message
    assert found.fix
    CedarEngine(read_bundle(bundle))  # a site that has such a bundle still decides by it


@pytest.mark.parametrize(
    ("body", "line", "words"),
    [
        ([f"permit ({SHARE})", "when {", "  resource.persnal };"], 6, "Did you mean 'personal'?"),
        ([f"permit ({SHARE})", 'when { context.way == Sov::Way::"recal" };'], 5, "'recall'?"),
        (
            [
                f"permit ({SHARE})",
                "// resource && ok",
                "when {",
                "  resource.personal &&",
                "  && true };",
            ],
            8,
            "&&",
        ),
        ([f"permit ({SHARE})", "when {", "  ressource.personal };"], 6, "ressource"),
        (
            ['permit (principal, action == Sov::Action::"fulll", resource);'],
            4,
            "Did you mean 'full'?",
        ),
        (
            [f"permit ({SHARE})", "when { true &&", 'context.breakGlass.ticket like "INC-*" };'],
            6,
            "context has breakGlass",
        ),
        ([f"permit ({SHARE})", "when {", '  principal in Sov::Region::"DL" };'], 6, "ISO 3166"),
    ],
)
def test_an_error_names_the_line_inside_the_rule(
    bundle: Path, body: list[str], line: int, words: str
) -> None:
    found = checked(bundle, *body)
    assert found
    assert {item.line for item in found} == {line}
    assert words in f"{found[0].message} {found[0].fix}"


def test_a_misspelt_annotation_is_suggested(bundle: Path) -> None:
    (found,) = checked(bundle, '@notifiy("dpo")', f"forbid ({SHARE});")
    assert (found.line, found.fix) == (4, "Did you mean @notify?")


def test_words_that_no_rule_speaks_of_are_told(bundle: Path) -> None:
    schema = bundle / "schema.cedarschema"
    schema.write_text(
        schema.read_text()
        .replace('"criminal", "children"', '"criminal", "children", "geolocation"')
        .replace('"fraud", "support"', '"fraud", "billing", "support"')
    )
    (found,) = check(bundle, NOW)
    assert found.severity == "warning"
    assert (found.file, found.line) == ("schema.cedarschema", 18)
    assert "geolocation (Special)" in found.message


@pytest.mark.parametrize(
    ("now", "word"),
    [
        (datetime(2031, 9, 20, tzinfo=UTC), ""),
        (datetime(2031, 10, 1, tzinfo=UTC), "ends with 2031-12-27"),
        (datetime(2032, 1, 1, tzinfo=UTC), "ended with 2031-12-27"),
    ],
)
def test_a_fact_that_ends_is_warned_of(bundle: Path, now: datetime, word: str) -> None:
    found = check(bundle, now)
    assert errors_in(found) == []
    assert bool(found) == bool(word)
    for finding in found:
        assert word in finding.message
        line = (bundle / finding.file).read_text().splitlines()[finding.line - 1]
        assert "GB" in line


@pytest.mark.parametrize(
    ("file", "old", "new", "line_of", "word"),
    [
        (SCHEMA, "tenants: Set<Tenant>,", "tenants: Set<Tennant>,", "Tennant", "Tennant"),
        (SCHEMA, "    region: Region,", "    region Region,", "region Region", "Region"),
        (SCHEMA, '"EEA", ', '"EEA", "EFTA", ', "EFTA", "'EFTA' has no entry"),
        (REGISTER, "  EEA:\n", "  EAA:\n", "  EAA:", "no bloc 'EAA'"),
    ],
)
def test_schema_and_register_errors_name_their_line(
    bundle: Path, file: str, old: str, new: str, line_of: str, word: str
) -> None:
    path = bundle / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    lines = path.read_text().splitlines()
    (found, *_) = [one for one in check(bundle, NOW) if one.file == file]
    assert line_of in lines[found.line - 1]
    assert word in found.message
