"""Whole homes read by a second reader that knows ``docs/internals/format.md`` and nothing else.

It must find in force what the program finds in force, and see each change that somebody makes.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import lancedb
import pytest

from tests.conformance import second_ledger, second_reader
from tests.conformance.second_reader import Rejected
from tests.system.homes import ask, cli, listed, recalled, remember, reopened, site

FRA, LON = "fra-1", "lon-1"
TULIPS = "Ada grows tulips by the gate."


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sites that did a little of everything; London holds a leased row of Frankfurt's."""
    folder = tmp_path_factory.mktemp("ledgers")
    for name, region in ((FRA, "DE"), (LON, "GB")):
        site(folder, name, region)
    with reopened(folder / FRA) as home:
        ask(home, "link", address=str(folder / LON))
        ask(home, "app_add", name="desk", tenant="acme", purposes=["care"])
        remember(home, TULIPS, "Ada")
        wrong = remember(home, "Bela grows roses.", "Bela")
        remember(home, "Cleo and Dora share a shed.", "Cleo", "Dora")
        public = {"purposes": ["care"], "personal": False, "data_class": "public"}
        remember(home, "The desk opens at nine.", label=public)
        ask(home, "label_set", subject="Ada", change={"data_class": "secret"})
        recalled(home, "tulips")
        ask(home, "forget", id=wrong)
        ask(home, "forget", subject="Cleo")
        ask(home, "export_run", site=LON, purpose="care")
    with reopened(folder / LON) as home:
        remember(home, "Dora grows peas.", "Dora")
    return folder


@pytest.fixture
def fra(grid: Path, tmp_path: Path) -> Path:
    """A copy of Frankfurt's ledger and anchor, to be spoilt."""
    for name in ("ledger.db", "ledger.db-wal", "keys/ledger.checkpoint"):
        if (grid / FRA / name).exists():
            shutil.copy(grid / FRA / name, tmp_path)
    return tmp_path


def keys(home: Path) -> second_reader.Keys:
    stored = second_reader.keyring_file(home / "keys" / "keyring.db")
    return second_reader.read_keyring(
        stored, home.name, (home / "keys" / "root.key").read_bytes()[8:]
    )


def read(home: Path) -> tuple[second_ledger.Ledger, list[second_reader.Record]]:
    seed = keys(home).secrets["signing"]
    anchor = home / "keys" / "ledger.checkpoint"
    ledger = second_ledger.read_ledger(home / "ledger.db", anchor, home.name, seed)
    table = lancedb.connect(home / "stack").open_table("memories").to_arrow().to_pylist()
    columns = ("rid", "version", "epoch", "blob")
    stack = [second_reader.Record(*(row[name] for name in columns)) for row in table]
    return ledger, second_ledger.standing(ledger, stack)


def in_force(home: Path) -> dict[str, str]:
    opened = [
        second_reader.read_record(keys(home), home.name, "memories", r) for r in read(home)[1]
    ]
    memories = [memory for memory, *_ in filter(None, opened)]
    return {memory["id"]: memory["text"] for memory in memories if not memory.get("leased")}


@pytest.mark.parametrize("name", [FRA, LON])
def test_both_find_the_same_memories_in_force(grid: Path, name: str) -> None:
    found = in_force(grid / name)
    with reopened(grid / name) as home:
        assert found == listed(home)
    assert found


def test_a_leased_row_stands_and_is_nobody_s_own(grid: Path) -> None:
    ledger, records = read(grid / LON)
    (lease,) = ledger.leases.values()
    assert lease["origin"] == FRA
    rids = {record.rid.hex() for record in records}
    assert {rid for _, rid, *_ in lease["rows"]} <= rids
    assert len(in_force(grid / LON)) == len(records) - len(lease["rows"])


def test_receipts_are_those_that_the_program_shows(grid: Path) -> None:
    ledger, _ = read(grid / FRA)
    with reopened(grid / FRA) as home:
        shown = [ask(home, "receipt_show", id=receipt["id"]) for receipt in ledger.receipts]
    assert [{**receipt, "index": at} for at, receipt in enumerate(ledger.receipts)] == [
        {name: told[name] for name in (*receipt, "index")}
        for told, receipt in zip(shown, ledger.receipts, strict=True)
    ]


def test_what_a_receipt_refers_to_is_found(grid: Path) -> None:
    ledger, _ = read(grid / FRA)
    terms = [receipt["request"] for receipt in ledger.receipts if receipt["act"] == "terms"]
    roster = json.loads((grid / FRA / "roster.json").read_text())["roster"]
    assert terms[-1]["roster"] == roster
    assert second_ledger.digest(roster) == ledger.receipts[-1]["roster"]
    bundle = grid / FRA / "bundle" / "policies"
    files = {
        file.relative_to(bundle).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in bundle.rglob("*.*")
    }
    assert second_ledger.digest(files) == terms[-1]["bundle"]
    named = {second_ledger.digest(item)[:16] for item in terms[-1]["classes"]}
    recalls = [receipt for receipt in ledger.receipts if receipt["act"] == "recall"]
    decisions = [decision for recall in recalls for decision in recall["decisions"]]
    decided = {key for decision in decisions for key in decision["classes"]}
    assert decided
    assert decided <= named


def test_an_app_s_key_is_kept_as_a_hash(grid: Path) -> None:
    ledger, _ = read(grid / FRA)
    assert ledger.apps["desk"]["requester"]["purposes"] == ["care"]
    assert len(bytes.fromhex(ledger.apps["desk"]["key_hash"])) == 32


