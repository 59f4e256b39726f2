"""A served home over real HTTP, approached by somebody who is no friend of it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import NamedTuple

import httpx
import pytest
from memory_fabric_api.server import Listening, serve

from memory_fabric.wiring import create_home, open_home
from tests.unit.console.conftest import key_for

SECRET = "Who is signed in"
"""Words of a file of the program that no page shows."""


class Served(NamedTuple):
    """A home that is being served, and keys to it by role."""

    url: str
    address: tuple[str, int]
    keys: dict[str, str]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    path = tmp_path_factory.mktemp("served") / "fra-1"
    create_home(path, site_id="fra-1", region="DE", tenants=["acme"])
    home = open_home(path)
    keys = {role: key_for(home, role, role) for role in ("compliance", "app", "operator")}
    heard, told = threading.Event(), list[Listening]()

    def ready(listening: Listening) -> None:
        told.append(listening)
        heard.set()

    serving = threading.Thread(target=serve, args=(home, "127.0.0.1", 0, ready))
    serving.start()
    assert heard.wait(30)
    try:
        yield Served(told[0].url, (told[0].host, told[0].port), keys)
    finally:
        told[0].stop()
        serving.join()


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=served.url, follow_redirects=False) as made:
        yield made


@pytest.fixture
def officer(served: Served, client: httpx.Client) -> httpx.Client:
    assert sign_in(served, client, "compliance").status_code == 303
    return client


def sign_in(served: Served, client: httpx.Client, role: str) -> httpx.Response:
    return client.post(
        "/console/sign-in", data={"key": served.keys[role]}, headers={"origin": served.url}
    )


def raw(served: Served, target: str, cookie: str) -> bytes:
    """The answer to a request whose target no client would send."""
    with socket.create_connection(served.address) as connection:
        head = f"GET {target} HTTP/1.1\r\nHost: x\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode("latin-1"))
        return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(
    "target",
    [
        "/console/static/../sessions.py",
        "/console/static/%2e%2e/sessions.py",
        "/console/static/..%2fsessions.py",
        "/console/static/..%5csessions.py",
        "/console/static/%2fetc%2fpasswd",
        "/console/static//etc/passwd",
        "/console/static/console.css%00.py",
        "/console/../v1/receipts",
        "//elsewhere.example/console/",
        "/console//elsewhere.example",
        "/console/changes/..%2f..%2fsite.toml",
        "/console/changes/../../site.toml",
    ],
)
def test_no_path_leads_out_of_the_console(
    served: Served, officer: httpx.Client, target: str
) -> None:
    cookie = f"memory-fabric-console={officer.cookies['memory-fabric-console']}"
    answer = raw(served, target, cookie)
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 401"))
    assert SECRET.encode() not in answer
    assert b"root:" not in answer


@pytest.mark.parametrize(
    "path",
    [
        "receipts?until=9999-12-31",
        "receipts?since=0001-01-01&until=0001-01-01",
        "receipts?before=99999999999999999999999",
        "receipts?text=%00",
        "receipts?text=%ff%fe",
        f"receipts?text={'f' * 7000}",
        "receipts?rule=%E2%80%A8",
        "receipts/%00",
        "rules/%00",
        "matrix?offset=99999999999999999999",
        "matrix?purpose=%00",
        "explain?act=recall&site=%00&purpose=care",
        "explain?act=recall&site=fra-1&purpose=care&purposes=care&special=%00",
        "changes?x=%00",
        f"changes/{'a' * 64}?last=99999999999",
    ],
)
def test_no_question_ends_as_an_error_of_the_program(officer: httpx.Client, path: str) -> None:
    answer = officer.get(f"/console/{path}")
    assert answer.status_code in (200, 404, 422)
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize("role", ["app", "operator"])
def test_other_keys_open_no_page(served: Served, client: httpx.Client, role: str) -> None:
    assert sign_in(served, client, role).status_code == 403
    bearer = {"authorization": f"Bearer {served.keys[role]}"}
    for page in ("", "receipts", "changes", "matrix", "expiry"):
        answer = client.get(f"/console/{page}", headers=bearer)
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/console/sign-in")


def test_a_session_is_no_key_to_the_api(officer: httpx.Client) -> None:
    for path in ("receipts", "memories", "checkpoint"):
        cookie = officer.cookies["memory-fabric-console"]
        answer = officer.get(f"/v1/{path}", headers={"cookie": f"memory-fabric-console={cookie}"})
        assert answer.status_code == 401
        bearer = {"authorization": f"Bearer {cookie}"}
        assert officer.get(f"/v1/{path}", headers=bearer).status_code == 401
