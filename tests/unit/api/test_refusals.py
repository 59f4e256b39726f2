"""Who may not, and that a refusal repeats nothing of the request."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from memory_fabric_api import create_app

from memory_fabric import operations
from memory_fabric.wiring import Home
from tests.unit.api.conftest import DescribedClient, key_for, remember

PRIVATE = "Zebedee Quux has 4711 sheep"
JSON = {"content-type": "application/json"}


def refused(answer: Any) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json"
    return answer.status_code, answer.json()["code"]


CALLS = [
    ("POST", "/v1/memories"),
    ("GET", "/v1/memories"),
    ("GET", "/v1/memories/x"),
    ("PATCH", "/v1/memories/x"),
    ("DELETE", "/v1/memories/x"),
    ("POST", "/v1/search"),
    ("POST", "/v1/erasures"),
    ("GET", "/v1/receipts"),
    ("GET", "/v1/receipts/x"),
    ("GET", "/v1/receipts/x/proof"),
    ("GET", "/v1/checkpoint"),
    ("POST", "/v1/policy/explain"),
]


@pytest.mark.parametrize(("method", "path"), CALLS)
def test_every_call_wants_a_key(stranger: TestClient, method: str, path: str) -> None:
    without = stranger.request(method, path)
    assert refused(without) == (401, "api-key-missing")
    assert without.headers["www-authenticate"] == 'Bearer realm="memory-fabric"'
    wrong = stranger.request(method, path, headers={"authorization": "Bearer mf_0123_wrong"})
    assert refused(wrong) == (401, "key-unknown")
    assert 'error="invalid_token"' in wrong.headers["www-authenticate"]


def test_a_key_with_another_secret_is_unknown(home: Home, app: FastAPI) -> None:
    key = key_for(home, "guessed")
    guess = DescribedClient(app, key[:-1] + ("a" if key[-1] != "a" else "b"))
    assert refused(guess.get("/v1/checkpoint")) == (401, "key-unknown")


def test_a_missing_scope_never_means_everybody(api: TestClient) -> None:
    remember(api, "Something", "scoped")
    assert refused(api.post("/v1/search", json={"query": "something"})) == (422, "scope-missing")
    assert refused(api.get("/v1/memories")) == (422, "scope-missing")
    across = {"query": "something", "all_subjects": True}
    assert refused(api.post("/v1/search", json=across)) == (403, "all-subjects-not-granted")


def test_a_key_of_several_purposes_must_name_one(home: Home, app: FastAPI) -> None:
    both = DescribedClient(app, key_for(home, "both", purposes=["care", "research"]))
    asked = {"query": "something", "subject": "anyone"}
    assert refused(both.post("/v1/search", json=asked)) == (422, "purpose-missing")
    assert both.post("/v1/search", json={**asked, "purpose": "research"}).status_code == 200


def test_a_purpose_that_the_key_lacks_is_refused(api: TestClient) -> None:
    asked = {"query": "something", "subject": "anyone", "purpose": "research"}
    answer = api.post("/v1/search", json=asked)
    assert refused(answer) == (403, "purpose-not-granted")
    kept = api.get(f"/v1/receipts/{answer.json()['receipt']}").json()
    assert kept["outcome"] == "denied"


def test_another_tenants_memory_does_not_exist(api: TestClient, foreign: TestClient) -> None:
    name = remember(api, "Only for acme", "shared-name")
    for answer in (
        foreign.get(f"/v1/memories/{name}"),
        foreign.patch(f"/v1/memories/{name}", json={"legal_hold": True}),
        foreign.delete(f"/v1/memories/{name}"),
    ):
        assert refused(answer) == (404, "memory-unknown")
    assert foreign.get("/v1/memories", params={"subject": "shared-name"}).json()["results"] == []
    everything = foreign.post("/v1/search", json={"query": "acme", "all_subjects": True}).json()
    assert everything["results"] == []


def test_another_tenants_receipt_does_not_exist(api: TestClient, foreign: TestClient) -> None:
    name = remember(api, "For the log", "logged")
    receipt = api.get(f"/v1/memories/{name}").json()["receipt"]
    assert refused(foreign.get(f"/v1/receipts/{receipt}")) == (404, "receipt-unknown")
    assert refused(foreign.get(f"/v1/receipts/{receipt}/proof")) == (404, "receipt-unknown")
    listed = foreign.get("/v1/receipts").json()["receipts"]
    assert {item["request"]["requester"]["tenant"] for item in listed} <= {"globex"}


def test_an_unknown_path_or_method_is_a_problem_too(api: TestClient) -> None:
    assert refused(api.get("/v2/memories")) == (404, "path-unknown")
    assert refused(api.get("/v1/memories/")) == (404, "path-unknown")
    assert refused(api.put("/v1/memories")) == (405, "method-unknown")


def test_a_body_that_is_too_long_is_not_read(home: Home) -> None:
    small = DescribedClient(create_app(home, max_body=2000), key_for(home, "small"))
    memory = {"memory": "x" * 3000, "subjects": ["long"]}
    answer = small.post("/v1/memories", json={"memories": [memory]})
    assert refused(answer) == (413, "body-too-large")
    parts = (chunk for chunk in [b"{" * 1500, b"{" * 1500])
    assert refused(small.post("/v1/search", content=parts)) == (413, "body-too-large")


def test_a_thousand_memories_fit_into_a_request(api: TestClient) -> None:
    memory = {"memory": "One of many", "subjects": ["crowd"]}
    assert refused(api.post("/v1/memories", json={"memories": [memory] * 1001})) == (
        422,
        "request-invalid",
    )
    assert refused(api.post("/v1/memories", json={"memories": []})) == (422, "request-invalid")


def private_requests() -> list[tuple[str, str, dict[str, Any]]]:
    """Requests that are wrong in every way, each with something private in it."""
    memory = {"memory": PRIVATE, "subjects": [PRIVATE]}
    bad_memories: list[Any] = [
        {**memory, "memory": [PRIVATE]},
        {**memory, "subjects": PRIVATE},
        {**memory, PRIVATE: 1},
        {**memory, "id": f"{PRIVATE}/1"},
        {**memory, "memory_type": PRIVATE},
        {**memory, "label": {"data_class": PRIVATE}},
        {**memory, "label": {PRIVATE: PRIVATE}},
        {**memory, "label": {"purposes": [PRIVATE]}},
        {**memory, "label": {"special": [PRIVATE]}},
        {**memory, "label": {"personal": PRIVATE}},
        {**memory, "label": {"data_class": "public", "special": ["biometric"]}},
        {**memory, "valid_at": PRIVATE},
        {**memory, "embedding": [PRIVATE]},
        {**memory, "embedding": [1.0, 2.0], "embedder": PRIVATE},
        {**memory, "metadata": PRIVATE},
        {**memory, "subjects": [PRIVATE * 20]},
        PRIVATE,
    ]
    searches: list[Any] = [
        {"query": PRIVATE},
        {"query": PRIVATE, "subject": PRIVATE, "all_subjects": True},
        {"query": PRIVATE, "subject": PRIVATE, "purpose": PRIVATE},
        {"query": PRIVATE, "subject": PRIVATE, "reach": PRIVATE},
        {"query": PRIVATE, "subject": PRIVATE, "top_k": PRIVATE},
        {"query": PRIVATE, "subject": PRIVATE, "top_k": 0},
        {"query": PRIVATE, "subject": PRIVATE, "special": [PRIVATE]},
        {"query": PRIVATE, "subject": PRIVATE, "filters": {PRIVATE: PRIVATE}},
        {"query": PRIVATE, "subject": PRIVATE, "filters": {"created_after": PRIVATE}},
        {"query": {"text": PRIVATE}, "subject": PRIVATE},
        {"query": PRIVATE * 2000, "subject": PRIVATE},
    ]
    raw = [
        PRIVATE.encode(),
        json.dumps(memory).encode()[:-3],
        b'{"memories": [{"memory": "\\ud800 %s", "subjects": ["a"]}]}' % PRIVATE.encode(),
        b'{"memories": [{"memory": "%s", "metadata": {"x": NaN}}]}' % PRIVATE.encode(),
        b"\xff" + PRIVATE.encode(),
        b"[" * 100_000 + PRIVATE.encode(),
    ]
    return [
        *[("POST", "/v1/memories", {"json": {"memories": [bad]}}) for bad in bad_memories],
        *[("POST", "/v1/search", {"json": bad}) for bad in searches],
        *[("POST", "/v1/memories", {"content": bad, "headers": JSON}) for bad in raw],
        ("GET", "/v1/memories", {"params": {"subject": PRIVATE, "cursor": PRIVATE}}),
        ("GET", "/v1/memories", {"params": {"subject": PRIVATE, "purpose": PRIVATE}}),
        ("GET", "/v1/memories", {"params": {PRIVATE: PRIVATE}}),
        ("GET", f"/v1/memories/{PRIVATE}", {}),
        ("GET", f"/v1/receipts/{PRIVATE}", {}),
        ("GET", f"/v9/{PRIVATE}", {}),
        ("DELETE", f"/v1/memories/{PRIVATE}", {}),
        ("PATCH", f"/v1/memories/{PRIVATE}", {"json": {"consent": PRIVATE}}),
        ("POST", "/v1/erasures", {"json": {"subject": [PRIVATE]}}),
        ("POST", "/v1/policy/explain", {"json": {"act": PRIVATE}}),
    ]


def test_no_error_and_no_log_repeats_the_request(
    api: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for method, path, sent in private_requests():
        answer = api.request(method, path, **sent)
        assert 400 <= answer.status_code < 500, (method, path, answer.text[:300])
        for word in PRIVATE.split():
            if len(word) > 4:
                assert word not in answer.text, (path, answer.json()["code"])
        assert answer.json()["code"]
    own = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]
    assert not [line for line in own if "Zebedee" in line or "sheep" in line]


def test_an_unexpected_error_keeps_its_text_to_itself(
    home: Home, api: TestClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError(PRIVATE)

    monkeypatch.setattr(operations, "checkpoint", fails)
    answer = api.get("/v1/checkpoint")
    assert refused(answer) == (500, "internal-error")
    assert "Quux" not in answer.text
    assert "Quux" not in caplog.text
    assert "RuntimeError in fails" in caplog.text


def test_wrong_fields_are_named_by_their_paths(api: TestClient) -> None:
    memory = {"memory": "Fine", "subjects": ["named"], "label": {"consent": "maybe"}}
    answer = api.post("/v1/memories", json={"memories": [memory], "memori": []})
    assert answer.json()["fields"] == [
        {"path": "body.memories.0.label.consent", "reason": "enum"},
        {"path": "body.memori", "reason": "extra_forbidden"},
    ]
