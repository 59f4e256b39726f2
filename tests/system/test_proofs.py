"""Proofs as an auditor checks them: offline, with a key or a checkpoint and no home."""

from __future__ import annotations

import json
import shutil
from base64 import b64decode, b64encode
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import InputError, IntegrityViolated
from memory_fabric.core.notes import VerifierKey
from memory_fabric.flows.proofs import verify_proof
from tests.system.homes import Run, ask, cli, remember, reopened, site

NOWHERE = Path("/nonexistent")


@dataclass(frozen=True)
class Kept:
    """What an auditor was given of a log of six receipts, and of the one that went on from it."""

    home: Path
    folder: Path
    size: int
    receipt: str

    def file(self, name: str) -> str:
        return str(self.folder / name)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    folder = tmp_path_factory.mktemp("auditor")
    home = site(tmp_path_factory.mktemp("site"), "fra-1", "DE")
    with reopened(home) as opened:
        for number in range(5):
            remember(opened, f"Note {number}.", "Anna")
        middle = ask(opened, "checkpoint")
        receipt = ask(opened, "receipts_list", limit=1)["receipts"][0]["id"]
        for number in range(3):
            remember(opened, f"Later {number}.", "Anna")
        size = middle["size"]
        for name, text in {
            "note": middle["note"],
            "lines": json.dumps(middle) + "\n",
            "key": middle["verifier_key"],
            "newest.proof": ask(opened, "receipt_proof", id=receipt)["proof"],
            "kept.proof": ask(opened, "receipt_proof", id=receipt, size=size)["proof"],
            "growth.proof": ask(opened, "consistency", old=size)["proof"],
        }.items():
            (folder / name).write_text(text)
    with reopened(site(tmp_path_factory.mktemp("other"), "par-1", "FR")) as other:
        (folder / "foreign.key").write_text(ask(other, "checkpoint")["verifier_key"])
    return Kept(home, folder, size, receipt)


def check(kept: Kept, proof: str, *words: str, plain: bool = False) -> Run:
    return cli(NOWHERE, "receipts", "verify", "--proof", kept.file(proof), *words, plain=plain)


def test_a_receipt_is_proved_by_the_log_s_key_alone(kept: Kept) -> None:
    found = check(kept, "newest.proof", "--key", kept.file("key"))
    assert (found.code, found.json["receipt"]["id"]) == (0, kept.receipt)
    assert (found.json["origin"], found.json["signed"]) == ("memory-fabric/fra-1", True)
    told = check(kept, "newest.proof", "--key", Path(kept.file("key")).read_text(), plain=True)
    assert told.code == 0
    assert kept.receipt in told.out


@pytest.mark.parametrize("held", ["note", "lines"])
def test_a_receipt_is_proved_by_a_checkpoint_that_was_kept(kept: Kept, held: str) -> None:
    found = check(kept, "kept.proof", "--checkpoint", kept.file(held))
    assert (found.code, found.json["size"], found.json["signed"]) == (0, kept.size, False)
    both = check(kept, "kept.proof", "--checkpoint", kept.file(held), "--key", kept.file("key"))
    assert both.json["signed"] is True


def test_a_log_is_shown_to_go_on_from_a_checkpoint_that_was_kept(kept: Kept) -> None:
    found = check(kept, "growth.proof", "--checkpoint", kept.file("note"))
    assert (found.code, found.json["old"], found.json["size"]) == (0, kept.size, kept.size + 3)


def test_what_does_not_fit_together_is_told_apart(kept: Kept) -> None:
    other = check(kept, "newest.proof", "--checkpoint", kept.file("note"))
    assert (other.code, other.json["code"]) == (2, "proof-size")
    for proof in ("newest.proof", "growth.proof"):
        nothing = check(kept, proof)
        assert (nothing.code, nothing.json["code"]) == (2, "proof-unanchored")
    foreign = check(kept, "newest.proof", "--key", kept.file("foreign.key"))
    assert (foreign.code, foreign.json["code"]) == (5, "proof-invalid")
    for words, code in (
        (("--key", "a+b+c"), "verifier-key-malformed"),
        (("--key", kept.file("nobody")), "file-unreadable"),
        (("--checkpoint", kept.file("key")), "checkpoint-malformed"),
    ):
        assert check(kept, "kept.proof", *words).json["code"] == code
    assert check(kept, "note", "--key", kept.file("key")).json["code"] == "proof-malformed"
    misplaced = cli(kept.home, "receipts", "verify", "--key", kept.file("key"))
    assert (misplaced.code, misplaced.json["code"]) == (2, "option-needs-proof")


