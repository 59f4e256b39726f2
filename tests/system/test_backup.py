"""Backups: taken while a site goes on, without keys, and read back to the last byte."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from memory_fabric.core.errors import HomeError, IntegrityViolated, MemoryFabricError, NotFound
from memory_fabric.core.receipt_search import Wanted
from memory_fabric.wiring import Home
from memory_fabric.wiring.kept_keys import keys_of
from memory_fabric.wiring.restore import restore_home
from tests.system.homes import ask, cli, files_of, listed, recalled, remember, reopened, site


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    path = site(tmp_path, "fra-1", "DE")
    with reopened(path) as opened:
        for person in ("Anna", "Ben", "Cem"):
            remember(opened, f"{person} drinks tea at four.", person)
        yield opened


def back_up(home: Home, folder: Path, keep: int = 7) -> dict[str, object]:
    return ask(home, "backup_create", folder=str(folder), keep=keep)


def restore(home: Home, folder: Path, to: Path, number: int | None = None) -> dict[str, str]:
    keys = partial(keys_of, home.path / "keys")
    restore_home(to, folder, keys, "tester", number=number)
    with reopened(to) as again:
        assert ask(again, "verify_site")["damaged"] == []
        return listed(again)


def test_a_restored_site_holds_what_was_backed_up(home: Home, tmp_path: Path) -> None:
    made = back_up(home, tmp_path / "backups")
    before = listed(home)
    remember(home, "Dora came later.", "Dora")
    assert restore(home, tmp_path / "backups", tmp_path / "again") == before
    with reopened(tmp_path / "again") as again:
        last = again.node.ledger.receipts(None, 10, Wanted(act="restore"))[0]
        assert last["request"]["number"] == made["number"]
        assert recalled(again, "tea", subject="Ben")["results"]


def test_only_what_is_new_is_written(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    assert back_up(home, folder)["written"] == 3
    assert back_up(home, folder)["written"] == 0
    remember(home, "Dora came later.", "Dora")
    assert back_up(home, folder)["written"] == 1
    assert len(restore(home, folder, tmp_path / "first", 1)) == 3
    assert len(restore(home, folder, tmp_path / "last")) == 4


def test_an_old_backup_opens_except_to_the_erased(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "backups")
    ask(home, "forget", subject="Anna")
    found = restore(home, tmp_path / "backups", tmp_path / "again")
    assert sorted(found.values()) == ["Ben drinks tea at four.", "Cem drinks tea at four."]


def test_a_label_that_changed_is_backed_up_again(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "backups")
    name = next(name for name, text in listed(home).items() if text.startswith("Ben"))
    ask(home, "label_set", id=name, change={"legal_hold": True})
    assert back_up(home, tmp_path / "backups")["written"] == 3
    restore(home, tmp_path / "backups", tmp_path / "again")
    assert cli(tmp_path / "again", "forget", "--id", name).code == 3


def test_backups_that_nobody_keeps_go_with_what_only_they_held(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    back_up(home, folder)
    ask(home, "forget", subject="Anna")
    kept = len(list(files_of(folder / "objects")))
    back_up(home, folder, keep=1)
    assert len(list(files_of(folder / "manifests"))) == 1
    assert len(list(files_of(folder / "objects"))) <= kept + 1
    with pytest.raises(NotFound) as gone:
        restore(home, folder, tmp_path / "again", 1)
    assert gone.value.code == "backup-unknown"
    assert len(restore(home, folder, tmp_path / "again")) == 2


def test_a_backup_holds_no_key_and_no_plaintext(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "backups")
    keys = [path.read_bytes() for path in files_of(home.path / "keys") if path.suffix == ".key"]
    assert keys
    for path in files_of(tmp_path / "backups"):
        content = path.read_bytes()
        assert not any(key in content for key in keys)
        assert b"tea at four" not in content
        assert b"Anna" not in content


def test_writing_goes_on_while_a_backup_is_taken(home: Home, tmp_path: Path) -> None:
    stop, told = threading.Event(), []

    def write() -> None:
        while not stop.is_set():
            told.append(remember(home, f"Note {len(told)}.", "Ben"))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            made = back_up(home, tmp_path / "backups")
    finally:
        stop.set()
        writer.join()
    found = restore(home, tmp_path / "backups", tmp_path / "again")
    assert len(found) == made["records"]
    # What was acknowledged before the backup is in it, in the order of writing and without a gap.
    assert {name for name in told if name in found} == set(told[: len(found) - 3])


@pytest.mark.parametrize("part", ["objects", "manifests"])
def test_every_flipped_byte_of_a_backup_is_seen(home: Home, tmp_path: Path, part: str) -> None:
    folder = tmp_path / "backups"
    back_up(home, folder)
    for number, path in enumerate(files_of(folder / part)):
        right = path.read_bytes()
        at = len(right) // 2
        path.write_bytes(right[:at] + bytes([right[at] ^ 1]) + right[at + 1 :])
        found = cli(home.path, "backup", "check", str(folder)) if number == 0 else None
        with pytest.raises(IntegrityViolated) as seen:
            restore(home, folder, tmp_path / "again")
        assert (seen.value.code, seen.value.exit_code) == ("backup-damaged", 5)
        assert not (tmp_path / "again").exists()
        path.write_bytes(right)
        assert found is None or found.code in (1, 5)


def test_a_folder_of_another_site_is_refused(home: Home, tmp_path: Path) -> None:
    back_up(home, tmp_path / "backups")
    with reopened(site(tmp_path, "par-1", "FR")) as other:
        with pytest.raises(HomeError) as refused:
            back_up(other, tmp_path / "backups")
        assert refused.value.code == "backup-foreign"
        keys = partial(keys_of, other.path / "keys")
        with pytest.raises(HomeError):
            restore_home(tmp_path / "again", tmp_path / "backups", keys, "tester")
    assert not (tmp_path / "again").exists()


def test_a_place_that_is_no_backup_is_left_alone(home: Home, tmp_path: Path) -> None:
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "one.txt").write_text("mine")
    with pytest.raises(MemoryFabricError) as taken:
        back_up(home, tmp_path / "letters")
    assert taken.value.code == "backup-place-taken"
    with pytest.raises(NotFound):
        ask(home, "backup_check", folder=str(tmp_path / "letters"))


def test_a_backup_goes_on_where_its_first_attempt_was_cut_short(home: Home, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    (folder / "manifests").mkdir(parents=True)
    (folder / "objects").mkdir()
    (folder / "memory-fabric-backup.new").write_bytes(b"")
    back_up(home, folder)
    ask(home, "backup_check", folder=str(folder))
