"""What a site hands out as proof convinces an auditor who knows C2SP's texts alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from memory_fabric.core.canonical import canonical
from memory_fabric.core.notes import VerifierKey
from memory_fabric.wiring import Home
from tests.conformance.second_auditor import (
    checkpoint_of,
    entry_of,
    grown_from,
    key_of,
    text_of,
)
from tests.system.homes import ask, remember, reopened, site

GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n\n"
    "— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
"""Of the documentation of golang.org/x/mod/sumdb/note."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    with reopened(site(tmp_path_factory.mktemp("log"), "fra-1", "DE")) as opened:
        for number in range(9):
            remember(opened, f"Note {number}.", "Anna")
        yield opened


def test_the_auditor_and_the_program_read_go_s_own_key_and_note() -> None:
    assert text_of(GO_NOTE, GO_KEY).startswith("If you think")
    name, known, public = key_of(GO_KEY)
    read = VerifierKey.parse(GO_KEY)
    assert (read.name, read.id, read.public) == (name, known, public.public_bytes_raw())
    assert str(read) == GO_KEY


def test_checkpoints_of_every_size_are_signed_notes(home: Home) -> None:
    newest = ask(home, "checkpoint")
    for size in range(newest["size"] + 1):
        told = ask(home, "checkpoint", size=size)
        found = checkpoint_of(told["note"], told["verifier_key"])
        assert found == ("memory-fabric/fra-1", size, bytes.fromhex(told["root"]))
    assert told == newest


def test_every_receipt_is_proved_in_every_log_that_holds_it(home: Home) -> None:
    newest = ask(home, "checkpoint")
    for receipt in ask(home, "receipts_list")["receipts"]:
        index = receipt.pop("index")
        for size in range(index + 1, newest["size"] + 1):
            proof = ask(home, "receipt_proof", id=receipt["id"], size=size)["proof"]
            entry = entry_of(proof, newest["verifier_key"])
            assert entry == canonical(receipt)
            assert json.loads(entry)["id"] == receipt["id"]


def test_the_log_goes_on_from_every_size_to_every_later_one(home: Home) -> None:
    newest = ask(home, "checkpoint")
    for old in range(newest["size"] + 1):
        for size in range(old, newest["size"] + 1):
            told = ask(home, "consistency", old=old, size=size)
            root = bytes.fromhex(told["old"]["root"])
            assert grown_from(told["proof"], root, newest["verifier_key"]) == (old, size)


def test_the_auditor_is_not_convinced_by_another_entry_or_root(home: Home) -> None:
    newest = ask(home, "checkpoint")
    first, second = ask(home, "receipts_list", limit=2)["receipts"]
    told = [ask(home, "receipt_proof", id=item["id"])["proof"] for item in (first, second)]
    lines = [proof.split("\n") for proof in told]
    swapped = "\n".join([lines[0][0], lines[1][1], *lines[0][2:]])
    with pytest.raises(AssertionError):
        entry_of(swapped, newest["verifier_key"])
    grown = ask(home, "consistency", old=5)["proof"]
    with pytest.raises(AssertionError):
        grown_from(grown, bytes(32), newest["verifier_key"])


def test_a_key_of_another_log_is_not_believed(home: Home, tmp_path: Path) -> None:
    note = ask(home, "checkpoint")["note"]
    with reopened(site(tmp_path, "par-1", "FR")) as other:
        key = ask(other, "checkpoint")["verifier_key"]
    with pytest.raises(AssertionError):
        text_of(note, key)
