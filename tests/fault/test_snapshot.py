"""The snapshot is an aid: with it, without it, and with any byte of it changed, a site answers
the same; and nothing erased outlives in it.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from memory_fabric.adapters.lance import LanceStack
from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.core.labels import DataClass, Label
from memory_fabric.flows import snapshot
from memory_fabric.flows.snapshot import take
from memory_fabric.wiring import Home
from tests.fault.test_crash_points import Crash, crash, crashing, sound
from tests.system.homes import ask, cli, listed, recalled, remember, reopened, site

KEYS = ("keys/keyring.db", "snapshot")
"""What holds a snapshot: its key and its files."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A site of six memories, one of them relabelled, and the snapshot of it."""
    path = site(tmp_path, "fra-1", "DE")
    with reopened(path) as home:
        for number, name in enumerate(["Ada", "Bela", "Cleo", "Dora", "Emil", "Fina"]):
            remember(home, f"{name} planted tulip number {number}.", name, id=name.lower())
        ask(home, "label_set", id="bela", change={"data_class": "secret"})
        assert take(home.node)
    return path


def state(home: Home) -> dict[str, Any]:
    """What a site says of what it holds."""
    found = recalled(home, "who planted tulips?", top_k=50)["results"]
    texts = listed(home)
    return {
        "texts": texts,
        "labels": {name: label(home, name) for name in texts},
        "scores": {item["id"]: item["score"] for item in found},
    }


def label(home: Home, name: str) -> Label:
    row = home.node.copy.find("acme", name)
    assert row is not None
    return row.label


def rebuilt(path: Path) -> dict[str, Any]:
    """The state of a copy of the home that has no snapshot."""
    other = path.with_name("rebuilt")
    shutil.copytree(path, other)
    shutil.rmtree(other / "snapshot", ignore_errors=True)
    with reopened(other) as home:
        assert home.loaded is not None
        assert home.loaded.thawed == 0
        found = state(home)
    shutil.rmtree(other)
    return found


def thawed(path: Path, rows: int) -> None:
    """The home opens by its snapshot, and is as one that was rebuilt."""
    wanted = rebuilt(path)
    with reopened(path) as home:
        assert home.loaded is not None
        assert home.loaded.thawed == rows
        assert home.node.standing.refused is None
        assert state(home) == wanted
    sound(path)


def test_a_site_opens_by_its_snapshot(path: Path) -> None:
    thawed(path, 6)


def test_what_came_after_the_snapshot_is_there(path: Path) -> None:
    with reopened(path) as home:
        remember(home, "Gita planted roses.", "Gita", id="gita")
        ask(home, "label_set", id="gita", change={"data_class": "secret"})
        ask(home, "label_set", id="bela", change={"consent": "withdrawn"})
        ask(home, "label_set", id="ada", change={"data_class": "secret"})
    thawed(path, 6)
    with reopened(path) as home:
        assert home.node.standing.behind == 3
        assert take(home.node)
        assert home.node.standing.behind == 0
    thawed(path, 7)


@pytest.mark.parametrize("what", [{"subject": "Cleo"}, {"id": "cleo"}])
def test_an_erasure_destroys_the_snapshot_at_once(path: Path, what: dict[str, str]) -> None:
    kept = path.with_name("kept")
    for name in KEYS:
        (shutil.copytree if name == "snapshot" else shutil.copy2)(
            path / name, kept.with_name(name.rpartition("/")[2])
        )
    with reopened(path) as home:
        ask(home, "forget", **what)
        assert list((path / "snapshot").iterdir()) == []
        assert not home.node.keyring.holds_snapshot_key
    shutil.rmtree(path / "snapshot")
    shutil.copytree(kept.with_name("snapshot"), path / "snapshot")
    shutil.copy2(kept.with_name("keyring.db"), path / "keys" / "keyring.db")
    with reopened(path) as home:
        assert home.loaded is not None
        assert home.loaded.thawed == 0
        assert home.node.standing.refused == "snapshot-outlived"
        assert "cleo" not in listed(home)
        assert list((path / "snapshot").iterdir()) == []
        assert not home.node.keyring.holds_snapshot_key


