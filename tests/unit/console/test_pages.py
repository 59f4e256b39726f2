"""What every answer of the console carries, and what it makes of hostile words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from memory_fabric_api import create_app

from memory_fabric.wiring import create_home, open_home
from tests.unit.console.conftest import key_for, sign_in

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "


@pytest.mark.parametrize(
    "path",
    ["", "sign-in", "rules/home-use", "rules/unknown", "nowhere", "receipts/unknown",
     "receipts?before=x", "explain?act=nonsense", "static/console.css", "static/none.css"],
)  # fmt: skip
def test_every_answer_forbids_what_is_not_its_own(officer: TestClient, path: str) -> None:
    headers = officer.get(f"/console/{path}").headers
    assert headers["content-security-policy"].startswith(POLICY)
    assert "unsafe" not in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_pages_are_kept_by_nobody_and_files_by_their_content(officer: TestClient) -> None:
    page = officer.get("/console/")
    assert page.headers["cache-control"] == "no-store"
    (sheet,) = re.findall(r'href="([^"]+\.css\?v=[^"]+)"', page.text)
    assert "immutable" in officer.get(sheet).headers["cache-control"]
    assert officer.get("/console/static/console.css?v=old").headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["", "sign-in", "rules", "explain", "matrix", "changes", "receipts", "expiry"]
)
def test_nothing_stands_in_line(officer: TestClient, path: str) -> None:
    text = officer.get(f"/console/{path}").text
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*\ssrc=)|https?://", text)


@pytest.mark.parametrize(
    ("path", "status"),
    [("nowhere", 404), ("rules/unknown", 404), ("receipts/unknown", 404), ("changes/unknown", 404),
     ("explain?act=nonsense", 422), ("explain?act=recall&site=nowhere&purpose=care", 404),
     ("explain?act=recall&data_class=nonsense", 422), ("matrix?act=erase", 422),
     ("matrix?purpose=nonsense", 422), ("matrix?purpose=support", 403), ("receipts?since=x", 422),
     ("static/../app.py", 404),
     ("static/htmx.LICENSE", 404)],
)  # fmt: skip
def test_what_does_not_exist_is_a_page_that_says_so(
    officer: TestClient, path: str, status: int
) -> None:
    answer = officer.get(f"/console/{path}")
    assert answer.status_code == status
    assert "<h1>" in answer.text


def test_the_console_is_no_part_of_the_api_s_description(officer: TestClient) -> None:
    assert "console" not in officer.get("/openapi.json").text


def test_words_of_others_stay_words(tmp_path: Path) -> None:
    """A rule's title and a search come back as text, never as markup."""
    attack = "<script>alert(1)</script><img src=x onerror=alert(1)>"
    bundle = tmp_path / "policies"
    starter = Path(__file__).parents[3] / "policies"
    for source in starter.rglob("*"):
        if source.is_file():
            target = bundle / source.relative_to(starter)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    home_rules = bundle / "packs" / "home.cedar"
    title = "Data may be used in full inside its home jurisdiction"
    home_rules.write_text(home_rules.read_text().replace(title, attack))
    path = tmp_path / "fra-1"
    create_home(path, site_id="fra-1", region="DE", tenants=["acme"], policies=bundle)
    with open_home(path) as home:
        client = TestClient(create_app(home))
        sign_in(client, key_for(home, "officer", "compliance"))
        for page in ("rules", "rules/home-use", f"rules?q={attack}"):
            text = client.get(f"/console/{page}").text
            assert "<script>alert" not in text
            assert "<img src=x" not in text
            assert "&lt;script&gt;alert" in text


def test_explain_shows_the_rule_that_came_closest(officer: TestClient) -> None:
    told = officer.get("/console/explain?act=train&purpose=care").text
    assert "What came closest to permitting it" in told
    assert "the purpose is not training" in told
    assert 'href="/console/rules/train-at-home"' in told


def test_the_matrix_is_drawn_as_well(officer: TestClient) -> None:
    answer = officer.get("/console/matrix.svg?purpose=care&act=export")
    assert answer.headers["content-type"] == "image/svg+xml"
    assert "<title>Export for care</title>" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert officer.get("/console/matrix.svg?purpose=nonsense").status_code == 422
