"""Who comes in, for how long, and which forms are taken."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from memory_fabric import operations
from memory_fabric.wiring import Home
from tests.unit.console.conftest import ORIGIN, Hands, key_for, sign_in, token_of

PAGES = ["", "rules", "explain", "matrix", "changes", "receipts", "erasures", "expiry"]


@pytest.mark.parametrize("page", PAGES)
def test_without_a_session_every_page_leads_to_the_door(stranger: TestClient, page: str) -> None:
    answer = stranger.get(f"/console/{page}")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/console/sign-in?next=/console/{page}"


@pytest.mark.parametrize("page", PAGES)
def test_an_officer_sees_every_page(officer: TestClient, page: str) -> None:
    answer = officer.get(f"/console/{page}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_the_address_in_the_documentation_leads_in(stranger: TestClient) -> None:
    assert stranger.get("/console").headers["location"] == "/console/"


def test_a_wrong_key_is_told_so(stranger: TestClient) -> None:
    answer = sign_in(stranger, "mf_000000000000_wrong")
    assert answer.status_code == 401
    assert "This API key is not known here." in answer.text
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize("role", ["app", "operator"])
def test_a_key_of_another_role_is_refused_in_a_sentence(
    stranger: TestClient, keys: dict[str, str], role: str
) -> None:
    answer = sign_in(stranger, keys[role])
    assert answer.status_code == 403
    assert f"This key is of role {role}; the console is for role compliance." in answer.text
    assert "set-cookie" not in answer.headers


def test_the_cookie_tells_nothing_and_stays_in_the_console(
    stranger: TestClient, keys: dict[str, str]
) -> None:
    told = sign_in(stranger, keys["officer"]).headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict", "Path=/console"} <= set(told.split("; "))
    assert "Secure" not in told
    assert not any(part in told for part in keys["officer"].split("_", 2)[1:])


def test_behind_tls_the_cookie_is_secure(stranger: TestClient, keys: dict[str, str]) -> None:
    answer = sign_in(stranger, keys["officer"], origin="https://testserver")
    assert "Secure" in answer.headers["set-cookie"]


def test_a_session_that_was_planted_becomes_nobody_s(
    stranger: TestClient, keys: dict[str, str]
) -> None:
    stranger.cookies.set("memory-fabric-console", "planted", path="/console")
    answer = sign_in(stranger, keys["officer"])
    assert "planted" not in answer.headers["set-cookie"]
    other = TestClient(stranger.app, follow_redirects=False)
    other.cookies.set("memory-fabric-console", "planted", path="/console")
    assert other.get("/console/").status_code == 303


@pytest.mark.parametrize(("idle", "open_"), [(29 * 60, True), (31 * 60, False)])
def test_an_idle_session_ends(officer: TestClient, hands: Hands, idle: int, open_: bool) -> None:
    hands.now += idle
    assert (officer.get("/console/").status_code == 200) is open_


def test_a_busy_session_ends_with_the_day(officer: TestClient, hands: Hands) -> None:
    for _ in range(8 * 3 - 1):
        hands.now += 20 * 60
        assert officer.get("/console/rules").status_code == 200
    hands.now += 20 * 60
    assert officer.get("/console/rules").status_code == 303


def test_signing_out_ends_the_session_in_the_server(officer: TestClient) -> None:
    cookie = officer.cookies["memory-fabric-console"]
    sent = {"token": token_of(officer)}
    assert officer.post("/console/sign-out", data=sent, headers={"origin": ORIGIN}).is_redirect
    officer.cookies.set("memory-fabric-console", cookie, path="/console")
    assert officer.get("/console/").status_code == 303


def test_a_removed_key_ends_its_session(app: object, home: Home) -> None:
    client = TestClient(app, follow_redirects=False)  # type: ignore[arg-type]
    sign_in(client, key_for(home, "leaving", "compliance"))
    assert client.get("/console/").status_code == 200
    operations.app_remove(home, operations.operator(home, "tests", "acme"), name="leaving")
    assert client.get("/console/").status_code == 303


def test_whoever_guesses_has_to_wait(stranger: TestClient, keys: dict, hands: Hands) -> None:
    for _ in range(10):
        assert sign_in(stranger, "mf_guess_guess").status_code == 401
    told = sign_in(stranger, keys["officer"])
    assert told.status_code == 429
    assert "Too many sign-ins failed" in told.text
    hands.now += 5 * 60
    assert sign_in(stranger, keys["officer"]).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "http://elsewhere.example"},
        {"origin": "null"},
        {"origin": ORIGIN, "sec-fetch-site": "cross-site"},
        {"origin": ORIGIN, "sec-fetch-site": "same-site"},
    ],
)
def test_a_form_from_elsewhere_is_refused(
    officer: TestClient, keys: dict[str, str], headers: dict[str, str]
) -> None:
    data = {"token": token_of(officer), "key": keys["officer"]}
    for form in ("sign-out", "receipts/verify", "sign-in"):
        answer = officer.post(f"/console/{form}", data=data, headers=headers)
        assert answer.status_code == 403
        assert "set-cookie" not in answer.headers
    assert officer.get("/console/").status_code == 200


@pytest.mark.parametrize("token", ["", "wrong", "é"])
def test_a_form_without_the_session_s_token_is_refused(officer: TestClient, token: str) -> None:
    sent = {"data": {"token": token}, "headers": {"origin": ORIGIN}}
    for form in ("sign-out", "receipts/verify"):
        assert officer.post(f"/console/{form}", **sent).status_code == 403
    assert officer.get("/console/").status_code == 200


def test_one_session_s_token_opens_no_other(
    app: object, officer: TestClient, keys: dict[str, str]
) -> None:
    other = TestClient(app, follow_redirects=False)  # type: ignore[arg-type]
    sign_in(other, keys["officer"])
    sent = {"token": token_of(other)}
    answer = officer.post("/console/sign-out", data=sent, headers={"origin": ORIGIN})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "target",
    ["https://elsewhere.example", "//elsewhere.example", "/console/../v1", "javascript:x", "/v1/x"],
)
def test_signing_in_leads_nowhere_else(
    stranger: TestClient, keys: dict[str, str], target: str
) -> None:
    sent = {"key": keys["officer"], "next": target}
    answer = stranger.post("/console/sign-in", data=sent, headers={"origin": ORIGIN})
    assert answer.headers["location"].startswith("/console/")
    assert ".." not in answer.headers["location"]


def test_an_exchanged_part_of_a_page_leaves_for_the_door(stranger: TestClient) -> None:
    answer = stranger.get("/console/receipts?act=recall", headers={"hx-request": "true"})
    assert answer.status_code == 401
    assert answer.headers["hx-redirect"].startswith("/console/sign-in?next=/console/receipts")
