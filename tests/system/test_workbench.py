"""The workbench on plain files and on a home, as officers use it: by the program."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path
from typing import Any

import pytest

from memory_fabric.wiring import open_home
from memory_fabric.wiring.plain import PlainMatrix
from tests.system.homes import cli, site

NOWHERE = Path("/nowhere")
STARTER = Path(__file__).parents[2] / "policies"
FOLDER = str(STARTER)
PAGE = PlainMatrix.page


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in Frankfurt that knows one in London."""
    folder = tmp_path_factory.mktemp("grid")
    fra, lon = site(folder, "fra-1", "DE"), site(folder, "lon-1", "GB")
    with open_home(fra) as home:
        home.link(str(lon))
    return fra


# ---- matrix ------------------------------------------------------------------------------


def asked(*words: str) -> dict[str, Any]:
    run = cli(NOWHERE, "policy", "matrix", FOLDER, *words)
    assert run.code == 0
    told: dict[str, Any] = run.json
    return told


def form(told: dict[str, Any], region: str, **label: Any) -> tuple[str | None, list[str]]:
    """The cell of one class and region."""
    (at,) = [n for n, one in enumerate(told["sites"]) if one["site"] == region]
    (row,) = [
        row for row in told["rows"] if all(row["class"][name] == label[name] for name in label)
    ]
    return row["cells"][at]["form"], row["cells"][at]["rules"]


def test_a_matrix_of_plain_files_says_what_may_go_where() -> None:
    told = asked("--from", "DE", "--purpose", "care", "--to", "GB", "--to", "FR", "--to", "US")
    sites = [one["site"] for one in told["sites"]]
    assert sites == ["fr", "gb", "us", "us-eu-us-dpf", "us-uk-us-bridge"]
    note = {"data_class": "confidential", "personal": True, "special": [], "consent": "none"}
    assert form(told, "fr", **note) == ("full", ["eu-free-flow"])
    assert form(told, "gb", **note) == ("redacted", ["eu-adequacy"])
    assert form(told, "us", **note) == ("aggregate", ["eu-aggregate"])
    assert form(told, "us-eu-us-dpf", **note) == ("redacted", ["eu-us-dpf"])
    health = {**note, "special": ["health"]}
    assert form(told, "gb", **health)[0] is None
    assert "eu-health-stays" in form(told, "gb", **health)[1]


def test_without_options_it_speaks_of_every_law_and_region(monkeypatch: pytest.MonkeyPatch) -> None:
    def one_row(self: PlainMatrix, offset: int, limit: int) -> dict[str, Any]:
        return PAGE(self, 0, 1) | {"classes": 1}

    monkeypatch.setattr(PlainMatrix, "page", one_row)
    told = asked()
    assert {"AT", "GB", "US", "US (EU-US-DPF)"} <= {one["label"] for one in told["sites"]}


def test_csv_and_picture_hold_what_json_holds(tmp_path: Path) -> None:
    table, drawn = tmp_path / "m.csv", tmp_path / "m.svg"
    told = asked(
        "--from", "GB", "--purpose", "fraud", "--to", "DE", "--to", "IN",
        "--csv", str(table), "--picture", str(drawn),
    )  # fmt: skip
    lines = list(csv.DictReader(io.StringIO(table.read_text())))
    assert [line["form"] for line in lines] == [
        cell["form"] or "nothing" for row in told["rows"] for cell in row["cells"]
    ]
    assert {line["site"] for line in lines} == {"de", "in"}
    titles = re.findall("<title>(.*?)</title>", drawn.read_text())
    assert any("uk-adequacy" in title and "to DE: Redacted" in title for title in titles)


def test_a_table_joins_what_is_answered_alike() -> None:
    run = cli(
        NOWHERE, "policy", "matrix", FOLDER, "--from", "DE", "--to", "FR", "--to", "IT", "--to",
        "CN", "--purpose", "care", plain=True,
    )  # fmt: skip
    assert run.code == 0
    assert "FR, IT" in run.out
    assert "In full" in run.out


