"""What users of other memory layers complain of when they delete; guarantee 6 answers each.

"On disk" means every file below the home and the temporary directory, journals included, read
whole. What stands there is sealed, so the sealed bytes themselves are looked for, in slices.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from memory_fabric.adapters.lance_compaction import Compactor
from memory_fabric.core.errors import Denied, MemoryFabricError, NotFound
from memory_fabric.core.receipt_search import Wanted
from memory_fabric.core.training import Task
from memory_fabric.flows.scrub import WAIT
from memory_fabric.wiring import Home, open_home
from tests.fakes.clock import ManualClock
from tests.fakes.trainer import FakeTrainer
from tests.federation.conftest import TASK
from tests.system.homes import ask, cli, files_of, listed, recalled, remember, reopened, site

SLICE = 48
TEXT = "The violet umbrella stands in the hall."


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return site(tmp_path, "fra-1", "DE")


@pytest.fixture
def home(path: Path) -> Iterator[Home]:
    with reopened(path) as opened:
        yield opened


def sealed(home: Home, subject: str) -> list[bytes]:
    """The sealed records about a subject, as they stand in the stack."""
    rows = home.node.copy.of_subject("acme", subject)
    return [record.blob for record in home.node.stack.fetch([row.rid for row in rows])]


def slices(blobs: Sequence[bytes]) -> set[bytes]:
    """Pieces of sealed bytes: text and vector lie somewhere in each blob."""
    return {blob[at : at + SLICE] for blob in blobs for at in range(0, len(blob) - SLICE, 97)}


def on_disk(path: Path, pieces: set[bytes]) -> int:
    """How many of the pieces stand in any file."""
    content = b"\0".join(file.read_bytes() for file in files_of(path))
    return sum(piece in content for piece in pieces)


# --- mem0 #3928: one delete wiped all users -------------------------------------------------------


def test_deleting_one_person_leaves_the_others(tmp_path: Path) -> None:
    path = site(tmp_path, "fra-1", "DE", tenants=["acme", "globex"])
    with reopened(path) as home:
        ours, theirs = (
            ask(home, "app_add", name=tenant, tenant=tenant, purposes=["care"])["key"]
            for tenant in ("acme", "globex")
        )
        kept = [remember(home, f"Note {number} of Bela.", "Bela", key=ours) for number in range(3)]
        remember(home, "Note of Ada.", "Ada", key=ours)
        remember(home, "Note of Ada and Bela.", "Ada", "Bela", key=ours)
        other = remember(home, "Another Ada.", "Ada", key=theirs)
        assert ask(home, "forget", ours, subject="Ada")["erased"] == {"memories": 2, "keys": 1}
        assert set(listed(home, "acme")) == set(kept)
        with pytest.raises(NotFound):
            ask(home, "forget", theirs, id=kept[0])  # another tenant's memory does not exist
    with reopened(path) as home:
        assert set(listed(home, "acme")) == set(kept)
        assert set(listed(home, "globex")) == {other}


# --- mem0 #3695, cognee #3526: deleted, and still searchable --------------------------------------


def test_what_is_deleted_is_found_by_nothing(path: Path) -> None:
    with reopened(path) as home:
        one = remember(home, TEXT, "Ada")
        two = remember(home, TEXT, "Bela")
        old = sealed(home, "Bela")
        ask(home, "forget", subject="Bela")
        ask(home, "forget", id=one)
        nowhere(home, [one, two])
        assert home.upkeep.states()[0].due is False  # and that before anything went over the disk
        assert on_disk(path, slices(old))
    with reopened(path) as home:
        nowhere(home, [one, two])


def nowhere(home: Home, ids: Sequence[str]) -> None:
    for scope in ({}, {"subject": "Ada"}, {"subject": "Bela"}, {"reach": "grid"}):
        assert recalled(home, TEXT, **scope)["results"] == []
    assert listed(home) == {}
    for name in ids:
        for operation, asked in (("get", {"purpose": "care"}), ("forget", {})):
            with pytest.raises(NotFound):
                ask(home, operation, id=name, **asked)
    told = ask(home, "context", query=TEXT, purpose="care", all_subjects=True)
    assert "umbrella" not in repr(told)
    assert ask(home, "status")["memories"] == 0


# --- mem0 2.2.1: after delete_all everything still stood in history.db ----------------------------


def test_no_journal_and_no_history_keeps_what_was_deleted(path: Path) -> None:
    name, word = f"Name{secrets.token_hex(8)}", secrets.token_hex(12)
    with reopened(path) as home:
        for number in range(10):
            memory = remember(home, f"{word} {number}", name, id=f"id-{word}-{number}")
        ask(home, "label_set", id=memory, change={"data_class": "secret"})
        ask(home, "forget", subject=name)
        during = [word, name]
        assert not any(on_disk(path, {text.encode()}) for text in during)
    assert not any(on_disk(path, {text.encode()}) for text in during)
    with sqlite3.connect(path / "ledger.db") as database:
        everything = "\n".join(database.iterdump())
    assert word not in everything
    assert name not in everything
    for journal in ("ledger.db-wal", "keys/keyring.db-journal", "keys/keyring.db-wal"):
        file = path / journal
        assert not file.exists() or not file.stat().st_size


# --- memanto #1891, graphiti #632 #810 #1876: an empty scope meant everything ---------------------


@pytest.mark.parametrize(
    "scope",
    [{}, {"subject": ""}, {"subject": " "}, {"subject": "\t\n"}, {"id": ""}, {"subject": None},
     {"subject": "", "id": ""}, {"subject": "Ada", "id": "note"}],
    ids=str,
)  # fmt: skip
def test_a_missing_scope_deletes_nothing(home: Home, scope: Mapping[str, Any]) -> None:
    remember(home, "Note of Ada.", "Ada", id="note")
    with pytest.raises(MemoryFabricError) as refused:
        ask(home, "forget", **scope)
    assert refused.value.code == "scope-missing"
    assert list(listed(home)) == ["note"]


@pytest.mark.parametrize("pattern", ["*", "%", "_", ".*", "A*", "all", "None", "ada", "Ada' OR '1"])
def test_a_pattern_is_only_a_name(home: Home, pattern: str) -> None:
    remember(home, "Note of Ada.", "Ada", id="note")
    assert ask(home, "forget", subject=pattern)["erased"] == {"memories": 0, "keys": 0}
    with pytest.raises(NotFound):
        ask(home, "forget", id=pattern)
    assert list(listed(home)) == ["note"]


# --- MemOS #1103: deleting 793 rows took 142 s: each delete did the work of all -------------------


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The thresholds with which the stack was gone over, one for each time."""
    passes: list[float] = []
    real = Compactor.compact

    def compact(self: Compactor, threshold: float, *given: Any) -> bool:
        passes.append(threshold)
        return real(self, threshold, *given)

    with monkeypatch.context() as patch:
        patch.setattr(Compactor, "compact", compact)
        yield passes


