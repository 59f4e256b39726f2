"""Bad input: each a clear error with its code, nothing half-written, nothing lost."""

from __future__ import annotations

import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from memory_fabric.core.errors import HomeError, IntegrityViolated, MemoryFabricError
from memory_fabric.wiring import Home, open_home
from tests.system.homes import ask, cli, listed, remember, reopened, site

ROOT = Path(__file__).parents[2]
SOUND = {"memory": "A sound memory.", "subjects": ["Ada"]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    path = site(tmp_path_factory.mktemp("sites"), "fra-1", "DE")
    settings = path / "site.toml"
    floored = settings.read_text().replace(
        'floor_data_class = "public"', 'floor_data_class = "internal"'
    )
    settings.write_text(floored)
    with reopened(path) as opened:
        remember(opened, "What was there before.", "Zoe", id="taken")
        yield opened


def refused(home: Home, operation: str, **params: Any) -> MemoryFabricError:
    """The error of an operation that must fail and change nothing."""
    before = listed(home), ask(home, "verify_site")["records"]
    with pytest.raises(MemoryFabricError) as caught:
        ask(home, operation, **params)
    after = listed(home), ask(home, "verify_site")["records"]
    assert before == after
    error = caught.value
    assert error.what, error.code
    assert error.do, error.code
    return error


def vector(home: Home, number: float = 0.5, more: int = 0) -> list[float]:
    return [number] * (home.node.embedder.dim + more)


MEMORIES: dict[str, tuple[dict[str, Any], str]] = {
    "empty text": ({"memory": ""}, "text-empty"),
    "blank text": ({"memory": " \n\t"}, "text-empty"),
    "no text": ({"memory": None}, "text-empty"),
    "oversized text": ({"memory": "a" * 32_769}, "text-too-long"),
    "half a surrogate": ({"memory": "a\ud800b"}, "text-not-unicode"),
    "text of another type": ({"memory": 3}, "row-malformed"),
    "unknown field": ({"color": "red"}, "row-malformed"),
    "metadata of another type": ({"metadata": ["a"]}, "row-malformed"),
    "metadata with NaN": ({"metadata": {"a": float("nan")}}, "row-malformed"),
    "label of another type": ({"label": "strict"}, "row-malformed"),
    "no subject": ({"subjects": []}, "subject-missing"),
    "too many subjects": ({"subjects": [f"S{n}" for n in range(65)]}, "subjects-too-many"),
    "oversized subject": ({"subjects": ["a" * 257]}, "subject-invalid"),
    "unknown purpose": ({"purposes": ["gossip"]}, "purpose-unknown"),
    "unknown special": ({"special": ["shoe-size"]}, "special-unknown"),
    "unknown data class": ({"data_class": "cosmic"}, "label-invalid"),
    "unknown consent": ({"consent": "maybe"}, "label-invalid"),
    "unknown memory type": ({"memory_type": "dream"}, "memory-type-unknown"),
    "special but not personal": (
        {"special": ["health"], "personal": False}, "label-contradiction",
    ),
    "looser than its floor": ({"data_class": "public"}, "label-below-floor"),
    "undeclared class": ({"purposes": ["care", "research"]}, "class-undeclared"),
    "time without zone": ({"expires_at": "2030-01-01T00:00:00"}, "time-without-zone"),
    "no time": ({"valid_at": "yesterday"}, "time-invalid"),
    "id with a slash": ({"id": "a/b"}, "id-invalid"),
    "id that is taken": ({"id": "taken"}, "id-duplicate"),
    "vector without embedder": ({"embedding": "full"}, "embedder-missing"),
    "vector of another embedder": ({"embedding": "full", "embedder": "e"}, "embedder-mismatch"),
    "vector too short": ({"embedding": "short", "embedder": "own"}, "vector-dimension"),
    "vector too long": ({"embedding": "long", "embedder": "own"}, "vector-dimension"),
    "vector with NaN": ({"embedding": "nan", "embedder": "own"}, "vector-not-finite"),
    "vector with infinity": ({"embedding": "inf", "embedder": "own"}, "vector-not-finite"),
    "vector beyond float32": ({"embedding": "huge", "embedder": "own"}, "vector-not-finite"),
    "vector of no length": ({"embedding": "zero", "embedder": "own"}, "vector-zero"),
    "vector of words": ({"embedding": ["a"], "embedder": "own"}, "vector-invalid"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "code"), MEMORIES.values(), ids=MEMORIES.keys())
def test_a_bad_memory_takes_none_of_its_request_along(
    home: Home, fields: dict[str, Any], code: str
) -> None:
    vectors = {
        "full": vector(home), "short": vector(home, more=-1), "long": vector(home, more=1),
        "nan": [float("nan"), *vector(home, more=-1)], "inf": vector(home, float("inf")),
        "huge": vector(home, 1e308), "zero": vector(home, 0.0),
    }  # fmt: skip
    given = dict(fields)
    if isinstance(given.get("embedding"), str):
        given["embedding"] = vectors[given["embedding"]]
    if given.get("embedder") == "own":
        given["embedder"] = home.node.embedder.id
    error = refused(home, "add", memories=[SOUND, {**SOUND, **given}, SOUND])
    assert (error.code, error.details["row"]) == (code, 1)
    assert error.details["receipt"]


ASKED: dict[str, tuple[str, dict[str, Any], str]] = {
    "recall without purpose": ("search", {"query": "a", "all_subjects": True}, "purpose-missing"),
    "recall without scope": ("search", {"query": "a", "purpose": "care"}, "scope-missing"),
    "recall about nobody": (
        "search", {"query": "a", "purpose": "care", "subject": "  "}, "scope-missing",
    ),
    "recall with both scopes": (
        "search", {"query": "a", "purpose": "care", "subject": "A", "all_subjects": True},
        "scope-ambiguous",
    ),
    "recall of nothing": (
        "search", {"query": " ", "purpose": "care", "all_subjects": True}, "text-empty",
    ),
    "recall of too much": (
        "search", {"query": "a" * 40_000, "purpose": "care", "subject": "A"}, "text-too-long",
    ),
    "recall with an unknown purpose": (
        "search", {"query": "a", "purpose": "gossip", "subject": "A"}, "purpose-unknown",
    ),
    "recall with an unknown special": (
        "search", {"query": "a", "purpose": "care", "subject": "A", "special": ["odd"]},
        "special-unknown",
    ),
    "recall beyond the grid": (
        "search", {"query": "a", "purpose": "care", "subject": "A", "reach": "moon"},
        "reach-unknown",
    ),
    "recall of none": (
        "search", {"query": "a", "purpose": "care", "subject": "A", "top_k": 0}, "top-k-invalid",
    ),
    "recall with an unknown filter": (
        "search", {"query": "a", "purpose": "care", "subject": "A", "filters": {"color": 1}},
        "filter-unknown",
    ),
    "list without scope": ("page", {"purpose": "care"}, "scope-missing"),
    "list with a foreign cursor": (
        "page", {"purpose": "care", "all_subjects": True, "cursor": "x"}, "cursor-invalid",
    ),
    "get what is not there": ("get", {"id": "nobody", "purpose": "care"}, "memory-unknown"),
    "erase without scope": ("forget", {}, "scope-missing"),
    "erase about nobody": ("forget", {"subject": " "}, "scope-missing"),
    "erase with both scopes": ("forget", {"subject": "Zoe", "id": "taken"}, "scope-missing"),
    "erase what is not there": ("forget", {"id": "nobody"}, "memory-unknown"),
    "relabel without scope": ("label_set", {"change": {"consent": "given"}}, "scope-missing"),
    "relabel about nobody": (
        "label_set", {"subject": " ", "change": {"consent": "given"}}, "scope-missing",
    ),
    "relabel nothing": ("label_set", {"id": "taken", "change": {}}, "nothing-to-do"),
    "relabel an unknown field": ("label_set", {"id": "taken", "change": {"a": 1}}, "label-invalid"),
    "relabel below the floor": (
        "label_set", {"id": "taken", "change": {"data_class": "public"}}, "label-below-floor",
    ),
    "relabel to an undeclared class": (
        "label_set", {"id": "taken", "change": {"purposes": ["care", "research"]}},
        "class-undeclared",
    ),
    "relabel to an unknown purpose": (
        "label_set", {"id": "taken", "change": {"purposes": ["gossip"]}}, "label-invalid",
    ),
    "link itself": ("link", {"address": "."}, "home-missing"),
    "an unknown operation": ("fly", {}, "operation-unknown"),
}  # fmt: skip


@pytest.mark.parametrize(("operation", "params", "code"), ASKED.values(), ids=ASKED.keys())
def test_a_bad_request_changes_nothing(
    home: Home, operation: str, params: dict[str, Any], code: str
) -> None:
    assert refused(home, operation, **params).code == code


def test_an_undeclared_class_names_the_command_that_declares_it(tmp_path: Path) -> None:
    path = site(tmp_path, "fra-1", "DE")
    memory = ("remember", "Needed by two.", "--subject", "Ada", "--purpose", "care",
              "--purpose", "research", "--special", "health", "--consent", "given")  # fmt: skip
    first = cli(path, *memory)
    assert (first.code, first.json["code"]) == (2, "class-undeclared")
    command = first.json["detail"].split("`")[1]
    assert command.startswith("memory-fabric site classes add ")
    assert cli(path, *command.split()[1:]).code == 0
    assert cli(path, *memory).code == 0
    again = cli(path, *command.split()[1:])
    assert (again.code, again.json["added"]) == (0, [])


def test_more_classes_than_fit_are_refused_whole(tmp_path: Path) -> None:
    path = site(tmp_path, "fra-1", "DE")
    before = (path / "site.toml").read_bytes()
    with reopened(path) as home:
        purposes, specials = home.node.purposes, home.node.specials
        some = [
            {"purposes": list(pair), "special": list(kinds), "data_class": level, "consent": said}
            for pair in itertools.combinations(purposes, 2)
            for size in (1, 2, 3, 4)
            for kinds in itertools.combinations(specials, size)
            for level in ("internal", "confidential", "secret")
            for said in ("none", "given")
        ]
        assert len(some) > 4096
        error = refused(home, "classes_add", classes=some[:4200])
        assert (error.code, error.exit_code) == ("classes-too-many", 2)
        assert len(home.node.settings.classes) == ask(home, "status")["classes"] < 4096
    assert (path / "site.toml").read_bytes() == before
    with reopened(path):
        pass


# --- files of memories --------------------------------------------------------------------------

GOOD = [{"memory": f"Good row {number}.", "subjects": [f"S{number}"]} for number in range(3)]
LINES = [
    json.dumps(GOOD[0]),
    '{"memory": "cut off',
    "",
    '["no", "object"]',
    json.dumps({"memory": "", "subjects": ["A"]}),
    json.dumps(GOOD[1] | {"id": "one"}),
    json.dumps(GOOD[1] | {"id": "one"}),
    json.dumps({"memory": "No subject."}),
    json.dumps({"memory": "NaN.", "subjects": ["A"], "embedding": [float("nan")]}),
    json.dumps(GOOD[2] | {"data_class": "cosmic"}),
    "\x00\xff",
    "[" * 100_000,
    json.dumps(GOOD[2]),
]
BAD_LINES = [
    (2, "row-malformed"), (4, "row-malformed"), (5, "text-empty"), (7, "id-duplicate"),
    (8, "subject-missing"), (9, "vector-not-finite"), (10, "label-invalid"),
    (11, "row-malformed"), (12, "row-malformed"),
]  # fmt: skip


def told(run: Any) -> list[tuple[int, str]]:
    return sorted((item["line"], item["code"]) for item in run.json["problems"])


def texts(path: Path) -> list[str]:
    with reopened(path) as home:
        return sorted(listed(home).values())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return site(tmp_path, "fra-1", "DE")


def test_bad_lines_are_reported_and_the_rest_goes_in(path: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text("\n".join(LINES), "latin-1")
    strict = cli(path, "remember", "--from", str(rows), "--strict")
    assert (strict.code, told(strict), texts(path)) == (1, BAD_LINES, [])
    run = cli(path, "remember", "--from", str(rows))
    assert (run.code, run.json["remembered"], told(run)) == (1, 3, BAD_LINES)
    assert texts(path) == [row["memory"] for row in GOOD]


def test_an_id_that_comes_again_in_a_later_batch_is_reported(path: Path, tmp_path: Path) -> None:
    """One repeated id once refused its whole batch, and half a `--strict` import went in."""
    rows = tmp_path / "rows.jsonl"
    many = [{"memory": f"Row {n}.", "subjects": ["A"], "id": f"id-{n % 600}"} for n in range(610)]
    rows.write_text("\n".join(map(json.dumps, many)))
    strict = cli(path, "remember", "--from", str(rows), "--strict")
    again = [(number, "id-duplicate") for number in range(601, 611)]
    assert (strict.code, told(strict), texts(path)) == (1, again, [])
    run = cli(path, "remember", "--from", str(rows))
    assert (run.code, run.json["remembered"], told(run)) == (1, 600, again)


def test_bad_csv_rows_are_reported_by_line(path: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text(
        "memory,subject,metadata,consent\n"
        'Good row 0.,Ada,"{""a"": 1}",given\n'
        "Too few,Ada\n"
        "Too many,Ada,,,,\n"
        "Bad metadata,Ada,{,\n"
        '"Good row\n1.",Ada,,\n'
        "Bad consent,Ada,,maybe\n"
        "Good row 2.,Ada;Bela,,\n"
    )
    run = cli(path, "remember", "--from", str(rows))
    assert (run.code, run.json["remembered"]) == (1, 3)
    assert told(run) == [
        (3, "row-malformed"), (4, "row-malformed"), (5, "row-malformed"), (8, "label-invalid"),
    ]  # fmt: skip
    assert len(texts(path)) == 3


def test_bad_parquet_rows_are_reported_by_row(path: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.parquet"
    table = [
        {"memory": "Good row 0.", "subjects": ["Ada"], "embedding": None},
        {"memory": None, "subjects": ["Ada"], "embedding": None},
        {"memory": "Short vector.", "subjects": ["Ada"], "embedding": [1.0, 2.0]},
        {"memory": "Good row 1.", "subjects": ["Ada", "Bela"], "embedding": None},
    ]
    pq.write_table(pa.Table.from_pylist(table), rows)
    run = cli(path, "remember", "--from", str(rows))
    assert (run.code, told(run)) == (1, [(2, "text-empty"), (3, "embedder-missing")])
    assert texts(path) == ["Good row 0.", "Good row 1."]


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("rows.txt", b"memory", "file-format-unknown"),
        ("rows.parquet", b"PAR1 and no more", "file-unreadable"),
        ("rows.csv", b"memory,subject\nCaf\xe9,Ada\n", "file-unreadable"),
        ("missing.jsonl", None, "file-unreadable"),
    ],
)
def test_an_unreadable_file_is_an_error(
    path: Path, tmp_path: Path, name: str, content: bytes | None, code: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    run = cli(path, "remember", "--from", str(tmp_path / name))
    assert (run.code, run.json["code"]) == (2, code)
    assert texts(path) == []


# --- homes --------------------------------------------------------------------------------------


def test_a_bad_region_tenant_tier_or_name_makes_no_home(tmp_path: Path) -> None:
    good = {"--site": "fra-1", "--region": "DE", "--tenant": "acme", "--tier": "edge"}
    for option, value, code in [
        ("--region", "XX", "region-unknown"), ("--region", "Germany", "region-unknown"),
        ("--tenant", "a b", "name-invalid"), ("--site", "", "name-invalid"),
        ("--tier", "attic", "tier-unknown"),
    ]:  # fmt: skip
        words = [word for pair in {**good, option: value}.items() for word in pair]
        run = cli(tmp_path / "home", "site", "init", *words)
        assert (run.code, run.json["code"]) == (2, code)
        assert list(tmp_path.iterdir()) == []


def test_a_home_is_not_made_over_another(path: Path) -> None:
    run = cli(path, "site", "init", "--site", "x", "--region", "FR", "--tenant", "acme")
    assert (run.code, run.json["code"]) == (1, "home-exists")
    assert cli(path, "site", "verify").code == 0


@pytest.mark.parametrize("part", ["site.toml", "roster.json", "keys/root.key", "bundle/policies"])
def test_half_a_home_is_named(path: Path, part: str) -> None:
    target = path / part
    target.rename(path.parent / "aside")
    run = cli(path, "site", "status")
    if part == "site.toml":
        assert (run.code, run.json["code"]) == (1, "home-missing")
    elif part == "keys/root.key":
        assert (run.code, run.json["code"]) == (1, "root-key-missing")
    else:
        assert (run.code, run.json["code"], run.json["missing"]) == (1, "home-incomplete", [part])
    (path.parent / "aside").rename(target)
    assert cli(path, "site", "verify").code == 0


@pytest.mark.parametrize(
    ("part", "errors"),
    [
        ("ledger.db", {"home-foreign", "ledger-rolled-back", "ledger-damaged"}),
        ("roster.json", {"roster-forged"}),
        ("keys/root.key", {"root-key-wrong"}),
        ("keys/keyring.db", {"root-key-wrong"}),
        ("site.toml", {"root-key-wrong"}),
        ("stack", {"record-altered", "record-missing", "stack-rolled-back"}),
    ],
)
def test_a_part_of_another_home_is_refused(
    path: Path, tmp_path: Path, part: str, errors: set[str]
) -> None:
    other = site(tmp_path, "lon-1", "GB")
    with reopened(path) as home:
        for number in range(3):
            remember(home, f"Memory {number}.", "Ada")
    target, foreign = path / part, other / part
    for journal in target.parent.glob(f"{target.name}-*"):
        journal.unlink()
    if target.is_dir():
        shutil.rmtree(target)
        shutil.copytree(foreign, target)
    else:
        shutil.copy2(foreign, target)
    with pytest.raises((HomeError, IntegrityViolated)) as caught:
        reopened(path)
    assert caught.value.code in errors
    assert caught.value.do


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('region = "DE"', 'region = "Mars"'),
        ('tier = "edge"', 'teir = "edge"'),
        ("[site]", "[site"),
        ('floor_data_class = "public"', 'floor_data_class = "cosmic"'),
    ],
)
def test_bad_settings_are_named(path: Path, old: str, new: str) -> None:
    settings = path / "site.toml"
    text = settings.read_text()
    assert old in text
    settings.write_text(text.replace(old, new))
    run = cli(path, "site", "status")
    assert (run.code, run.json["code"]) == (1, "settings-invalid")
    settings.write_text(text)
    assert cli(path, "site", "verify").code == 0


def test_a_root_key_that_others_can_read_is_refused(path: Path) -> None:
    (path / "keys" / "root.key").chmod(0o644)
    run = cli(path, "site", "status")
    assert (run.code, run.json["code"]) == (1, "root-key-readable")


HOLDER = """
import os, sys
from pathlib import Path
from memory_fabric.wiring import open_home
with open_home(Path(sys.argv[1])):
    os.write(1, b"open\\n")
    sys.stdin.read()
"""


def test_two_processes_on_one_home(path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        with pytest.raises(HomeError) as caught:
            open_home(path, wait=0.1)
        assert (caught.value.code, caught.value.details) == ("home-busy", {"pid": process.pid})
        process.kill()
    with open_home(path, wait=5) as home:  # a dead process holds nothing
        remember(home, "All is well.", "Ada")


def test_wrong_words_are_a_problem_document_where_machines_read(path: Path) -> None:
    done = cli(path, "recall", "tea", "--bogus")
    assert (done.code, done.json["code"]) == (2, "usage-invalid")
