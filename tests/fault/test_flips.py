"""Guarantee 2, bit by bit: what is flipped is detected or harmless, and no answer is ever wrong.

Every byte of a record, a keyring, a snapshot and a checkpoint once, on the conformance vectors; and
thousands of places all over a home, which is then opened and asked.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from memory_fabric.adapters.cedar import engine
from memory_fabric.adapters.ledger.ledger import SqlLedger
from memory_fabric.core.errors import MemoryFabricError
from memory_fabric.core.receipt import Checkpoint
from memory_fabric.flows.snapshot import take
from tests.conformance.second_writer import flipped
from tests.conformance.test_vectors import (
    FILES,
    answer,
    keyring_of,
    program_record,
    program_snapshot,
)
from tests.system.homes import ask, files_of, listed, recalled, remember, reopened, site

Json = dict[str, Any]


def flips(hexadecimal: str) -> Iterator[str]:
    """The bytes, with each of them changed in one bit once."""
    content = bytes.fromhex(hexadecimal)
    for at in range(len(content)):
        yield flipped(content, at).hex()


def right(name: str, vector: str) -> Json:
    """A right vector."""
    found: Json = next(item for item in FILES[name]["vectors"] if item["name"] == vector)
    assert "opens" in found["expect"]
    return found


def test_every_byte_of_a_record() -> None:
    keyring, table = keyring_of(FILES["records.json"]["keyring"]), FILES["records.json"]["table"]
    vector = right("records.json", "about two")
    assert answer(program_record, keyring, table, vector) == vector["expect"]
    for field in ("rid", "blob"):
        for changed in flips(vector[field]):
            found = answer(program_record, keyring, table, {**vector, field: changed})
            assert found == {"error": "record-damaged"}
    for field in ("version", "epoch"):
        for bit in range(63):
            changed_number = vector[field] ^ 1 << bit
            found = answer(program_record, keyring, table, {**vector, field: changed_number})
            assert found == {"error": "record-damaged"}


def test_every_byte_of_a_keyring() -> None:
    vector = right("keyrings.json", "whole")
    refusals = {"keyring-damaged", "root-key-wrong", "keyring-format"}
    for at, row in enumerate(vector["rows"]):
        for column in (0, 3):
            for changed in flips(row[column]):
                rows = [list(other) for other in vector["rows"]]
                rows[at][column] = changed
                found = answer(keyring_of, {**vector, "rows": rows})
                assert isinstance(found, dict)
                assert found["error"] in refusals
    for changed in flips(vector["root_key"]):
        found = answer(keyring_of, {**vector, "root_key": changed})
        assert found == {"error": "root-key-wrong"}


def test_every_byte_of_a_snapshot() -> None:
    vector = right("snapshots.json", "whole")
    for field in ("manifest", "chunks"):
        for changed in flips(vector[field]):
            found = answer(program_snapshot, {**vector, field: changed})
            assert found == {"error": "snapshot-damaged"}


# --- a home -------------------------------------------------------------------------------------


QUERY = "Which flower grows in the garden?"


def answers(home: Path) -> object:
    """All that the site answers."""
    with reopened(home) as opened:
        found = recalled(opened, QUERY, top_k=50)["results"]
        return listed(opened), found, ask(opened, "classes_list"), ask(opened, "app_list")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """A home, and a copy to put it back from; in memory where that can be."""
    folder = tmp_path_factory.mktemp("flips")
    if os.access("/dev/shm", os.W_OK):  # noqa: S108 - a folder of its own in it
        folder = Path("/dev/shm") / f"memory-fabric-flips-{os.getpid()}"  # noqa: S108
        folder.mkdir()
    home, kept = site(folder, "fra-1", "DE"), folder / "kept"
    with reopened(home) as opened:
        for number in range(12):
            remember(opened, f"Flower {number} grows in the garden of plot {number}.", f"P{number}")
        ask(opened, "label_set", subject="P4", change={"consent": "withdrawn"})
        ask(opened, "forget", subject="P5")
        ask(opened, "app_add", name="ward", purposes=["care"])
        remember(opened, "The last flower of the garden.", "P20", "P21")
        assert take(opened.node)
    shutil.copytree(home, kept)
    yield home, kept
    shutil.rmtree(folder)


@pytest.fixture
def home(made: tuple[Path, Path]) -> Path:
    put_back(*made)
    return made[0]


def put_back(home: Path, kept: Path) -> None:
    shutil.rmtree(home)
    shutil.copytree(kept, home)


def test_every_byte_of_a_checkpoint(home: Path) -> None:
    with reopened(home) as opened:
        public = opened.node.me.signing_key
    anchor, ledger = home / "keys" / "ledger.checkpoint", home / "ledger.db"
    whole = anchor.read_bytes()
    assert SqlLedger.audit(ledger, "fra-1", public, anchor) == []
    for at in range(len(whole)):
        anchor.write_bytes(flipped(whole, at))
        damages = SqlLedger.audit(ledger, "fra-1", public, anchor)
        # Hexadecimal digits may be capitals, and padding is any space.
        assert damages or _checkpoint(anchor.read_bytes()) == _checkpoint(whole), at
    anchor.write_bytes(whole)


def _checkpoint(content: bytes) -> Checkpoint:
    return Checkpoint.from_json(json.loads(content))


def places(home: Path, count: int, seed: int) -> Iterator[tuple[Path, int]]:
    """Places in sealed files and in the ledger, half of them near a file's end."""
    chance = random.Random(seed)  # noqa: S311 - places, not secrets
    files = [
        *files_of(home / "stack", home / "snapshot"),
        *(home / name for name in ("ledger.db", "roster.json", "keys/keyring.db")),
        home / "keys" / "ledger.checkpoint",
    ]
    for _ in range(count):
        file = chance.choice(files)
        size = file.stat().st_size
        yield file, chance.randrange(max(0, size - 400) if chance.random() < 0.5 else 0, size)


def unharmed(made: tuple[Path, Path], count: int, seed: int) -> None:
    """Flip a bit, open the home and ask; and so on at other places."""
    home = made[0]
    expected = answers(home)
    put_back(*made)
    wrong: list[tuple[str, int, str]] = []
    for file, at in list(places(home, count, seed)):
        content = file.read_bytes()
        file.write_bytes(flipped(content, at))
        try:
            same, what = answers(home) == expected, "another answer"
        except MemoryFabricError:
            same = True  # detected
        except Exception as error:  # noqa: BLE001 - no error of the program's own is a defect
            same, what = False, f"{type(error).__name__}: {error}"
        if not same:
            wrong.append((str(file.relative_to(home)), at, what))
        put_back(*made)
    assert wrong == []


def test_flips_all_over_a_home(home: Path, made: tuple[Path, Path]) -> None:
    unharmed(made, 20, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(2, 12))
def test_five_thousand_flips_all_over_a_home(
    home: Path, made: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """The policy bundle is not flipped, and judged once: that is most of what opening takes."""
    judged: dict[str, Any] = {}
    examine = engine.examine

    def once(bundle: Any, *rest: Any) -> Any:
        if "found" not in judged:
            judged["found"] = examine(bundle, *rest)
        return judged["found"]

    monkeypatch.setattr(engine, "examine", once)
    unharmed(made, 500, seed)