@pytest.mark.parametrize("many", [20, 80])
def test_many_deletes_are_one_pass_over_the_disk(
    path: Path, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    memories = [{"memory": f"Note {n}.", "subjects": [f"S{n}"], "id": f"n{n}"} for n in range(many)]
    with counted(monkeypatch) as passes:
        with reopened(path) as home:
            ask(home, "add", memories=memories)
            for number in range(many):
                chosen = {"id": f"n{number}"} if number % 2 else {"subject": f"S{number}"}
                assert ask(home, "forget", **chosen)["erased"]["memories"] == 1
            assert passes == []
        assert passes == [0.0]
    with reopened(path) as home:
        (scrub,) = home.node.ledger.receipts(None, 5, Wanted(act="scrub"))
        assert len(scrub["request"]["erasures"]) == many


def test_a_person_with_many_memories_is_one_write(path: Path) -> None:
    memories = [{"memory": f"Note {number}.", "subjects": ["Ada"]} for number in range(800)]
    with reopened(path) as home:
        ask(home, "add", memories=memories)
        before = home.node.stack.version, home.node.ledger.checkpoint().size
        assert ask(home, "forget", subject="Ada")["erased"] == {"memories": 800, "keys": 1}
        after = home.node.stack.version, home.node.ledger.checkpoint().size
        assert (after[0] - before[0], after[1] - before[1]) == (1, 1)
        assert listed(home) == {}


# --- ai-memory-mcp #2673: an erasure missed the peers ---------------------------------------------


def test_an_erasure_reaches_the_tenant_s_other_sites_and_says_which_not(tmp_path: Path) -> None:
    regions = {"fra-1": "DE", "par-1": "FR", "iad-1": "US", "muc-1": "DE"}
    paths = {name: site(tmp_path, name, region) for name, region in regions.items()}
    for name in ("par-1", "iad-1", "muc-1"):
        assert cli(paths["fra-1"], "site", "link", str(paths[name])).code == 0
    pieces: dict[str, set[bytes]] = {}
    for name, path in paths.items():
        with reopened(path) as home:
            remember(home, "Note of Ada.", "Ada")
            remember(home, "Note of Bela.", "Bela")
            pieces[name] = slices(sealed(home, "Ada"))
    paths["muc-1"].rename(tmp_path / "away")
    told = cli(paths["fra-1"], "forget", "--subject", "Ada").json
    assert told["erased"] == {"memories": 1, "keys": 1}
    assert {item["site"]: item["erased"]["memories"] for item in told["elsewhere"]} == {"par-1": 1}
    assert [item["site"] for item in told["unreachable"]] == ["muc-1"]
    (held,) = told["withheld"]  # no rule lets the notice, personal data itself, go there
    assert held["site"] == "iad-1"
    assert all(rule["basis"] for rule in held["rules"])
    (tmp_path / "away").rename(paths["muc-1"])
    again = cli(paths["fra-1"], "forget", "--subject", "Ada").json
    assert {item["site"]: item["erased"]["memories"] for item in again["elsewhere"]} == {
        "par-1": 0, "muc-1": 1,
    }  # fmt: skip
    for name, expected in (("fra-1", 1), ("par-1", 1), ("muc-1", 1), ("iad-1", 2)):
        with reopened(paths[name]) as home:
            assert len(listed(home)) == expected
        # Each site goes over its own disk; only what could not be told stands there as before.
        assert on_disk(paths[name], pieces[name]) == (len(pieces[name]) if name == "iad-1" else 0)


# --- LanceDB, Chroma, Qdrant, sqlite-vec, mem0: deleted rows stay in the files --------------------


@pytest.mark.parametrize("by", ["subject", "id"])
def test_the_sealed_bytes_of_what_is_deleted_leave_the_disk(path: Path, by: str) -> None:
    with reopened(path) as home:
        memories = [
            {"memory": f"Note {n}.", "subjects": [f"S{n}"], "id": f"n{n}"} for n in range(60)
        ]
        ask(home, "add", memories=memories)
        ask(home, "label_set", id="n7", change={"consent": "withdrawn"})
        gone, kept = slices(sealed(home, "S7")), slices(sealed(home, "S8"))
    assert len(gone) > 10
    assert on_disk(path, gone) == len(gone)
    told = cli(path, "forget", f"--{by}", "S7" if by == "subject" else "n7").json
    assert told["bytes"]["gone"]
    assert on_disk(path, gone) == 0
    assert on_disk(path, kept) == len(kept)
    scrub = cli(path, "receipts", "show", told["bytes"]["receipt"]).json
    assert scrub["act"] == "scrub"
    assert scrub["request"]["erasures"] == [told["receipt"]]
    assert bool(told["remains"]) is (by == "id")  # backups keep what no key was destroyed for
    assert cli(path, "site", "verify").code == 0


def test_no_byte_of_the_old_keyring_opens_anything(path: Path) -> None:
    with reopened(path) as home:
        for number in range(40):
            remember(home, f"Note {number}.", f"S{number}")
        epoch = home.node.keyring.epoch
    old = (path / "keys" / "keyring.db").read_bytes()
    wrapped = {old[at : at + SLICE] for at in range(0, len(old), 512)}
    wrapped = {piece for piece in wrapped if len(set(piece)) > SLICE // 2}  # ciphertext, no padding
    assert len(wrapped) > 10
    assert cli(path, "forget", "--subject", "S7").json["erased"]["keys"] == 1
    with reopened(path) as home:
        assert home.node.keyring.epoch == epoch + 1
        assert len(listed(home)) == 39
    assert on_disk(path, wrapped) == 0


def test_a_served_site_gathers_erasures_and_then_goes_over_the_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memory_fabric.flows.upkeep.PULSE", 0.01)
    clock = ManualClock()
    with reopened(path, clock=clock) as home:
        for name in ("Ada", "Bela", "Cleo"):
            remember(home, f"{TEXT} {name}", name)
        gone = slices(sealed(home, "Ada") + sealed(home, "Bela"))
        home.served = True
        home.upkeep.start()
        told = [ask(home, "forget", subject=name, finish=True) for name in ("Ada", "Bela")]
        for answer in told:
            assert not answer["bytes"]["gone"]
            assert answer["bytes"]["by"] > clock.now().isoformat()
        assert on_disk(path, gone) == len(gone)
        clock.advance(seconds=WAIT.total_seconds())
        for _ in range(3000):
            if not home.node.unscrubbed or home.node.closing.wait(0.01):
                break
        home.upkeep.stop()
        (scrub,) = home.node.ledger.receipts(None, 5, Wanted(act="scrub"))
        assert set(scrub["request"]["erasures"]) == {answer["receipt"] for answer in told}
        assert on_disk(path, gone) == 0
        assert len(listed(home)) == 1


# --- What no neighbour does: a hold, and the models that learned from it --------------------------


def test_a_hold_refuses_with_its_rule_and_nothing_is_touched(home: Home) -> None:
    remember(home, TEXT, "Ada", id="held")
    ask(home, "label_set", id="held", change={"legal_hold": True})
    for scope in ({"subject": "Ada"}, {"id": "held"}):
        with pytest.raises(Denied) as refused:
            ask(home, "forget", **scope)
        (rule,) = refused.value.details["rules"]
        assert rule["id"] == "legal-hold"
        assert rule["basis"]
    assert list(listed(home)) == ["held"]
    assert home.node.unscrubbed == {}


def test_an_erasure_names_the_adapters_that_learned_from_it(path: Path) -> None:
    with open_home(path, trainer=FakeTrainer()) as home:
        for number in range(12):
            split = {"split": "train" if number % 4 else "heldout"}
            label = {"purposes": ["training"]}
            remember(home, f"Question: {number}?", f"S{number}", metadata=split, label=label)
        remember(home, TEXT, "Ada")
        model = ask(home, "finetune_model")
        adapter = ask(home, "finetune_initial", adapter=TASK["adapter"], seed=0)["adapter"]
        task = {**Task("run-1", 1, model["model"], model["model_id"]).to_json(), **TASK}
        begun = ask(home, "finetune_begin", task=task, adapter=adapter, sites=["fra-1"])
        answer = ask(home, "finetune_answer", site="fra-1", letter=begun["letters"]["fra-1"])
        assert ask(home, "finetune_take", run="run-1", site="fra-1", letter=answer["letter"])
        assert ask(home, "forget", subject="Ada")["runs"] == []
        told = ask(home, "forget", subject="S3")
        assert told["runs"] == ["run-1"]
        assert "run-1" in told["remains"][0]
        remember(home, TEXT, "S3")  # somebody new, of whom nothing was learned
        assert ask(home, "forget", subject="S3")["runs"] == []