def test_a_home_speaks_of_its_own_classes_and_neighbours(grid: Path) -> None:
    run = cli(grid, "policy", "matrix")
    assert run.code == 0
    assert [one["label"] for one in run.json["sites"]] == ["lon-1 (GB)"]
    assert {row["purpose"] for row in run.json["rows"]} >= {"care", "training"}
    assert len(run.json["rows"]) == run.json["classes"] > 50, "all pages"
    plain = asked("--from", "DE", "--to", "GB")
    ours = {
        (row["class"]["text"], row["purpose"]): row["cells"][0]["form"] for row in run.json["rows"]
    }
    for row in plain["rows"]:
        form = row["cells"][0]["form"]
        home = ours[row["class"]["text"], row["purpose"]]
        assert home == form or (home is None and form == "aggregate"), "not built in this version"


def test_an_interrupted_matrix_says_so_and_keeps_what_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def page(self: PlainMatrix, offset: int, limit: int) -> dict[str, Any]:
        if offset:
            raise KeyboardInterrupt
        return PAGE(self, offset, limit)

    monkeypatch.setattr(PlainMatrix, "page", page)
    run = cli(NOWHERE, "policy", "matrix", FOLDER, "--from", "DE", "--to", "GB")
    assert run.code == 1
    assert not run.json["complete"]
    assert len(run.json["rows"]) == 50
    assert "Interrupted: 50 of 104" in run.err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--act", "erase"], "act-unknown"), (["--purpose", "marketing"], "purpose-unknown"),
        (["--to", "UK"], "region-unknown"), (["--from", "Germany"], "region-unknown"),
        (["--picture", "m.png"], "picture-kind"),
        (["--csv", "/nowhere/m.csv", "--to", "FR"], "file-unwritable"),
    ],
)  # fmt: skip
def test_a_matrix_that_cannot_be_made_says_why(words: list[str], code: str) -> None:
    run = cli(NOWHERE, "policy", "matrix", FOLDER, "--from", "DE", *words)
    assert run.code == 2
    assert run.json["type"].endswith(code)


# ---- new, check and test -----------------------------------------------------------------


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    """A bundle begun with the European pack."""
    folder = tmp_path / "ours"
    assert cli(NOWHERE, "policy", "new", "--pack", "eu", str(folder)).code == 0
    return folder


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))


def test_warnings_are_shown_and_do_not_fail(ours: Path) -> None:
    run = cli(NOWHERE, "policy", "check", str(ours))
    assert run.code == 0
    assert {found["severity"] for found in run.json["findings"]} == {"warning"}
    shown = cli(NOWHERE, "policy", "check", str(ours), plain=True)
    assert shown.code == 0
    assert "What to think about" in shown.out
    assert "The bundle is sound" in shown.out


def test_an_error_fails_with_its_line(ours: Path) -> None:
    edit(
        ours / "packs" / "eu.cedar", "context.plan.ttlHours <= 720", "context.plan.ttlHours >= 720"
    )
    run = cli(NOWHERE, "policy", "check", str(ours))
    assert run.code == 4
    (found,) = [one for one in run.json["findings"] if one["severity"] == "error"]
    line = (ours / found["file"]).read_text().splitlines()[found["line"] - 1]
    assert ">= 720" in line


def test_a_case_that_fails_is_shown_with_what_was_expected(ours: Path) -> None:
    edit(ours / "packs" / "eu.cedar", "context.plan.minCohort >= 50", "context.plan.minCohort >= 9")
    run = cli(NOWHERE, "policy", "test", str(ours))
    assert run.code == 1
    failed, *_ = [case for case in run.json["cases"] if not case["passed"]]
    assert failed["expected"]["answer"] == "refused"
    assert failed["got"] == {"answer": "aggregate", "rules": ["eu-aggregate"]}
    shown = cli(NOWHERE, "policy", "test", str(ours), "--coverage", plain=True)
    assert "The rules say: aggregate by eu-aggregate" in shown.out
    assert "Cases for each rule" in shown.out


def test_strict_fails_where_a_rule_has_no_case(ours: Path) -> None:
    assert cli(NOWHERE, "policy", "test", "--strict", str(ours)).code == 0
    (ours / "packs" / "own.cedar").write_text(
        '@id("own") @title("Ours") @basis("Agreement")\n'
        'forbid (principal in Sov::Region::"CN", action in Sov::Action::"share", resource);\n'
    )
    assert cli(NOWHERE, "policy", "test", str(ours)).code == 0
    run = cli(NOWHERE, "policy", "test", "--strict", str(ours))
    assert run.code == 1
    assert run.json["uncovered"] == ["own"]


