"""Whoever rewrites a log is seen: the tables of ``docs/internals/security.md``, cell by cell.

*Opening* in a cell: the home does not open, or ``receipts verify`` ends with 5. Else nothing at the
site tells, and a checkpoint that an officer kept and a neighbour each do.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import InputError, IntegrityViolated
from memory_fabric.core.merkle import leaf_hash, root_of
from memory_fabric.core.receipt import Checkpoint
from memory_fabric.flows.proofs import verify_proof
from tests.conformance import second_reader
from tests.system.homes import ask, cli, recalled, remember, reopened, site

PAGE = Path(__file__).parents[2] / "docs" / "internals" / "security.md"
ROW = re.compile(r"^\| (.+) \|$", re.MULTILINE)
OPENING, ELSEWHERE = "opening", "checkpoint, neighbour"

Bodies = list[str]


def tables() -> dict[str, list[str]]:
    """Cells of the page's two tables, by the words in their first column."""
    section = PAGE.read_text().split("### Who rewrites the log")[1].split("\n## ")[0]
    rows = [row.split(" | ") for row in ROW.findall(section)]
    return {name: cells for name, *cells in rows if cells[0] in (OPENING, ELSEWHERE)}


@dataclass(frozen=True)
class Site:
    """A home at three moments, and what others hold of it at the last."""

    folder: Path
    home: Path
    note: Path

    def at(self, moment: str) -> Path:
        return self.folder / moment

    def put_back(self, moment: str, *names: str) -> None:
        """Files of the home, or all of it, as they were."""
        if not names:
            shutil.rmtree(self.home)
            shutil.copytree(self.at(moment), self.home)
        for name in names:
            shutil.copy2(self.at(moment) / name, self.home / name)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("witnessed")
    witness, home = site(folder, "fra-1", "DE"), site(folder, "par-1", "FR")
    assert cli(home, "site", "link", str(witness)).code == 0
    made = Site(folder, home, folder / "kept.note")

    def keep(moment: str) -> None:
        shutil.copytree(home, made.at(moment))

    keep("before the memories")
    with reopened(home) as opened:
        for text in ("One.", "Two.", "Three."):
            remember(opened, text, "Anna")
    keep("before the recalls")
    with reopened(home) as opened:
        for number in range(5):
            recalled(opened, f"What about {number}?")
    assert cli(home, "site", "verify").code == 0, "the neighbour is shown the log"
    made.note.write_text(cli(home, "receipts", "checkpoint", plain=True).out)
    keep("at last")
    return made


@pytest.fixture
def log(made: Site) -> Site:
    made.put_back("at last")
    return made


# --- what is done to the receipts -----------------------------------------------------------------

ACTS: dict[str, Callable[[Bodies], Bodies]] = {
    "a receipt is deleted": lambda told: [*told[:-3], *told[-2:]],
    "two receipts are exchanged": lambda told: [*told[:-3], told[-2], told[-3], told[-1]],
    "the newest receipts are cut off": lambda told: told[:-2],
    "the log is forked: it goes on with another receipt": lambda told: [
        *told[:-1], told[-1].replace("done", "denied"),
    ],
}  # fmt: skip


def rewrite(home: Path, act: Callable[[Bodies], Bodies], seed: bytes | None, anchor: bool) -> None:
    """Write the log anew, with every hash and index that belongs to it; signed where the key is
    known.
    """
    with closing(sqlite3.connect(home / "ledger.db")) as database, database:
        told = [body for (body,) in database.execute("SELECT body FROM receipt ORDER BY leaf")]
        bodies = act(told)
        assert bodies != told
        for table in ("receipt", "receipt_entry"):
            database.execute(f"DELETE FROM {table}")  # noqa: S608
        leaves = [leaf_hash(body.encode()) for body in bodies]
        for at, (body, leaf) in enumerate(zip(bodies, leaves, strict=True)):
            database.execute(
                "INSERT INTO receipt SELECT ?1, ?2->>'id', ?2, ?3,"
                " ?2->>'act', ?2->>'outcome', ?2->>'at'",
                (at, body, leaf),
            )
        database.execute("UPDATE checkpoint SET size=?, root=?", (len(leaves), root_of(leaves)))
        if seed:
            unsigned = Checkpoint(f"memory-fabric/{home.name}", len(leaves), root_of(leaves))
            signature = Ed25519PrivateKey.from_private_bytes(seed).sign(unsigned.body)
            database.execute("UPDATE checkpoint SET signature=?", (signature,))
            signed = Checkpoint(unsigned.origin, unsigned.size, unsigned.root, signature)
            (home / "keys" / "ledger.checkpoint").write_bytes(canonical(signed.to_json()))
        elif not anchor:
            (home / "keys" / "ledger.checkpoint").write_bytes(b"")


