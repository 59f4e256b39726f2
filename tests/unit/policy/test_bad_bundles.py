"""Files that a bundle should not have: each is told clearly, quickly, and leaves all as it was.

What is wrong within rules and register stands in ``test_fail_closed.py`` and ``test_register.py``.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.cases import run_cases
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.cedar.lint import check
from memory_fabric.core.access import Requester, Role
from memory_fabric.core.errors import PolicyInvalid
from memory_fabric.operations.proposals import candidate_propose
from memory_fabric.wiring import Home
from tests.system.homes import ask, cli, reopened, site
from tests.unit.policy.likely import NOW, PURPOSES, Asked, likely_questions
from tests.unit.policy.test_oracle import answers

EU, GUARDS, REGISTER = "packs/eu.cedar", "packs/guards.cedar", "register/regions.yaml"
Content = Callable[[bytes], bytes]
HEAD = b'@id("deep") @title("Deep") @basis("Test") forbid (principal, action, resource) when { '
OFFICER = Requester("officer", "acme", Role.COMPLIANCE)
SOON = 10.0
"""Seconds within which each must be told. Unguarded they took hours, or the process with them."""


def rule(condition: bytes) -> Content:
    """A pack with one more rule."""
    return lambda pack: pack + HEAD + condition + b" };"


WRITTEN: dict[str, tuple[str, Content, str]] = {
    "UTF-16": (EU, lambda pack: pack.decode().encode("utf-16"), "not UTF-8"),
    "Latin-1": (EU, lambda pack: pack + "// für".encode("latin-1"), "not UTF-8"),
    "zeros behind it": (EU, lambda pack: pack + bytes(3), "cannot be read"),
    "a pack cut to nothing": (GUARDS, lambda pack: b"", "no rules"),
    "a pack cut within a rule": (GUARDS, lambda pack: pack[:-30], "cannot be read"),
    "an empty register": (REGISTER, lambda text: b"", "empty"),
    "an empty schema": ("schema.cedarschema", lambda text: b"", "closed list Purpose is missing"),
    "more than a megabyte": (EU, lambda pack: pack + b"// note\n" * 140_000, "larger than 1 MB"),
    "nothing but ends": (EU, lambda pack: b";" * 999_999, "more than 5,000 rules"),
    "brackets": (EU, rule(b"(" * 50_000 + b"true" + b")" * 50_000), "nested too deeply"),
    "few brackets": (EU, rule(b"(" * 700 + b"true" + b")" * 700), "nested too deeply"),
    "questions": (EU, rule(b"if true then " * 450 + b"true" + b" else false" * 450), "too deeply"),
    "a chain": (EU, rule(b" && ".join([b"true"] * 100_000)), "too long"),
    "a short chain": (EU, rule(b"&&".join([b"true"] * 900)), "nested too deeply"),
    "types": (
        "schema.cedarschema",
        lambda text: text.replace(
            b"tier: Tier,", b"tier: Tier, x: " + b"Set<" * 2_000 + b"Long" + b">" * 2_000 + b","
        ),
        "nested too deeply",
    ),
    "lists": (REGISTER, lambda text: b"blocs: " + b"[" * 50_000 + b"]" * 50_000, "too deeply"),
    "mappings": (REGISTER, lambda text: b"a: " + b"{a: " * 5_000 + b"}" * 5_000, "too deeply"),
    "indented mappings": (
        REGISTER,
        lambda text: b"\n".join(b" " * n + b"a:" for n in range(900)),
        "too deeply",
    ),
    "a billion laughs": (
        REGISTER,
        lambda text: b"a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        "Anchors",
    ),
}


def spoil(bundle: Path, name: str) -> str:
    """Write a bad file into a bundle; what has to be said of it."""
    file, content, word = WRITTEN[name]
    (bundle / file).write_bytes(content((bundle / file).read_bytes()))
    return word


@pytest.mark.parametrize("name", WRITTEN)
def test_a_bad_file_is_told_and_makes_no_engine(bundle: Path, name: str) -> None:
    word = spoil(bundle, name)
    started = time.monotonic()
    findings = check(bundle)
    assert time.monotonic() - started < SOON
    assert word in "\n".join(map(str, findings))
    assert WRITTEN[name][0] in {finding.file for finding in findings}
    with pytest.raises(PolicyInvalid):
        CedarEngine(read_bundle(bundle))


def test_cases_are_read_as_strictly(bundle: Path) -> None:
    (bundle / "cases" / "eu.yaml").write_bytes(b"a: " + b"[" * 50_000 + b"]" * 50_000)
    with pytest.raises(PolicyInvalid, match="nested too deeply"):
        run_cases(bundle)


def pipe(path: Path) -> None:
    os.mkfifo(path)


def endless(path: Path) -> None:
    path.touch()
    os.truncate(path, 40 << 30)


def linked_file(path: Path) -> None:
    path.symlink_to("/dev/zero")


def linked_folder(path: Path) -> None:
    path.parent.rename(path.parents[2] / "elsewhere")
    path.parent.symlink_to(path.parents[2] / "elsewhere")


@pytest.mark.parametrize("make", [pipe, endless, linked_file, linked_folder])
def test_what_is_no_plain_file_is_neither_read_nor_waited_for(
    bundle: Path, make: Callable[[Path], None]
) -> None:
    make(bundle / "packs" / "more.cedar")
    with pytest.raises(PolicyInvalid):
        read_bundle(bundle)


def test_a_byte_order_mark_changes_nothing(bundle: Path) -> None:
    before = read_bundle(bundle)
    for path in bundle.rglob("*.*"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert check(bundle) == []
    assert read_bundle(bundle).digest == before.digest
    assert run_cases(bundle).passed


# ---- On a home ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site(tmp_path_factory.mktemp("homes"), "fra-1", "DE")


@pytest.fixture(scope="module")
def home(made: Path) -> Iterator[Home]:
    with reopened(made) as opened:
        yield opened


@pytest.mark.parametrize("name", WRITTEN)
def test_a_bad_proposal_leaves_the_rules_in_force(
    made: Path, home: Home, bundle: Path, name: str
) -> None:
    before = ask(home, "status")["bundle"]
    spoil(bundle, name)
    files = {path.relative_to(bundle).as_posix(): path.read_bytes() for path in bundle.rglob("*.*")}
    with pytest.raises(PolicyInvalid):
        candidate_propose(home, OFFICER, files=files)
    assert not list((made / "candidates").iterdir())  # nor what it was unpacked into
    assert ask(home, "status")["bundle"] == before


@pytest.mark.parametrize("name", ["brackets", "lists", "a pack cut to nothing", "UTF-16"])
def test_a_bad_file_in_an_installed_bundle_stops_what_crosses_and_nothing_else(
    tmp_path: Path, name: str
) -> None:
    path = site(tmp_path, "fra-1", "DE")
    with reopened(path) as opened:
        before = ask(opened, "status")["bundle"]["digest"]
    spoil(path / "bundle" / "policies", name)
    assert cli(path, "policy", "check").code == 4
    with reopened(path) as opened:
        told = ask(opened, "status")["bundle"]
        assert told["digest"] == before
        assert not told["crossing"]
        assert ask(opened, "search", query="tulips", purpose="care", all_subjects=True)["receipt"]


# ---- Two thousand rules ------------------------------------------------------------------

REGIONS = "DE", "FR", "GB", "US", "JP", "BR", "IN", "CN", "SA", "CH"


def many_rules(bundle: Path, total: int) -> None:
    """Fill a bundle up to so many rules."""
    missing = total - len(CedarEngine(read_bundle(bundle)).rules)
    rules = [
        f'@id("many-{n}")\n@title("Contract {n}")\n@basis("Contract {n}")\nforbid (\n'
        f'  principal in Sov::Region::"{REGIONS[n % 10]}",\n'
        f'  action in Sov::Action::"share_text",\n'
        f'  resource in Sov::Region::"{REGIONS[n // 10 % 10]}"\n)\n'
        f'when {{ context.purpose == Sov::Purpose::"{PURPOSES[n % 6]}" && '
        f"context.plan.ttlHours > {9000 + n} }};\n"
        for n in range(missing)
    ]
    for start in range(0, missing, 500):
        pack = bundle / "packs" / f"many-{start}.cedar"
        pack.write_text("\n".join(rules[start : start + 500]))


def test_a_bundle_of_two_thousand_rules_works(bundle: Path) -> None:
    small = CedarEngine(read_bundle(bundle))
    many_rules(bundle, 2_000)
    times = [time.monotonic()]
    assert check(bundle, NOW) == []
    times.append(time.monotonic())
    engine = CedarEngine(read_bundle(bundle))
    times.append(time.monotonic())
    asked = [Asked(item.question, NOW) for item in likely_questions(1, 200)]
    found = answers(engine, asked)
    times.append(time.monotonic())
    assert len(engine.rules) == 2_000
    assert found == answers(small, asked)
    spent = dict(
        zip(
            ("check", "open", "200 questions"),
            (later - earlier for earlier, later in pairwise(times)),
            strict=True,
        )
    )
    told = ", ".join(f"{what} {seconds:.1f} s" for what, seconds in spent.items())
    sys.stdout.write(f"2,000 rules: {told}\n")
    assert sum(spent.values()) < 60
