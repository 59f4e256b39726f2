"""The log over HTTP: an auditor checks it with public keys alone."""

from __future__ import annotations

import base64
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from fastapi.testclient import TestClient

from memory_fabric.core.canonical import canonical
from memory_fabric.core.merkle import leaf_hash, root_from_inclusion
from tests.unit.api.conftest import remember


def check_signature(checkpoint: dict[str, Any]) -> None:
    root = base64.b64encode(bytes.fromhex(checkpoint["root"])).decode()
    note = f"{checkpoint['origin']}\n{checkpoint['size']}\n{root}\n"
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(checkpoint["public_key"]))
    key.verify(bytes.fromhex(checkpoint["signature"]), note.encode())


def test_a_receipt_is_proved_to_stand_in_the_log(api: TestClient) -> None:
    receipts = [remember(api, f"Note {number}", "proved") and number for number in range(5)]
    assert receipts
    newest = api.get("/v1/receipts", params={"limit": 3}).json()["receipts"]
    for listed in newest:
        receipt = api.get(f"/v1/receipts/{listed['id']}").json()
        proof = api.get(f"/v1/receipts/{listed['id']}/proof").json()
        index = receipt.pop("index")
        leaf = leaf_hash(canonical(receipt))
        path = [bytes.fromhex(sibling) for sibling in proof["path"]]
        root = root_from_inclusion(leaf, index, proof["checkpoint"]["size"], path)
        assert (proof["index"], proof["leaf"]) == (index, leaf.hex())
        assert root.hex() == proof["checkpoint"]["root"]
        check_signature(proof["checkpoint"])


def test_the_checkpoint_is_a_signed_note(api: TestClient) -> None:
    remember(api, "For the log", "noted")
    checkpoint = api.get("/v1/checkpoint").json()
    check_signature(checkpoint)
    assert checkpoint["note"].startswith(f"memory-fabric/fra-1\n{checkpoint['size']}\n")
    assert api.get("/v1/receipts").json()["receipts"][0]["index"] == checkpoint["size"] - 1


def test_receipts_are_listed_newest_first_and_filtered(api: TestClient) -> None:
    remember(api, "First", "ordered")
    api.post("/v1/search", json={"query": "first", "subject": "ordered"})
    first = api.get("/v1/receipts", params={"limit": 2}).json()
    assert [item["act"] for item in first["receipts"]] == ["recall", "remember"]
    older = api.get("/v1/receipts", params={"limit": 2, "before": first["before"]}).json()
    assert not {item["id"] for item in older["receipts"]} & {
        item["id"] for item in first["receipts"]
    }
    only = api.get("/v1/receipts", params={"act": "remember", "outcome": "done"}).json()
    assert {(item["act"], item["outcome"]) for item in only["receipts"]} == {("remember", "done")}


def test_a_receipt_names_no_subject(api: TestClient) -> None:
    remember(api, "Collects stamps", "Wolfgang Amadeus")
    found = api.post("/v1/search", json={"query": "stamps", "subject": "Wolfgang Amadeus"}).json()
    receipt = api.get(f"/v1/receipts/{found['receipt']}")
    assert "Wolfgang" not in receipt.text
    assert "stamps" not in receipt.text
    assert receipt.json()["request"]["subject_commitment"]


def test_an_index_beyond_every_log_is_the_log_s_end(api: TestClient) -> None:
    newest = api.get("/v1/receipts", params={"limit": 1}).json()["receipts"]
    beyond = api.get("/v1/receipts", params={"limit": 1, "before": 10**30})
    assert beyond.status_code == 200
    assert beyond.json()["receipts"] == newest
