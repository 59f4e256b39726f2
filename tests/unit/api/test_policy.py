"""Explain over HTTP."""

from __future__ import annotations

from fastapi.testclient import TestClient


def test_policy_is_asked_without_doing_anything(api: TestClient) -> None:
    told = api.post("/v1/policy/explain", json={"label": {"data_class": "secret"}}).json()
    assert (told["allowed"], told["form"]) == (True, "full")
    assert told["label"]["data_class"] == "secret"
    assert told["rules"][0]["id"] == "home-use"
    refused = api.post("/v1/policy/explain", json={"label": {"consent": "withdrawn"}}).json()
    assert (refused["allowed"], refused["form"], refused["plan"]) == (False, None, None)
    assert "consent-withdrawn" in {rule["id"] for rule in refused["rules"]}
    assert any("No." in sentence for sentence in refused["sentences"])


def test_an_unknown_site_is_a_problem(api: TestClient) -> None:
    answer = api.post("/v1/policy/explain", json={"site": "atlantis-1"})
    assert (answer.status_code, answer.json()["code"]) == (404, "site-unknown")