def test_a_receipt_that_was_written_anew_is_not_proved(kept: Kept) -> None:
    lines = Path(kept.file("newest.proof")).read_text().split("\n")
    entry = json.loads(b64decode(lines[1].removeprefix("extra ")))
    lines[1] = "extra " + b64encode(canonical({**entry, "outcome": "denied"})).decode()
    Path(kept.file("forged.proof")).write_text("\n".join(lines))
    found = check(kept, "forged.proof", "--key", kept.file("key"))
    assert (found.code, found.json["code"]) == (5, "proof-invalid")


@given(data=st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_proof_with_any_byte_changed_shows_nothing_else(kept: Kept, data: st.DataObject) -> None:
    """It is refused, unless the byte is one that says nothing."""
    proof = Path(kept.file("newest.proof")).read_text()
    key = VerifierKey.parse(Path(kept.file("key")).read_text())
    whole = verify_proof(proof, None, key)
    at = data.draw(st.integers(0, len(proof) - 1))
    letter = data.draw(st.characters(codec="utf-8"))
    try:
        found = verify_proof(proof[:at] + letter + proof[at + 1 :], None, key)
    except (InputError, IntegrityViolated):
        return
    assert found == whole


def test_the_whole_log_is_compared_with_a_checkpoint_that_was_kept(
    kept: Kept, tmp_path: Path
) -> None:
    for held in ("note", "lines"):
        assert cli(kept.home, "receipts", "verify", "--checkpoint", kept.file(held)).code == 0
    whole = cli(kept.home, "receipts", "checkpoint", plain=True)
    (tmp_path / "newest").write_text(whole.out)
    back = tmp_path / "back"
    shutil.copytree(kept.home, back)
    with reopened(kept.home) as opened:
        remember(opened, "The last.", "Anna")
    (tmp_path / "later").write_text(cli(kept.home, "receipts", "checkpoint", plain=True).out)
    assert cli(back, "receipts", "verify", "--checkpoint", str(tmp_path / "newest")).code == 0
    found = cli(back, "receipts", "verify", "--checkpoint", str(tmp_path / "later"))
    assert found.code == 5
    assert [item["file"] for item in found.json["damaged"]] == ["ledger.db"]
    foreign = cli(
        site(tmp_path, "lon-1", "GB"), "receipts", "verify", "--checkpoint", kept.file("note")
    )
    assert (foreign.code, foreign.json["code"]) == (2, "checkpoint-foreign")


def test_the_program_prints_key_checkpoint_and_proofs_as_text(kept: Kept) -> None:
    key = cli(kept.home, "receipts", "checkpoint", "--key", plain=True).out
    assert key.strip() == Path(kept.file("key")).read_text()
    size = str(kept.size)
    assert (
        cli(kept.home, "receipts", "checkpoint", "--size", size, plain=True).out
        == Path(kept.file("note")).read_text()
    )
    shown = cli(kept.home, "receipts", "show", kept.receipt, "--proof", "--size", size, plain=True)
    assert shown.out == Path(kept.file("kept.proof")).read_text()
    grown = cli(kept.home, "receipts", "checkpoint", "--from", size, plain=True)
    assert grown.out.startswith(f"old {size}\n")


@pytest.mark.parametrize(
    "words",
    [
        ("checkpoint", "--size", "999"),
        ("checkpoint", "--size", "-1"),
        ("checkpoint", "--from", "999"),
        ("checkpoint", "--from", "7", "--size", "3"),
    ],
)
def test_a_size_that_the_log_never_had_is_refused(kept: Kept, words: tuple[str, ...]) -> None:
    found = cli(kept.home, "receipts", *words)
    assert (found.code, found.json["code"]) == (2, "log-size")


def test_a_receipt_is_not_proved_in_a_log_that_was_before_it(kept: Kept) -> None:
    found = cli(kept.home, "receipts", "show", kept.receipt, "--proof", "--size", "2")
    assert (found.code, found.json["code"]) == (2, "log-size")