# ---- explain -----------------------------------------------------------------------------


def explained(*words: str) -> dict[str, Any]:
    run = cli(NOWHERE, "policy", "explain", FOLDER, *words)
    assert run.code == 0, run.out
    told: dict[str, Any] = run.json
    return told


def test_a_question_about_places_needs_no_home() -> None:
    told = explained("--from", "DE", "--to", "US", "--member", "EU-US-DPF", "--purpose", "care")
    assert told["form"] == "redacted"
    assert [rule["id"] for rule in told["rules"]] == ["eu-us-dpf"]
    assert "a site in US with EU-US-DPF" in told["sentences"][0]
    assert "for at most 24 hours" in told["sentences"][1]
    assert told["closest"] == []


@pytest.mark.parametrize(
    ("words", "rule", "clause"),
    [
        (["--act", "train", "--from", "DE"], "train-at-home", "the purpose is not training"),
        (
            ["--act", "query", "--from", "DE", "--to", "IN", "--instrument", "eu-scc"],
            "eu-scc", "no transfer risk assessment is on file",
        ),
        (
            ["--act", "query", "--from", "DE", "--to", "US"],
            "eu-us-dpf", "does not belong to EU-US-DPF",
        ),
        (
            ["--act", "query", "--from", "GB", "--to", "CN"],
            "uk-idta", "has not signed uk-idta or uk-addendum",
        ),
        (
            ["--from", "DE", "--to", "GB", "--special", "health"],
            "eu-adequacy", "",  # it would permit, and a guard outweighs it
        ),
    ],
)  # fmt: skip
def test_a_refusal_names_the_rule_that_came_closest(
    words: list[str], rule: str, clause: str
) -> None:
    told = explained(*words, "--purpose", "care")
    assert not told["allowed"]
    (near,) = [near for near in told["closest"] if near["rule"]["id"] == rule]
    assert clause in "; ".join(near["missing"])
    assert bool(clause) == bool(near["missing"])
    assert near["sentence"] in told["sentences"]


def test_what_is_missing_is_all_that_is_missing() -> None:
    """With what it asks for, the rule that came closest permits."""
    words = ["--from", "DE", "--to", "IN", "--purpose", "care", "--act", "query"]
    near = explained(*words, "--instrument", "eu-scc")["closest"]
    assert [len(one["missing"]) for one in near if one["rule"]["id"] == "eu-scc"] == [1]
    told = explained(*words, "--instrument", "eu-scc", "--assessed")
    assert [rule["id"] for rule in told["rules"]] == ["eu-scc"]


def test_a_home_names_the_closest_rule_too(grid: Path) -> None:
    run = cli(
        grid, "policy", "explain", "--to", "lon-1", "--purpose", "care", "--special", "health"
    )
    assert run.code == 0
    assert run.json["closest"][0]["rule"]["id"] == "eu-adequacy"
    shown = cli(
        grid, "policy", "explain", "--from", "DE", "--to", "FR", "--purpose", "care", plain=True
    )
    assert "Yes, in full" in shown.out, "--from asks the installed bundle about places"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--to", "US"], "option-needs-from"),
        (["--from", "DE"], "scope-missing"),
        (["--from", "DE", "--purpose", "x"], "purpose-unknown"),
        (["--from", "DE", "--purpose", "care", "--special", "x"], "special-unknown"),
        (
            ["--from", "DE", "--purpose", "care", "--to", "US", "--instrument", "x"],
            "instrument-unknown",
        ),
        (
            ["--from", "DE", "--purpose", "care", "--to", "FR", "--member", "EU-US-DPF"],
            "membership-unknown",
        ),
        (["--from", "UK", "--purpose", "care"], "region-unknown"),
        (["--from", "DE", "--purpose", "care", "--act", "send_update"], "act-unknown"),
    ],
)
def test_a_question_that_cannot_be_put_says_why(words: list[str], code: str) -> None:
    run = cli(NOWHERE, "policy", "explain", FOLDER, *words)
    assert run.code == 2
    assert run.json["type"].endswith(code)
