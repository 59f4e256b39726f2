"""The demo as a newcomer meets it, the byte scan that it ends with, and the examples."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_fabric.demo.scan import scan, slices, spelled, text_patterns
from tests.system.homes import TENANT, Run, ask, cli, open_home, site

ROOT = Path(__file__).parents[2]
EEA = {"fra-1", "lyo-1"}
OWN = """\
memory,subject,special,purpose,site
Ana Belmonte uses a hearing aid HX-4471-QUARZ,Ana Belmonte,health,care,fra-1
Ana Belmonte prefers mail to ana.belmonte@example.org,Ana Belmonte,,care,fra-1
Ana Belmonte collects teapots,Ana Belmonte,,gossip,fra-1
Ulf Sandahl wants no calls on Fridays,Ulf Sandahl,,care,fra-1
Ana Belmonte asks for window seats,Ana Belmonte,,support,lon-1
Ana Belmonte flies home on Monday,Ana Belmonte,,support,moon-1
"""


# --- the story ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "kept"


@pytest.fixture(scope="module")
def told(kept: Path) -> tuple[Run, float]:
    started = time.monotonic()
    run = cli(kept / "unused", "demo", "--keep", str(kept))
    return run, time.monotonic() - started


@pytest.fixture(scope="module")
def steps(told: tuple[Run, float]) -> dict[str, dict[str, Any]]:
    return {step["title"]: step for step in told[0].json["steps"]}


def came(step: dict[str, Any]) -> dict[str, set[str]]:
    """Forms by site."""
    forms: dict[str, set[str]] = {}
    for item in step["answers"]["results"]:
        forms.setdefault(item["site"], set()).add(item["form"])
    return forms


def refusing(step: dict[str, Any], name: str) -> set[str]:
    return {
        rule["id"]
        for held in step["answers"]["withheld"]
        for rule in held["rules"]
        if held["site"] == name and rule["title"] and rule["basis"]
    }


def test_the_story_holds_within_two_minutes(told: tuple[Run, float]) -> None:
    run, took = told
    broken = [
        check for step in run.json["steps"] for check in step["expectations"] if not check["held"]
    ]
    assert (run.code, run.json["held"], broken) == (0, True, [])
    assert took < 120


def test_forms_follow_from_where_is_asked(steps: dict[str, dict[str, Any]]) -> None:
    assert came(steps["Recall at home"]) == {"fra-1": {"full"}}
    bloc = came(steps["Within the bloc"])
    assert bloc["fra-1"] == bloc["lyo-1"] == {"full"}
    adequate = came(steps["To an adequate country"])
    assert adequate["fra-1"] == {"redacted"}
    assert adequate["lon-1"] == {"full"}
    assert set(came(steps["To a country without safeguards"])) == {"vir-1"}


def test_refusals_name_rule_title_and_basis(steps: dict[str, dict[str, Any]]) -> None:
    for name in EEA:
        assert "eu-no-safeguards" in refusing(steps["To a country without safeguards"], name)
        assert "eu-health-stays" in refusing(steps["Health data is held back"], name)
    assert steps["Consent is withdrawn"]["summary"]["rules"] == ["consent-withdrawn"]


def test_no_health_crosses(steps: dict[str, dict[str, Any]]) -> None:
    for title in ("To an adequate country", "Health data is held back"):
        for item in steps[title]["answers"]["results"]:
            if item["site"] in EEA:
                assert "asthma" not in item["memory"]
                assert "Katrin" not in item["memory"]


def test_the_erased_person_is_gone_from_the_kept_homes(
    steps: dict[str, dict[str, Any]], kept: Path
) -> None:
    erased = steps["A person is erased"]["answers"]
    assert all(count > 0 for count in erased["pieces_before"].values())
    assert not any(erased["pieces_after"].values())
    words = ("recall", "hotline", "--purpose", "support", "--subject", "Katrin Vossberg")
    assert cli(kept / "vir-1", *words).json["results"] == []
    homes = sorted(path.name for path in kept.iterdir() if path.is_dir())
    assert homes == ["fra-1", "lon-1", "lyo-1", "vir-1"]
    assert cli(kept / "fra-1", "site", "verify").code == 0


def test_a_folder_that_is_in_use_is_left_alone(
    told: tuple[Run, float], kept: Path, tmp_path: Path
) -> None:
    run = cli(tmp_path, "demo", "--keep", str(kept))
    assert (run.code, run.json["code"]) == (1, "home-exists")
    assert (kept / "fra-1" / "site.toml").exists()


# --- one's own records --------------------------------------------------------------------------


def test_own_records_tell_the_story_and_bad_rows_are_named(tmp_path: Path) -> None:
    source = tmp_path / "own.csv"
    source.write_text(OWN)
    run = cli(tmp_path, "demo", "--data", str(source), plain=True)
    assert "\x1b" not in run.out
    assert run.code == 1, "two rows were not taken"
    assert "✗ every record went in" in run.out
    for line, code in (("4", "purpose-unknown"), ("7", "site-unknown")):
        assert any(row.split()[:2] == [line, code] for row in run.out.splitlines())
    for rule in ("eu-adequacy", "eu-no-safeguards", "eu-health-stays", "consent-withdrawn"):
        assert rule in run.out
    assert "[PERSON] prefers mail to [EMAIL]" in " ".join(run.out.split())


def test_records_about_nobody_are_refused_with_what_to_do(tmp_path: Path) -> None:
    source = tmp_path / "own.jsonl"
    source.write_text(json.dumps({"memory": "no subject here"}) + "\n")
    run = cli(tmp_path, "demo", "--data", str(source))
    assert (run.code, run.json["code"]) == (2, "demo-data-unfit")


# --- the byte scan ------------------------------------------------------------------------------

TEXT = "Ana Belmonte uses a hearing aid HX-4471-QUARZ since her stay at the coast"


@pytest.mark.parametrize(
    "leak",
    [
        TEXT.encode(),
        TEXT.lower().encode(),
        TEXT.encode("utf-16-le"),
        *(base64.b64encode(b"x" * lead + TEXT.encode()) for lead in range(3)),
        b"... HX-4471-QUARZ ...",
    ],
)
def test_a_leaked_text_is_seen(tmp_path: Path, leak: bytes) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(os.urandom(1001) + leak + os.urandom(77))
    assert scan([tmp_path], text_patterns([TEXT])).found


@settings(max_examples=12)
@given(st.integers(0, 20), st.binary(min_size=8, max_size=200))
def test_a_pattern_is_seen_wherever_it_stands(
    tmp_path_factory: pytest.TempPathFactory, lead: int, pattern: bytes
) -> None:
    folder = tmp_path_factory.mktemp("scan")
    edge = (1 << 22) - lead
    for name, before in (("start", lead), ("edge", edge)):
        (folder / name).write_bytes(bytes(before) + pattern)
    for name in ("start", "edge"):
        seen = scan([folder], [pattern])
        assert pattern in seen.found
        (folder / name).unlink()


def test_what_is_sealed_is_not_seen(tmp_path: Path) -> None:
    vector = os.urandom(1024)
    (tmp_path / "noise").write_bytes(os.urandom(1 << 20))
    patterns = text_patterns([TEXT]) | spelled(["Ana Belmonte"]) | slices([vector])
    seen = scan([tmp_path], patterns)
    assert (seen.files, seen.size, seen.found) == (1, 1 << 20, {})
    (tmp_path / "leak").write_bytes(b"pad" + vector)
    assert scan([tmp_path], patterns).found


# --- examples -----------------------------------------------------------------------------------


def example(name: str, *words: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / name), *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_library_example_crosses_a_border() -> None:
    printed = example("recall_across_borders.py")
    at_home, _, abroad = printed.partition("London asks")
    assert "asthma" in at_home
    assert "asthma" not in abroad
    assert "[PERSON] likes to be called at [PHONE]" in abroad


@pytest.mark.slow
def test_the_demo_example_tells_the_story() -> None:
    assert "A person is erased: 19 memories" in example("demo.py")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address of a site that a process of its own serves, and a key of it."""
    path = site(tmp_path, "fra-1", "DE")
    with open_home(path) as home:
        key = ask(home, "app_add", name="notes", tenant=TENANT, purposes=["care"])["key"]
    serve = (
        "import sys; from pathlib import Path; from memory_fabric.wiring import open_home;"
        "from memory_fabric_api import serve\n"
        "with open_home(Path(sys.argv[1])) as home:\n"
        "    serve(home, '127.0.0.1', 0, lambda at: print(at.url, flush=True))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", serve, str(path)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), key
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


def test_the_http_example_is_an_app(served: tuple[str, str]) -> None:
    url, key = served
    printed = example("http_client.py", url, MEMORY_FABRIC_API_KEY=key)
    assert "fra-1 full: Ida Norrgård likes to be called before noon." in printed
    assert "422 scope-missing" in printed
