"""The register is read strictly: Norway stays Norway, and every mistake names its line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.cedar.findings import BundleError
from memory_fabric.adapters.cedar.lint import check
from memory_fabric.adapters.cedar.register import parse_register
from memory_fabric.adapters.iso3166 import check_region, is_region
from memory_fabric.core.access import Form, Question
from memory_fabric.core.errors import InputError
from memory_fabric.core.places import Region

MakeQuestion = Callable[..., Question]

GOOD = """\
blocs:
  EEA:
    title: European Economic Area
    members: countries
    entries:
      - regions: [DE, "NO"]
        source: EEA Agreement
        date: "1994-01-01"
        valid_until: "2031-12-27"
"""


def test_norway_stays_norway() -> None:
    register = parse_register(GOOD, "r.yaml")
    assert register.regions == {"DE", "NO"}


@pytest.mark.parametrize(
    ("old", "new", "line", "word"),
    [
        ('[DE, "NO"]', "[DE, NO]", 6, 'Write "NO"'),
        ('[DE, "NO"]', "[NO]", 6, 'Write "NO"'),
        ('[DE, "NO"]', "NO", 6, "NO"),
        ('[DE, "NO"]', "DE", 6, "list"),
        ('[DE, "NO"]', "[DE, UK]", 6, "UK"),
        ('[DE, "NO"]', "[DE, DE]", 6, "twice"),
        ('[DE, "NO"]', "[DE, de]", 6, "de"),
        ('[DE, "NO"]', "[DE, ]\n        regions: [FR]", 7, "twice"),
        ('date: "1994-01-01"', "date: 1994-01-01", 8, "quotes"),
        ('date: "1994-01-01"', 'date: "1.1.1994"', 8, "no date"),
        ('date: "1994-01-01"', 'date: "19940101"', 8, "no date"),
        ('date: "1994-01-01"', 'date: "2032-01-01"', 9, "ends before"),
        ("        source: EEA Agreement\n", "", 6, "source"),
        ("source: EEA Agreement", 'source: ""', 7, "source"),
        ("valid_until:", "valid_untill:", 9, "valid_untill"),
        ("members: countries", "members: everybody", 4, "everybody"),
        ("title: European Economic Area", "title: [a]", 3, "title"),
        ("title: European Economic Area", "title: !x a", 3, "Tags"),
        ("title: European Economic Area", "title: &x a", 3, "Anchors"),
        ("  EEA:", "  EEA: &x", 3, "Anchors"),
        ("blocs:", "bloc:", 2, "bloc"),
    ],
)
def test_what_yaml_would_guess_is_an_error(old: str, new: str, line: int, word: str) -> None:
    assert old in GOOD
    with pytest.raises(BundleError) as caught:
        parse_register(GOOD.replace(old, new), "r.yaml")
    assert word in str(caught.value)
    assert abs(caught.value.finding.line - line) <= 1


@pytest.mark.parametrize(
    "text", ["", "[", "blocs: {EEA: 1}", "- a", "a: b: c", "\t", "blocs: {}\n---\na: b"]
)
def test_an_unreadable_register_is_an_invalid_bundle(bundle: Path, text: str) -> None:
    (bundle / "register" / "regions.yaml").write_text(text)
    assert any(finding.file == "register/regions.yaml" for finding in check(bundle))


def test_a_register_that_is_not_text_is_an_invalid_bundle(bundle: Path) -> None:
    (bundle / "register" / "regions.yaml").write_bytes(b"\xff\xfe")
    assert "UTF-8" in str(check(bundle)[0])


def test_blocs_of_schema_and_register_must_agree(bundle: Path) -> None:
    register = bundle / "register" / "regions.yaml"
    register.write_text(register.read_text().replace("UK-US-bridge", "UK-US-brigde"))
    report = "\n".join(map(str, check(bundle)))
    assert "'UK-US-brigde'" in report
    assert "'UK-US-bridge'" in report


def test_an_entry_holds_until_the_end_of_its_last_day(
    starter: CedarEngine, ask: MakeQuestion
) -> None:
    end = datetime(2031, 12, 28, tzinfo=UTC)
    redacted = ask(form=Form.REDACTED)
    assert starter.changes_at(end - timedelta(days=900)) == end
    assert starter.decide([redacted], end - timedelta(milliseconds=1))[0].allowed
    assert not starter.decide([redacted], end)[0].allowed
    assert starter.decide([redacted], end - timedelta(milliseconds=1))[0].allowed


def test_an_entry_holds_from_its_first_day(starter: CedarEngine, ask: MakeQuestion) -> None:
    start = datetime(2026, 1, 26, tzinfo=UTC)
    to_brazil = ask(region=Region("BR"), form=Form.REDACTED)
    assert not starter.decide([to_brazil], start - timedelta(milliseconds=1))[0].allowed
    assert starter.changes_at(start - timedelta(milliseconds=1)) == start
    assert starter.decide([to_brazil], start)[0].allowed


def test_what_a_site_signed_ends_on_its_last_day(starter: CedarEngine, ask: MakeQuestion) -> None:
    question = ask(region=Region("US"), memberships={"EU-US-DPF": "2026-12-31"}, form=Form.REDACTED)
    end = datetime(2027, 1, 1, tzinfo=UTC)
    assert question.destination.changes_at(end - timedelta(days=9)) == end
    assert starter.decide([question], end - timedelta(seconds=1))[0].allowed
    assert not starter.decide([question], end)[0].allowed


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ('context.now < datetime("2026-12-01")', "2026-12-01T00:00:00+00:00"),
        ('datetime("2026-12-01T10:00:00+0200") > context.now', "2026-12-01T08:00:00+00:00"),
        ('context.now <= datetime("2026-11-23T12:00:00Z")', "2026-11-23T12:00:00.001000+00:00"),
        (
            'context.now.offset(duration("1h")) < datetime("2026-12-01")',
            "2026-11-23T12:01:00+00:00",
        ),
        ('context.now.toTime() < duration("8h")', "2026-11-23T12:01:00+00:00"),
        ("context == context", "2026-11-23T12:01:00+00:00"),
        ("context.plan.ttlHours < 5", "2031-12-28T00:00:00+00:00"),
    ],
)
def test_an_answer_ends_when_the_clock_could_change_it(
    bundle: Path, now: datetime, condition: str, expected: str
) -> None:
    (bundle / "packs" / "clock.cedar").write_text(
        '@id("clock") @title("Clock") @basis("Test")\n'
        f'forbid (principal, action in Sov::Action::"share", resource) when {{ {condition} }};'
    )
    changes = CedarEngine(read_bundle(bundle)).changes_at(now)
    assert changes == datetime.fromisoformat(expected)


@pytest.mark.parametrize("code", ["DE", "NO", "US-CA", "GB-SCT"])
def test_known_regions(code: str) -> None:
    assert check_region(code) == code


@pytest.mark.parametrize(
    ("code", "meant"),
    [
        ("UK", "GB"), ("de", "DE"), ("Germany", "DE"), ("DEU", "DE"), ("US-CAL", "US-CA"),
        # Parts of an EEA country that lie outside the EEA are not let in by their country.
        ("FR-NC", "NC"), ("NL-AW", "AW"), ("NO-21", "SJ"),
        ("us_ca", "US-CA"), ("EU", "DE"), ("XX", ""), ("", ""), ("DE-", ""),
    ],
)  # fmt: skip
def test_an_unknown_region_comes_with_the_one_that_was_meant(code: str, meant: str) -> None:
    assert not is_region(code)
    with pytest.raises(InputError) as caught:
        check_region(code)
    assert caught.value.code == "region-unknown"
    assert meant in caught.value.do
    assert caught.value.do
