"""``/openapi.json``: complete enough to make a client from."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient


@pytest.fixture(scope="module")
def calls(app: FastAPI) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": call
        for path, methods in app.openapi()["paths"].items()
        for method, call in methods.items()
    }


def test_it_describes_what_the_contract_names(calls: dict[str, Any]) -> None:
    assert set(calls) == {
        "POST /v1/memories",
        "GET /v1/memories",
        "GET /v1/memories/{id}",
        "PATCH /v1/memories/{id}",
        "DELETE /v1/memories/{id}",
        "POST /v1/search",
        "POST /v1/ask",
        "POST /v1/context",
        "POST /v1/erasures",
        "GET /v1/receipts",
        "GET /v1/receipts/{id}",
        "GET /v1/receipts/{id}/proof",
        "GET /v1/checkpoint",
        "GET /v1/checkpoint/consistency",
        "POST /v1/policy/explain",
        "GET /healthz",
        "GET /readyz",
    }


def test_each_call_has_what_a_client_is_made_from(calls: dict[str, Any]) -> None:
    names = [call["operationId"] for call in calls.values()]
    assert len(set(names)) == len(names)
    for call in calls.values():
        assert call["summary"]
        assert call["tags"]
        good = next(answer for status, answer in call["responses"].items() if status < "3")
        assert "$ref" in good["content"]["application/json"]["schema"]


def test_each_call_describes_its_problems(calls: dict[str, Any]) -> None:
    for name, call in calls.items():
        problems = {
            status: list(answer["content"])
            for status, answer in call["responses"].items()
            if status >= "4"
        }
        assert "500" in problems
        assert set(map(tuple, problems.values())) == {("application/problem+json",)}
        if "/v1/" in name:
            assert {"401", "503"} <= set(problems)
            assert call["security"] == [{"key": []}]
        if "requestBody" in call:
            assert {"413", "422"} <= set(problems)


def test_every_reference_leads_somewhere(app: FastAPI) -> None:
    description = app.openapi()

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for item in value.values() for found in references(item)]
        if isinstance(value, list):
            return [found for item in value for found in references(item)]
        return []

    found = set(references(description))
    schemas = description["components"]["schemas"]
    assert {name.removeprefix("#/components/schemas/") for name in found} <= set(schemas)


def test_health_needs_no_key_and_tells_nothing(stranger: TestClient) -> None:
    assert stranger.get("/healthz").json() == {"status": "ok"}
    assert stranger.get("/readyz").json() == {"status": "ready"}


def test_nothing_is_kept_in_caches(api: TestClient) -> None:
    for path in ("/v1/checkpoint", "/healthz", "/nowhere"):
        assert api.get(path).headers["cache-control"] == "no-store"