@pytest.mark.parametrize(
    ("step", "refused"), [("drop_snapshot_keys", "snapshot-outlived"), ("destroy_keys", None)]
)
def test_an_erasure_that_a_crash_cut_short_ends_the_snapshot(
    path: Path, step: str, refused: str | None
) -> None:
    with reopened(path) as home:
        crashing(home, ("keyring", step), lambda: ask(home, "forget", subject="Cleo"))
    with reopened(path) as home:
        assert home.node.standing.refused == refused
        assert "cleo" not in listed(home)
        assert list((path / "snapshot").iterdir()) == []
    sound(path)


def test_what_a_crash_left_in_the_stack_is_found(path: Path) -> None:
    with reopened(path) as home:
        crashing(home, ("ledger", "commit"), lambda: remember(home, "Never told.", "Hugo"))
    with reopened(path) as home:
        crashing(
            home, ("ledger", "commit"),
            lambda: ask(home, "label_set", id="dora", change={"data_class": "secret"}),
        )  # fmt: skip
    with reopened(path) as home:
        assert home.loaded is not None
        assert (home.loaded.thawed, home.loaded.adopted) == (6, 1)
        assert label(home, "dora").data_class is DataClass.SECRET
        assert "Never told." not in listed(home).values()
    thawed(path, 6)


def test_a_record_that_is_gone_or_older_is_seen(path: Path) -> None:
    with reopened(path) as home:
        node = home.node
        rid = node.copy.find("acme", "ada").rid  # type: ignore[union-attr]
        (old,) = node.stack.fetch([rid])
        ask(home, "label_set", id="ada", change={"data_class": "secret"})
        take(node)
    for change, code in (
        (lambda stack: stack.write([old]), "record-altered"),
        (lambda stack: stack.remove([rid]), "record-missing"),
    ):
        change(LanceStack(path / "stack"))
        with pytest.raises(IntegrityViolated) as refused:
            reopened(path)
        assert refused.value.code == code


def test_a_removal_that_is_hidden_in_the_catalog_is_seen(path: Path, tmp_path: Path) -> None:
    shutil.copytree(path / "snapshot", tmp_path / "snapshot")
    shutil.copy2(path / "keys" / "keyring.db", tmp_path / "keyring.db")
    with reopened(path) as home:
        ask(home, "forget", subject="Cleo")
    with closing(sqlite3.connect(path / "ledger.db")) as database, database:
        hidden = "UPDATE catalog SET written_at=removed_at, removed_at=NULL WHERE removed_at > 0"
        assert database.execute(hidden).rowcount == 1
    shutil.rmtree(path / "snapshot")
    shutil.copytree(tmp_path / "snapshot", path / "snapshot")
    shutil.copy2(tmp_path / "keyring.db", path / "keys" / "keyring.db")
    with pytest.raises(IntegrityViolated) as refused:
        reopened(path)
    assert refused.value.code == "ledger-damaged"


def test_a_snapshot_of_more_than_the_log_holds_shows_that_the_log_was_put_back(
    path: Path, tmp_path: Path
) -> None:
    rolled = ("ledger.db", "keys/ledger.checkpoint")
    for name in rolled:
        shutil.copy2(path / name, tmp_path / Path(name).name)
    with reopened(path) as home:
        recalled(home, "tulips")
        take(home.node)
    for name in rolled:
        shutil.copy2(tmp_path / Path(name).name, path / name)
    with pytest.raises(IntegrityViolated) as refused:
        reopened(path)
    assert refused.value.code == "ledger-rolled-back"


def damages(path: Path) -> Iterator[tuple[str, bytes]]:
    """Ways to change the files of a snapshot: which file, and its new content."""
    for file in sorted((path / "snapshot").iterdir()):
        whole = file.read_bytes()
        for at in (3, 4, len(whole) // 2):
            yield file.name, whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :]
        yield file.name, whole[:-1]
        yield file.name, whole + b"\0"
        yield file.name, b""


