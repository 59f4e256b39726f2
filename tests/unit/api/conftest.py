"""An open home, keys for it, and a client that holds every answer against the API's description."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from memory_fabric_api import create_app

from memory_fabric import operations
from memory_fabric.wiring import Home, create_home, open_home
from tests.fakes.generator import ScriptedGenerator

PRIMITIVES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


class DescribedClient(TestClient):
    """Fails a test when an answer is not one that ``/openapi.json`` describes."""

    def __init__(self, app: FastAPI, key: str = "") -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        super().__init__(app, headers=headers, raise_server_exceptions=True)
        self.description: dict[str, Any] = app.openapi()

    def request(self, method: str, url: Any, **sent: Any) -> httpx.Response:
        answer = super().request(method, url, **sent)
        for template, calls in self.description["paths"].items():
            pattern = re.sub(r"\{\w+\}", "[^/]+", template)
            if re.fullmatch(pattern, answer.url.path) and method.lower() in calls:
                self.check(answer, calls[method.lower()]["responses"])
        return answer

    def check(self, answer: httpx.Response, responses: dict[str, Any]) -> None:
        assert str(answer.status_code) in responses, f"{answer.status_code} is not described"
        content = responses[str(answer.status_code)]["content"]
        assert answer.headers["content-type"] in content
        self.check_value(answer.json(), content[answer.headers["content-type"]]["schema"], "$")

    def check_value(self, value: Any, schema: dict[str, Any], at: str) -> None:
        """The part of JSON Schema that the description uses."""
        if "$ref" in schema:
            schema = self.description["components"]["schemas"][schema["$ref"].split("/")[-1]]
        if "anyOf" in schema:
            assert any(self.fits(value, option, at) for option in schema["anyOf"]), at
            return
        if "enum" in schema:
            assert value in schema["enum"], at
        match schema.get("type"):
            case "object" if "properties" in schema:
                assert isinstance(value, dict), at
                assert set(schema.get("required", ())) <= set(value), at
                if not schema.get("additionalProperties"):
                    assert set(value) <= set(schema["properties"]), f"{at}: {set(value)}"
                for name in set(value) & set(schema["properties"]):
                    self.check_value(value[name], schema["properties"][name], f"{at}.{name}")
            case "object":
                assert isinstance(value, dict), at
            case "array":
                assert isinstance(value, list), at
                for item in value:
                    self.check_value(item, schema["items"], f"{at}[]")
            case str(kind):
                assert isinstance(value, PRIMITIVES[kind]), at
            case None:
                assert "enum" in schema or not schema.keys() & {"type", "properties"}, at

    def fits(self, value: Any, schema: dict[str, Any], at: str) -> bool:
        try:
            self.check_value(value, schema, at)
        except AssertionError:
            return False
        return True


def key_for(home: Home, name: str, tenant: str = "acme", **granted: Any) -> str:
    """An API key, as ``memory-fabric app add`` would print it."""
    operator = operations.operator(home, "tests", tenant)
    granted.setdefault("purposes", ["care"])
    return str(operations.app_add(home, operator, name=name, **granted)["key"])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    path: Path = tmp_path_factory.mktemp("api") / "fra-1"
    create_home(path, site_id="fra-1", region="DE", tenants=["acme", "globex"])
    with open_home(path, generator=ScriptedGenerator()) as opened:
        yield opened


@pytest.fixture(scope="module")
def app(home: Home) -> FastAPI:
    return create_app(home)


@pytest.fixture(scope="module")
def api(home: Home, app: FastAPI) -> DescribedClient:
    """An app of tenant acme, bound to care, one subject at a time."""
    return DescribedClient(app, key_for(home, "care-app"))


@pytest.fixture(scope="module")
def foreign(home: Home, app: FastAPI) -> DescribedClient:
    """An app of the other tenant."""
    return DescribedClient(app, key_for(home, "globex-app", "globex", all_subjects=True))


@pytest.fixture(scope="module")
def officer(home: Home, app: FastAPI) -> DescribedClient:
    """A compliance officer's key."""
    return DescribedClient(app, key_for(home, "officer", role="compliance", all_subjects=True))


@pytest.fixture(scope="module")
def stranger(app: FastAPI) -> DescribedClient:
    """Somebody without a key."""
    return DescribedClient(app)


def remember(api: TestClient, text: str, subject: str, **label: Any) -> str:
    """Store one memory and give its id."""
    memory = {"memory": text, "subjects": [subject], "label": label}
    answer = api.post("/v1/memories", json={"memories": [memory]})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["results"][0]["id"])
