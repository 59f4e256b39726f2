"""Keys of whole sites: what an operator sees of them, and putting others in their place."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.system.homes import ask, cli, listed, remember, reopened, site

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return site(tmp_path, "fra-1", "DE")


def status(path: Path) -> dict[str, object]:
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