def seed_of(home: Path) -> bytes:
    """The site's signing key, which somebody took."""
    stored = second_reader.keyring_file(home / "keys" / "keyring.db")
    root = (home / "keys" / "root.key").read_bytes()[8:]
    return second_reader.read_keyring(stored, home.name, root).secrets["signing"]


# --- who sees it ----------------------------------------------------------------------------------


def seen_at_opening(log: Site) -> bool:
    try:
        reopened(log.home).close()
    except IntegrityViolated:
        return True
    return cli(log.home, "receipts", "verify").code == 5


def must_be_seen_by(cell: str, log: Site) -> None:
    assert seen_at_opening(log) == (cell == OPENING)
    assert cli(log.home, "receipts", "verify", "--checkpoint", str(log.note)).code == 5
    found = cli(log.home, "site", "verify")
    assert found.code == 5
    if cell == ELSEWHERE:
        assert ["fra-1" in item["what"] for item in found.json["damaged"]] == [True]


def test_an_untouched_log_is_seen_by_nobody(log: Site) -> None:
    assert not seen_at_opening(log)
    assert cli(log.home, "receipts", "verify", "--checkpoint", str(log.note)).code == 0
    assert cli(log.home, "site", "verify").code == 0


@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("hand", range(3), ids=["file", "file and anchor", "key"])
def test_a_log_written_anew_is_seen(log: Site, act: str, hand: int) -> None:
    rewrite(log.home, ACTS[act], seed_of(log.home) if hand == 2 else None, anchor=hand == 0)
    must_be_seen_by(tables()[act][hand], log)


@pytest.mark.parametrize("act", ACTS)
def test_a_log_signed_anew_proves_nothing_to_who_kept_a_checkpoint(log: Site, act: str) -> None:
    rewrite(log.home, ACTS[act], seed_of(log.home), anchor=True)
    kept = log.note.read_text()
    size = int(kept.split("\n")[1])
    with reopened(log.home) as home:
        for number in range(4):
            recalled(home, f"Then {number}?")
        proof = ask(home, "consistency", old=size)["proof"]
        newest = ask(home, "receipts_list", limit=1)["receipts"][0]["id"]
        with pytest.raises(InputError, match="size"):
            ask(home, "receipt_proof", id=newest, size=size)
    with pytest.raises(IntegrityViolated) as caught:
        verify_proof(proof, kept, None)
    assert caught.value.code == "proof-invalid"


BACK: dict[str, tuple[str, ...]] = {
    "`ledger.db` alone": ("before the recalls", "ledger.db"),
    "`ledger.db` with its anchor; memories were stored since": (
        "before the memories", "ledger.db", "keys/ledger.checkpoint",
    ),
    "`ledger.db` with its anchor; there were only recalls since": (
        "before the recalls", "ledger.db", "keys/ledger.checkpoint",
    ),
    "the whole home": ("before the recalls",),
}  # fmt: skip


@pytest.mark.parametrize("what", BACK)
def test_a_log_put_back_is_seen(log: Site, what: str) -> None:
    log.put_back(*BACK[what])
    must_be_seen_by(tables()[what][0], log)


def test_the_page_tells_no_other_case() -> None:
    assert set(tables()) == {*ACTS, *BACK}
