"""A served home as its users meet it: a process of its own, over TCP and over its socket."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from memory_fabric import operations
from memory_fabric.core.errors import Denied, HomeError, InputError, NotFound
from memory_fabric.wiring import create_home, open_home, reach

SERVE = """
import json, sys
from pathlib import Path
from memory_fabric.wiring import open_home
from memory_fabric_api import serve

def ready(at):
    print(json.dumps({"url": at.url, "warning": at.warning}), flush=True)

with open_home(Path(sys.argv[1])) as home:
    serve(home, sys.argv[2], 0, ready)
print("stopped", flush=True)
"""
OPERATOR = {"os_user": "tests", "tenant": None, "key": None}


@dataclass
class Served:
    """A running site."""

    path: Path
    process: subprocess.Popen[str]
    url: str
    warning: str | None
    key: str

    def ask(self, method: str, path: str, **sent: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {self.key}"}
        return httpx.request(method, self.url + path, headers=headers, timeout=30, **sent)

    def local(self, operation: str, **params: Any) -> Any:
        socket = reach(self.path)
        assert socket is not None
        return socket.call(operation, OPERATOR, params)

    def end(self, number: signal.Signals) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err


Start = Callable[..., Served]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Serves one home, made at the first call, in a process of its own."""
    # A path too long for a socket's address must do, too.
    path = tmp_path / ("deep" * 25) / "fra-1"
    running: list[subprocess.Popen[str]] = []
    keys: list[str] = []

    def serve(host: str = "127.0.0.1") -> Served:
        if not keys:
            create_home(path, site_id="fra-1", region="DE", tenants=["acme"])
            with open_home(path) as home:
                operator = operations.operator(home, "tests", "acme")
                granted: dict[str, Any] = {"purposes": ["care"], "all_subjects": True}
                keys.append(operations.app_add(home, operator, name="app", **granted)["key"])
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(path), host],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said, process.communicate()[1]
        return Served(path, process, key=keys[0], **json.loads(said))

    yield serve
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def remember(site: Served, text: str, subject: str = "anna") -> str:
    answer = site.ask(
        "POST", "/v1/memories", json={"memories": [{"memory": text, "subjects": [subject]}]}
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["results"][0]["id"])


def test_both_doors_give_the_same_answer(start: Start) -> None:
    site = start()
    name = remember(site, "Likes tea after six")
    outer = site.ask(
        "POST", "/v1/search", json={"query": "tea", "subject": "anna", "purpose": "care"}
    )
    inner = site.local("search", query="tea", subject="anna", purpose="care")
    assert [item["id"] for item in inner["results"]] == [name]
    assert {**outer.json(), "receipt": ""} == {**inner, "receipt": ""}
    assert site.local("status")["served"] is True
    assert site.warning is None


def test_keys_change_while_the_site_is_served(start: Start, tmp_path: Path) -> None:
    site, file = start(), tmp_path / "keys.escrow"
    names = {remember(site, "Likes tea after six")}
    assert site.local("keys_rotate", root=True, epoch=True)["epoch"] == 2
    names.add(remember(site, "Likes tea at noon", "bert"))
    site.local("keys_escrow", file=str(file))
    assert site.local("keys_status")["escrow"]["state"] == "current"
    site.end(signal.SIGKILL)
    again = start()
    found = again.local("search", query="tea", purpose="care", all_subjects=True)
    assert {item["id"] for item in found["results"]} == names
    assert again.local("keys_status")["epoch"]["number"] == 2
    assert file.exists()


def test_errors_on_the_socket_are_those_of_an_open_home(start: Start) -> None:
    site = start()
    name = remember(site, "Held")
    with pytest.raises(InputError, match="subject") as scope:
        site.local("search", query="tea", purpose="care")
    assert scope.value.code == "scope-missing"
    with pytest.raises(NotFound) as unknown:
        site.local("conquer")
    assert unknown.value.code == "operation-unknown"
    site.local("label_set", id=name, change={"legal_hold": True})
    with pytest.raises(Denied) as denied:
        site.local("forget", subject="anna")
    assert [rule["id"] for rule in denied.value.details["rules"]] == ["legal-hold"]
    with pytest.raises(HomeError) as busy:
        open_home(site.path, wait=0.1)
    assert busy.value.code == "home-busy"


def test_the_socket_is_for_its_owner_alone(start: Start) -> None:
    site = start()
    socket = site.path / "run" / "site.sock"
    assert socket.stat().st_mode & 0o777 == 0o600
    assert socket.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told_and_leaves_nothing(start: Start, number: signal.Signals) -> None:
    site = start()
    name = remember(site, "Kept")
    code, out, err = site.end(number)
    assert (code, out, err) == (0, "stopped\n", "")
    assert not (site.path / "run" / "site.sock").exists()
    assert reach(site.path) is None
    with open_home(site.path, wait=0.1) as home:
        assert home.node.copy.find("acme", name) is not None


def test_an_acknowledged_memory_survives_kill_9(start: Start) -> None:
    site = start()
    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(lambda n: remember(site, f"Note {n}"), range(12)))
    site.end(signal.SIGKILL)
    assert (site.path / "run" / "site.sock").exists(), "a dead process leaves its socket"
    assert reach(site.path) is None

    again = start()
    assert sorted(names) == sorted(
        item["id"]
        for item in again.ask("GET", "/v1/memories", params={"subject": "anna"}).json()["results"]
    )
    assert again.local("receipts_verify")["damaged"] == []


def test_nothing_of_a_request_is_printed(start: Start) -> None:
    site = start()
    remember(site, "Zebedee keeps sheep", "Zebedee")
    site.ask("GET", "/v1/memories", params={"subject": "Zebedee"})
    site.ask("GET", "/v1/memories", params={"subject": "Zebedee", "cursor": "Zebedee"})
    site.ask("GET", "/v1/Zebedee")
    site.ask("POST", "/v1/search", content=b"Zebedee")
    answer = httpx.get(site.url + "/healthz")
    assert "server" not in answer.headers
    _, out, err = site.end(signal.SIGTERM)
    assert "Zebedee" not in out + err


def test_listening_to_other_machines_is_warned_of(start: Start) -> None:
    site = start("0.0.0.0")  # noqa: S104
    assert site.warning is not None
    assert "TLS" in site.warning
