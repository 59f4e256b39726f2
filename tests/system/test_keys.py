"""Keys of whole sites: what an operator sees of them, and putting others in their place."""

from __future__ import annotations

import shutil
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from memory_fabric.wiring.kept_keys import keys_in_escrow
from memory_fabric.wiring.restore import restore_home
from tests.system.homes import ask, cli, listed, remember, reopened, site


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return site(tmp_path, "fra-1", "DE")


def status(path: Path) -> dict[str, Any]:
    run = cli(path, "keys", "status")
    assert run.code == 0
    return run.json


def test_status_shows_ages_and_coverage_and_no_names(path: Path) -> None:
    with reopened(path) as home:
        remember(home, "Ada likes tea.", "Ada", "Bob")
        ask(home, "forget", subject="Bob")
        remember(home, "Ada likes coffee.", "Ada")
    told = status(path)
    assert told["root"]["provider"] == "file"
    assert told["epoch"] == {**told["epoch"], "number": 2, "days": 0}  # renewed after the erasure
    assert told["keys"] == {"tenants": 0, "subjects": 1, "destroyed": 1, "site": 4, "snapshots": 0}
    assert told["records"] == {"1": 1}
    assert told["to_destroy"] == []
    shown = cli(path, "keys", "status", plain=True).out
    assert "epoch" in shown
    assert "Ada" not in shown


@pytest.mark.parametrize("words", [(), ("--root",), ("--root", "--epoch")], ids=" ".join)
def test_rotation_leaves_every_memory_readable(path: Path, words: tuple[str, ...]) -> None:
    with reopened(path) as home:
        remember(home, "Ada likes tea.", "Ada")
    before, key = status(path), (path / "keys" / "root.key").read_bytes()
    run = cli(path, "keys", "rotate", *words)
    assert run.code == 0
    after = status(path)
    assert after["epoch"]["number"] == (1 if words == ("--root",) else 2)
    assert (after["root"]["id"] != before["root"]["id"]) == bool(words)
    assert ((path / "keys" / "root.key").read_bytes() != key) == bool(words)
    assert not (path / "keys" / "root.next.key").exists()
    with reopened(path) as home:
        remember(home, "Ada likes coffee.", "Ada")
        assert len(listed(home)) == 2
        receipt = ask(home, "receipt_show", id=run.json["receipt"])
    assert receipt["act"] == "rotate-keys"
    assert receipt["facts"] == {
        "epoch": after["epoch"]["number"], "provider": "file", "root": after["root"]["id"],
    }  # fmt: skip
    assert cli(path, "site", "verify").code == 0
    (path / "keys" / "root.key").write_bytes(key)
    assert (cli(path, "site", "status").code == 1) == bool(words)


def test_writes_go_on_while_keys_rotate(path: Path) -> None:
    with reopened(path) as home:
        stop, errors = threading.Event(), []

        def write() -> None:
            try:
                for number in range(1000):
                    if stop.is_set():
                        return
                    remember(home, f"Memory {number}.", f"S{number}")
            except BaseException as error:
                errors.append(error)
                raise

        writer = threading.Thread(target=write)
        writer.start()
        for number in range(4):
            ask(home, "keys_rotate", root=bool(number % 2), epoch=True)
        stop.set()
        writer.join()
        assert not errors
        held = listed(home)
    with reopened(path) as home:
        assert listed(home) == held
        assert home.node.keyring.epoch == 5


def test_nothing_to_rotate_and_no_such_kind_are_errors(path: Path) -> None:
    key = (path / "keys" / "root.key").read_bytes()
    run = cli(path, "keys", "rotate", "--to", "abacus")
    assert (run.code, run.json["code"]) == (2, "key-provider-unknown")
    assert (path / "keys" / "root.key").read_bytes() == key
    assert status(path)["to_destroy"] == []
    with reopened(path) as home, pytest.raises(Exception, match="Nothing is to be rotated"):
        ask(home, "keys_rotate")


class TestEscrow:
    def test_says_when_it_is_out_of_date(self, path: Path, tmp_path: Path) -> None:
        file = tmp_path / "keys.escrow"

        def state() -> tuple[str, int, int]:
            told = status(path)["escrow"]
            return told["state"], told["erased"], told["lacking"]

        with reopened(path) as home:
            remember(home, "Ada likes tea.", "Ada")
        assert state() == ("none", 0, 0)
        run = cli(path, "keys", "escrow", str(file))
        assert run.code == 0
        assert state() == ("current", 0, 0)
        assert cli(path, "keys", "rotate", "--root", "--epoch").code == 0
        assert state() == ("current", 0, 0)
        with reopened(path) as home:
            remember(home, "Bob likes milk.", "Bob")
        assert state() == ("incomplete", 0, 1)
        assert cli(path, "forget", "--subject", "Ada").code == 0
        assert state() == ("stale", 1, 1)
        warnings = cli(path, "site", "status").json["warnings"]
        assert any("keys escrow" in warning for warning in warnings)
        with file.open("rb") as held:
            again = cli(path, "keys", "escrow", str(file))
            assert not any(held.read())  # the bytes of the old one are overwritten
        assert again.json["key"] != run.json["key"]
        assert state() == ("current", 0, 0)
        with reopened(path) as home:
            receipts = ask(home, "receipts_list", act="escrow-keys")["receipts"]
        assert len(receipts) == 2
        assert run.json["key"] not in str(receipts)

    def test_never_takes_the_place_of_something_else(self, path: Path, tmp_path: Path) -> None:
        file = tmp_path / "letter.txt"
        file.write_text("Dear Ada")
        link = tmp_path / "link"
        link.symlink_to(file)
        for place in (file, link, tmp_path):
            run = cli(path, "keys", "escrow", str(place))
            assert (run.code, run.json["code"]) == (2, "file-exists")
        assert file.read_text() == "Dear Ada"
        run = cli(path, "keys", "escrow", str(tmp_path / "nowhere" / "file"))
        assert (run.code, run.json["code"]) == (2, "file-unwritable")
        assert status(path)["escrow"]["state"] == "none"

    def test_restores_elsewhere_without_the_root_key(self, path: Path, tmp_path: Path) -> None:
        backups, file = tmp_path / "backups", tmp_path / "keys.escrow"
        with reopened(path) as home:
            remember(home, "Ada likes tea.", "Ada")
            remember(home, "Bob likes milk.", "Bob")
            ask(home, "backup_create", folder=str(backups), keep=7)
            ask(home, "forget", subject="Bob")
        key = cli(path, "keys", "escrow", str(file)).json["key"]
        shutil.rmtree(path)
        again = tmp_path / "again"
        restore_home(again, backups, partial(keys_in_escrow, file, key), "root")
        with reopened(again) as home:
            assert list(listed(home).values()) == ["Ada likes tea."]
            remember(home, "Cy likes rum.", "Cy")
        assert cli(again, "site", "verify").code == 0
        assert status(again)["escrow"]["state"] == "none"
