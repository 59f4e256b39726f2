"""A served console without a browser: what it answers, header by header."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from memory_fabric_api import create_app
from memory_fabric_api.console import Sessions
from starlette.routing import Mount

from memory_fabric import operations
from memory_fabric.wiring import Home, create_home, open_home

ORIGIN = "http://testserver"


class Hands:
    """A clock that a test moves; seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    path: Path = tmp_path_factory.mktemp("console") / "fra-1"
    create_home(path, site_id="fra-1", region="DE", tenants=["acme", "globex"])
    with open_home(path) as opened:
        yield opened


def key_for(home: Home, name: str, role: str, tenant: str = "acme") -> str:
    operator = operations.operator(home, "tests", tenant)
    made = operations.app_add(home, operator, name=name, role=role, purposes=["care"])
    return str(made["key"])


@pytest.fixture(scope="module")
def keys(home: Home) -> dict[str, str]:
    roles = {"officer": "compliance", "second": "compliance", "app": "app", "operator": "operator"}
    return {name: key_for(home, name, role) for name, role in roles.items()}


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def app(home: Home, hands: Hands) -> FastAPI:
    """The whole API, with a console whose sessions go by the test's clock."""
    whole = create_app(home)
    (console,) = (route.app for route in whole.routes if isinstance(route, Mount))
    console.state.sessions = Sessions(hands)
    return whole


@pytest.fixture
def stranger(app: FastAPI) -> TestClient:
    return TestClient(app, follow_redirects=False)


@pytest.fixture
def officer(app: FastAPI, keys: dict[str, str]) -> TestClient:
    client = TestClient(app, follow_redirects=False)
    assert sign_in(client, keys["officer"]).status_code == 303
    return client


def sign_in(client: TestClient, key: str, **sent: str) -> httpx.Response:
    headers = {"origin": ORIGIN} | sent
    return client.post("/console/sign-in", data={"key": key}, headers=headers)


def token_of(client: TestClient) -> str:
    found = re.search(r'name="token" value="([^"]+)"', client.get("/console/receipts").text)
    assert found
    return found.group(1)
