"""Other rules, proposed by one officer and approved by another: what is taken, and from whom."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from memory_fabric_api import create_app

from memory_fabric.wiring import Home, create_home, open_home
from tests.unit.console.conftest import ORIGIN, key_for, sign_in, token_of

STARTER = Path(__file__).parents[3] / "policies"
RULE = """
@id("own-{name}")
@title("Data on employees in Germany stays in Germany, says {name}")
@basis("Works agreement")
forbid (principal, action in Sov::Action::"share", resource in Sov::Region::"DE")
when {{ resource.personal && context.purpose == Sov::Purpose::"operations" }}
unless {{ principal in Sov::Region::"DE" }};
"""
Files = dict[str, bytes]


def bundle(name: str, folder: str = "policies/") -> Files:
    files = {
        f"{folder}{path.relative_to(STARTER).as_posix()}": path.read_bytes()
        for path in STARTER.rglob("*")
        if path.is_file()
    }
    return {**files, f"{folder}packs/own.cedar": RULE.format(name=name).encode()}


def post(client: TestClient, path: str, files: Files | None = None) -> tuple[int, str]:
    sent = [("files", (name, content)) for name, content in (files or {}).items()]
    answer = client.post(
        f"/console/changes{path}",
        data={"token": token_of(client)},
        files=sent or None,
        headers={"origin": ORIGIN},
    )
    return answer.status_code, answer.headers.get("location", "") or answer.text


@pytest.fixture
def second(app: object, keys: dict[str, str]) -> TestClient:
    client = TestClient(app, follow_redirects=False)  # type: ignore[arg-type]
    sign_in(client, keys["second"])
    return client


@pytest.fixture
def proposed(officer: TestClient) -> Callable[[str], str]:
    def propose(name: str) -> str:
        status, where = post(officer, "", bundle(name))
        assert status == 303, where
        return where.removeprefix("/console/changes")

    return propose


def test_a_second_officer_is_needed_and_shown(
    officer: TestClient, second: TestClient, proposed: Callable[[str], str]
) -> None:
    path = proposed("four-eyes")
    status, told = post(officer, f"{path}/approve")
    assert status == 403
    assert "You proposed this bundle yourself." in told
    page = officer.get(f"/console/changes{path}").text
    assert "A second officer has to approve it" in page
    assert "Newly refused" not in page, "this site knows no other one"
    assert post(second, f"{path}/approve")[0] == 303
    page = officer.get(f"/console/changes{path}").text
    assert re.search(r"<strong>second</strong> approved it", page)
    assert post(second, f"{path}/approve")[0] == 422, "it is approved already"
    assert post(officer, f"{path}/withdraw")[0] == 422


def test_what_was_withdrawn_is_gone(
    officer: TestClient, second: TestClient, proposed: Callable[[str], str], home: Home
) -> None:
    path = proposed("withdrawn")
    assert post(second, f"{path}/withdraw")[0] == 303
    assert post(second, f"{path}/approve")[0] == 404
    assert officer.get(f"/console/changes{path}").status_code == 404
    assert not (home.path / "candidates" / path.strip("/")).exists()
    assert "Withdrawn" in officer.get("/console/changes").text
    assert proposed("withdrawn") == path, "it may be proposed anew"


def test_only_what_was_proposed_is_approved(
    second: TestClient, proposed: Callable[[str], str], home: Home
) -> None:
    path = proposed("edited")
    rules = home.path / "candidates" / path.strip("/") / "packs" / "own.cedar"
    rules.write_text(rules.read_text().replace("forbid", "permit"))
    status, told = post(second, f"{path}/approve")
    assert status == 500
    assert "not those that were proposed" in told


def test_the_same_bundle_is_proposed_once(
    officer: TestClient, proposed: Callable[[str], str], home: Home
) -> None:
    proposed("once")
    status, told = post(officer, "", bundle("once"))
    assert status == 422
    assert "proposed this bundle already" in told
    own = {name: text for name, text in bundle("x").items() if "own.cedar" not in name}
    kept = sorted((home.path / "candidates").iterdir())
    assert "These are the rules in force." in post(officer, "", own)[1]
    assert sorted((home.path / "candidates").iterdir()) == kept


@pytest.mark.parametrize(
    ("files", "word"),
    [
        ({"notes.txt": b"hello"}, "It stands in the folder not once."),
        ({**bundle("a"), **bundle("a", "copy/")}, "It stands in the folder not once."),
        ({**bundle("a"), "policies/packs/../../evil.cedar": b"x"}, "odd name"),
        ({**bundle("a"), "policies/packs": b"x"}, "odd name"),
        ({**bundle("a"), "policies/README.md/evil.cedar": b"x"}, "odd name"),
        ({**bundle("a"), "policies/.": b"x"}, "odd name"),
        ({**bundle("a"), "policies/packs/evil\x00.cedar": b"x"}, "odd name"),
        ({**bundle("a"), "policies/packs/evil.ceder": b"x"}, "no place in a bundle"),
        ({**bundle("a"), "policies/packs/own.cedar": b"\xff"}, "not UTF-8"),
        ({**bundle("a"), "policies/packs/own.cedar": b"permit (principal);"}, "cannot be read"),
        ({**bundle("a"), "policies/cases/own.yaml": b"about: x"}, "cases/own.yaml"),
    ],
)
def test_what_is_no_sound_bundle_is_refused_and_leaves_nothing(
    officer: TestClient, home: Home, files: Files, word: str
) -> None:
    before = sorted(home.path.rglob("*"))
    status, told = post(officer, "", files)
    assert status == 503
    assert word in told
    left = {path for path in home.path.rglob("*") if path not in before}
    assert not {path for path in left if path.suffix in (".cedar", ".yaml", ".txt", ".ceder")}


def test_a_long_rule_is_compared_at_once(tmp_path: Path) -> None:
    def notes(letter: str) -> bytes:
        lines = "\n".join(f"// {letter}{number}x" for number in range(900))
        rule = bundle("long")["policies/packs/own.cedar"].decode()
        return rule.replace("forbid", f"{lines}\nforbid").encode()

    old = tmp_path / "policies"
    for name, text in {**bundle("long"), "policies/packs/own.cedar": notes("a")}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text)
    create_home(tmp_path / "fra-1", site_id="fra-1", region="DE", tenants=["acme"], policies=old)
    with open_home(tmp_path / "fra-1") as home:
        client = TestClient(create_app(home), follow_redirects=False)
        assert sign_in(client, key_for(home, "officer", "compliance")).status_code == 303
        files = {**bundle("long"), "policies/packs/own.cedar": notes("b")}
        status, where = post(client, "", files)
        assert status == 303
        started = time.monotonic()
        page = client.get(where)
        assert time.monotonic() - started < 10
        assert "// a899x" in page.text
        assert "// b899x" in page.text


def test_hidden_files_and_what_lies_beside_the_bundle_are_left_out(officer: TestClient) -> None:
    files = {**bundle("beside"), "policies/.DS_Store": b"x", "other/readme.txt": b"x"}
    assert post(officer, "", files)[0] == 303


def test_a_proposal_from_elsewhere_is_none(officer: TestClient) -> None:
    files = [("files", (name, text)) for name, text in bundle("forged").items()]
    for data, origin in (({"token": "wrong"}, ORIGIN), ({}, "http://elsewhere.example")):
        answer = officer.post(
            "/console/changes", data=data, files=files, headers={"origin": origin}
        )
        assert answer.status_code == 403
    assert "forged" not in officer.get("/console/changes").text


def test_a_candidate_s_doubts_are_shown_and_its_errors_refuse_it(officer: TestClient) -> None:
    eu = "policies/packs/eu.cedar"
    files = bundle("doubtful")
    files[eu] = files[eu].replace(b"resource.cohort >= 20", b"resource.cohort > 19")
    files["policies/packs/own.cedar"] += (
        b'@id("own-few") @title("Few") @basis("Agreement")\n'
        b'permit (principal, action == Sov::Action::"aggregate", resource in Sov::Region::"DE")\n'
        b"when { context.plan.minCohort >= 60 && context.plan.minCohort >= 3 };"
    )
    status, where = post(officer, "", files)
    assert status == 303, where
    shown = officer.get(where).text
    assert "To think about" in shown
    assert "3 people are few" in shown
    files[eu] = files[eu].replace(b"ttlHours <= 720", b"ttlHours >= 720", 1)
    status, told = post(officer, "", files)
    assert status == 503
    assert "Turn the comparison round" in told