def test_a_changed_snapshot_is_reported_and_changes_no_answer(path: Path) -> None:
    wanted = rebuilt(path)
    for name, content in damages(path):
        file = path / "snapshot" / name
        whole = file.read_bytes()
        file.write_bytes(content)
        run = cli(path, "site", "verify")
        assert run.code == 5, name
        assert [item["file"] for item in run.json["damaged"]] == [f"snapshot/{name}"]
        with reopened(path) as home:
            assert home.node.standing.refused == "snapshot-damaged"
            assert ask(home, "status")["snapshot"]["refused"] == "snapshot-damaged"
            assert state(home) == wanted
        file.write_bytes(whole)
    thawed(path, 6)


def test_another_site_s_snapshot_is_none(path: Path, tmp_path: Path) -> None:
    other = site(tmp_path, "lon-1", "GB")
    with reopened(other) as home:
        remember(home, "Hugo planted trees.", "Hugo")
        take(home.node)
    shutil.rmtree(path / "snapshot")
    shutil.copytree(other / "snapshot", path / "snapshot")
    assert cli(path, "site", "verify").code == 5
    with reopened(path) as home:
        assert home.node.standing.refused == "snapshot-damaged"
        assert len(listed(home)) == 6


def test_a_snapshot_of_another_version_s_search_copy_is_not_used(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = rebuilt(path)
    monkeypatch.setattr("memory_fabric.adapters.search.frozen._FORMAT", "of tomorrow")
    with reopened(path) as home:
        assert home.node.standing.refused == "snapshot-unfit"
        assert state(home) == wanted


def test_a_snapshot_that_lacks_more_than_it_holds_is_not_used(path: Path) -> None:
    with reopened(path) as home:
        memories = [{"memory": f"Rose number {n}.", "subjects": ["Gita"]} for n in range(7)]
        ask(home, "add", memories=memories)
    with reopened(path) as home:
        assert home.node.standing.refused == "snapshot-stale"
        assert len(listed(home)) == 13


STEPS = [
    ("keyring", "add_snapshot_key"),
    ("snapshots", "publish"),
    ("keyring", "drop_snapshot_keys"),
    ("snapshots", "drop"),
]


@pytest.mark.parametrize("step", STEPS, ids=[name for _, name in STEPS])
def test_a_crash_while_it_is_written_leaves_the_old_or_the_new_one(
    path: Path, step: tuple[str, str]
) -> None:
    with reopened(path) as home:
        remember(home, "Gita planted roses.", "Gita")
        crashing(home, step, lambda: take(home.node))
    sound(path)
    thawed(path, 6 if step in STEPS[:2] else 7)
    assert len(list((path / "snapshot").iterdir())) == 2


def test_a_crash_in_the_middle_of_the_chunks_leaves_the_old_one(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reopened(path) as home:
        monkeypatch.setattr("memory_fabric.adapters.snapshot_files.sync", crash)
        with pytest.raises(Crash):
            take(home.node)
    monkeypatch.undo()
    assert len(list((path / "snapshot").iterdir())) == 3
    thawed(path, 6)
    assert len(list((path / "snapshot").iterdir())) == 2


def test_a_snapshot_that_something_was_removed_under_never_counts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with reopened(path) as home:
        write = home.node.snapshots.write

        def meanwhile(name: str, chunks: Iterator[bytearray]) -> None:
            ask(home, "forget", id="ada")
            write(name, chunks)

        monkeypatch.setattr(home.node.snapshots, "write", meanwhile)
        assert not take(home.node)
        assert list((path / "snapshot").iterdir()) == []
        monkeypatch.undo()
        assert take(home.node)
    thawed(path, 5)


def test_a_site_that_is_closing_gives_up(path: Path) -> None:
    with reopened(path) as home:
        remember(home, "Gita planted roses.", "Gita")
        home.node.closing.set()
        assert not take(home.node)
    thawed(path, 6)


def test_a_large_site_leaves_a_snapshot_when_it_closes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = site(tmp_path, "fra-1", "DE")

    def add(count: int) -> set[str]:
        with reopened(path) as home:
            for number in range(count):
                remember(home, f"Tulip number {number}.", "Ada")
        return {file.name for file in (path / "snapshot").glob("*")}

    monkeypatch.setattr(snapshot, "LARGE", 4)
    assert add(3) == set()
    first = add(3)
    assert len(first) == 2
    monkeypatch.setattr(snapshot, "BEHIND", 0.3)
    assert add(1) == first
    assert add(3) & first == {"manifest"}
