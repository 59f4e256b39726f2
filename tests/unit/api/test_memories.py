"""Remember, read, relabel and forget over HTTP."""

from __future__ import annotations

from fastapi.testclient import TestClient

from tests.unit.api.conftest import remember


def test_what_is_remembered_can_be_read_listed_and_searched(api: TestClient) -> None:
    memory = {
        "memory": "She likes tea after six.",
        "subjects": ["anna"],
        "id": "tea-1",
        "memory_type": "semantic",
        "label": {"consent": "given", "purposes": ["care"]},
        "metadata": {"from": "call", "weight": 0.5},
        "valid_at": "2026-01-01T00:00:00Z",
        "expires_at": "2036-01-01T00:00:00Z",
    }
    added = api.post("/v1/memories", json={"memories": [memory]})
    assert added.status_code == 201
    assert added.json()["results"] == [{"id": "tea-1", "event": "ADD"}]

    one = api.get("/v1/memories/tea-1").json()
    assert one["memory"] == memory["memory"]
    assert one["metadata"] == memory["metadata"]
    assert one["memory_type"] == "semantic"
    listed = api.get("/v1/memories", params={"subject": "anna"}).json()["results"]
    assert [item["id"] for item in listed] == ["tea-1"]
    found = api.post("/v1/search", json={"query": "tea", "subject": "anna"}).json()
    assert found["results"][0]["id"] == "tea-1"
    assert found["results"][0]["form"] == "full"


def test_pages_lead_to_each_other(api: TestClient) -> None:
    memories = [{"memory": f"Note {number}", "subjects": ["paged"]} for number in range(130)]
    added = api.post("/v1/memories", json={"memories": memories}).json()["results"]
    first = api.get("/v1/memories", params={"subject": "paged"}).json()
    rest = api.get("/v1/memories", params={"subject": "paged", "cursor": first["cursor"]}).json()
    ids = [item["id"] for item in first["results"] + rest["results"]]
    assert ids == [item["id"] for item in added]
    assert rest["cursor"] is None


def test_all_of_a_request_is_stored_or_nothing(api: TestClient) -> None:
    good = {"memory": "Fine", "subjects": ["whole"]}
    answer = api.post("/v1/memories", json={"memories": [good, {**good, "memory": " "}]})
    assert (answer.status_code, answer.json()["code"]) == (422, "text-empty")
    assert answer.json()["row"] == 1
    assert api.get("/v1/memories", params={"subject": "whole"}).json()["results"] == []


def test_an_id_is_taken_once(api: TestClient) -> None:
    memory = {"memory": "Fine", "subjects": ["twice"], "id": "twice"}
    api.post("/v1/memories", json={"memories": [memory]})
    again = api.post("/v1/memories", json={"memories": [memory]})
    assert (again.status_code, again.json()["code"]) == (409, "id-duplicate")


def test_a_label_is_tightened_by_its_app_and_loosened_by_compliance(
    api: TestClient, officer: TestClient
) -> None:
    name = remember(api, "Comes by bicycle", "bert", consent="given")
    path = f"/v1/memories/{name}"
    assert api.patch(path, json={"consent": "none"}).json()["changed"] == 1
    refused = api.patch(path, json={"consent": "given"})
    assert (refused.status_code, refused.json()["code"]) == (403, "denied-by-policy")
    assert refused.json()["rules"][0]["id"] == "label-loosen-is-for-compliance"
    assert officer.patch(path, json={"consent": "given"}).status_code == 200


def test_a_field_of_a_label_is_not_null(api: TestClient) -> None:
    """Null could be taken for "remove it"; nothing in a label can be removed."""
    name = remember(api, "Keeps bees", "cara")
    answer = api.patch(f"/v1/memories/{name}", json={"expires_at": None})
    assert (answer.status_code, answer.json()["code"]) == (422, "request-invalid")


def test_a_withdrawn_consent_hides_the_memory(api: TestClient) -> None:
    name = remember(api, "Sings in a choir", "dora", consent="given")
    api.patch(f"/v1/memories/{name}", json={"consent": "withdrawn"})
    assert api.get(f"/v1/memories/{name}").json()["code"] == "memory-unknown"
    assert api.get("/v1/memories", params={"subject": "dora"}).json()["results"] == []


def test_forgetting_one_memory_leaves_the_others(api: TestClient) -> None:
    name, other = remember(api, "One", "emil"), remember(api, "Two", "emil")
    gone = api.delete(f"/v1/memories/{name}").json()
    assert gone["erased"] == {"memories": 1, "keys": 0}
    assert gone["remains"]
    assert api.get(f"/v1/memories/{name}").status_code == 404
    assert api.get(f"/v1/memories/{other}").status_code == 200


def test_erasing_a_subject_destroys_its_key(api: TestClient) -> None:
    remember(api, "One", "fred")
    remember(api, "Two", "fred")
    erased = api.post("/v1/erasures", json={"subject": "fred"}).json()
    assert erased["erased"] == {"memories": 2, "keys": 1}
    assert api.get("/v1/memories", params={"subject": "fred"}).json()["results"] == []


def test_a_legal_hold_stops_an_erasure_whole(api: TestClient) -> None:
    remember(api, "Free", "gerd")
    name = remember(api, "Held", "gerd")
    assert api.patch(f"/v1/memories/{name}", json={"legal_hold": True}).status_code == 200
    refused = api.post("/v1/erasures", json={"subject": "gerd"})
    assert refused.status_code == 403
    assert [rule["id"] for rule in refused.json()["rules"]] == ["legal-hold"]
    assert all(rule["title"] and rule["basis"] for rule in refused.json()["rules"])
    kept = api.get(f"/v1/receipts/{refused.json()['receipt']}").json()
    assert (kept["act"], kept["outcome"]) == ("erase", "denied")
    assert len(api.get("/v1/memories", params={"subject": "gerd"}).json()["results"]) == 2
