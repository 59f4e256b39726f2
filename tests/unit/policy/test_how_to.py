"""What the pages for compliance officers show is put into the starter bundle, and works."""

from __future__ import annotations

import re
from pathlib import Path

from cedarpy import Schema

from memory_fabric.adapters.cedar.cases import run_cases
from memory_fabric.adapters.cedar.lint import check
from memory_fabric.adapters.cedar.register import parse_register
from memory_fabric.adapters.cedar.vocabulary import read_vocabulary

ROOT = Path(__file__).parents[3]
HOW_TO = ROOT / "docs" / "how-to" / "write-a-rule.md"
REFERENCE = ROOT / "docs" / "reference" / "policy-bundle.md"
BLOCK = re.compile(r"^```(cedar|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"`((?:packs|cases)/[a-z.-]+)`:\n\n\Z")


def test_the_how_to_s_rules_and_cases_work_in_the_starter_bundle(bundle: Path) -> None:
    text = HOW_TO.read_text()
    written = 0
    for block in BLOCK.finditer(text):
        named = NAMED.search(text, 0, block.start())
        assert named, f"the page does not say where this goes: {block.group(2)[:40]}"
        (bundle / named.group(1)).write_text(block.group(2))
        written += 1
    assert written == 3
    assert check(bundle) == []
    report = run_cases(bundle)
    assert [str(failure) for failure in report.failures] == []
    assert "de-workforce-stays" not in report.uncovered


def test_the_reference_s_register_is_read() -> None:
    (block,) = BLOCK.findall(REFERENCE.read_text())
    assert "NO" in parse_register(block[1], "register/regions.yaml").regions


def test_the_reference_lists_the_starter_bundle_s_words() -> None:
    schema = (ROOT / "policies" / "schema.cedarschema").read_text()
    words = read_vocabulary(Schema.from_str(schema), "schema.cedarschema")
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|$", REFERENCE.read_text(), re.MULTILINE))
    for name in ("purposes", "specials", "instruments", "blocs"):
        assert tuple(rows[name.rstrip("s").capitalize()].split(", ")) == getattr(words, name)