# --- what was changed ---------------------------------------------------------------------------

SPOILT: dict[str, tuple[str, str]] = {
    "a receipt edited": (
        "UPDATE receipt SET body = replace(body, 'care', 'fraud') WHERE act = 'recall'",
        "ledger-damaged",
    ),
    "its hash edited": (
        "UPDATE receipt SET leaf_hash = zeroblob(32) WHERE leaf = 1",
        "ledger-damaged",
    ),
    "its act edited": ("UPDATE receipt SET act = 'recall' WHERE leaf = 1", "ledger-damaged"),
    "the last one cut off": (
        "DELETE FROM receipt WHERE leaf = (SELECT max(leaf) FROM receipt)",
        "ledger-damaged",
    ),
    "one taken out": ("DELETE FROM receipt WHERE leaf = 2", "ledger-damaged"),
    "two exchanged": (
        "UPDATE receipt SET leaf = -3 + leaf WHERE leaf IN (1, 2);"
        "UPDATE receipt SET leaf = -leaf WHERE leaf < 0",
        "ledger-damaged",
    ),
    "the root edited": ("UPDATE checkpoint SET root = zeroblob(32)", "ledger-damaged"),
    "the signature edited": ("UPDATE checkpoint SET signature = zeroblob(64)", "ledger-damaged"),
    "the checkpoint gone": ("DELETE FROM checkpoint", "ledger-damaged"),
    "a record brought back": ("UPDATE catalog SET removed_at = NULL", "ledger-damaged"),
    "a record left out": (
        "DELETE FROM catalog WHERE rid = (SELECT rid FROM catalog WHERE removed_at IS NULL)",
        "ledger-damaged",
    ),
    "a digest edited": ("UPDATE catalog SET digest = zeroblob(32)", "ledger-damaged"),
    "a record moved": ("UPDATE catalog SET written_at = written_at + 1", "ledger-damaged"),
    "a grant widened": (
        """UPDATE app SET body = replace(body, '"role":"app"', '"role":"operator"')""",
        "ledger-damaged",
    ),
    "a grant under another key": ("UPDATE app SET key_id = '000000000000'", "ledger-damaged"),
    "a lease edited": (
        "UPDATE lease SET body = replace(body, 'held', 'ended')",
        "ledger-damaged",
    ),
    "a lease gone": ("DELETE FROM lease", "ledger-damaged"),
    "a text for a number": ("UPDATE checkpoint SET stack_version = 'x'", "ledger-damaged"),
    "another site's": ("UPDATE meta SET site_id = 'lon-1'", "home-foreign"),
    "a newer version's": ("UPDATE meta SET schema_version = 3", "ledger-too-new"),
    "an older version's": ("UPDATE meta SET schema_version = 1", "home-too-old"),
}


def answer(of: Callable[[], object]) -> str:
    try:
        of()
    except Rejected as error:
        return error.code
    return "reads"


@pytest.mark.parametrize("name", SPOILT)
def test_a_change_is_seen(grid: Path, fra: Path, name: str) -> None:
    statements, code = SPOILT[name]
    seed = keys(grid / FRA).secrets["signing"]

    def reading() -> object:
        return second_ledger.read_ledger(fra / "ledger.db", fra / "ledger.checkpoint", FRA, seed)

    assert answer(reading) == "reads"
    with closing(sqlite3.connect(fra / "ledger.db")) as database:
        for statement in statements.split(";"):
            assert database.execute(statement).rowcount
        database.commit()
    assert answer(reading) == code


def test_the_anchor_shows_a_ledger_put_back(grid: Path, fra: Path) -> None:
    seed = keys(grid / FRA).secrets["signing"]
    anchor = fra / "ledger.checkpoint"

    def reading() -> object:
        return second_ledger.read_ledger(fra / "ledger.db", anchor, FRA, seed)

    newest = anchor.read_bytes()
    anchor.write_bytes(newest.replace(b'"size":', b'"size":1'))
    assert answer(reading) == "ledger-anchor-damaged"
    anchor.write_bytes((grid / LON / "keys" / "ledger.checkpoint").read_bytes())
    assert answer(reading) == "ledger-anchor-damaged"
    anchor.write_bytes(bytes(512))
    assert answer(reading) == "reads"
    anchor.unlink()
    assert answer(reading) == "ledger-anchor-damaged"


def test_a_removed_key_put_back_opens_nothing_unseen(tmp_path: Path) -> None:
    home = site(tmp_path, FRA, "DE")
    with reopened(home) as opened:
        ask(opened, "app_add", name="temp", tenant="acme", purposes=["care"])
    with closing(sqlite3.connect(home / "ledger.db")) as database:
        kept = database.execute("SELECT * FROM app").fetchall()
    with reopened(home) as opened:
        ask(opened, "app_remove", name="temp")
    assert read(home)
    assert cli(home, "site", "verify").code == 0
    with closing(sqlite3.connect(home / "ledger.db")) as database:
        database.executemany("INSERT INTO app VALUES (?, ?, ?, ?)", kept)
        database.commit()
    assert answer(lambda: read(home)) == "ledger-damaged"
    verified = cli(home, "site", "verify")
    assert verified.code == 5
    assert "an app that was removed is back" in verified.out
    assert cli(home, "site", "status").code == 5
