"""Keys of whole sites: what an operator sees of them, and putting others in their place."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path
from typing import Any, NoReturn

import pytest

from memory_fabric.adapters import rootkeys
from memory_fabric.adapters.rootkeys import GROUP
from memory_fabric.adapters.rootkeys.file import FileRootKeys
from memory_fabric.core.errors import HomeError, Unavailable
from tests.fakes.token import PIN, token
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
        written = tmp_path / "written down"
        written.write_text(key)
        words = ("backup", "restore", str(backups), "--escrow", str(file))
        with written.open() as held:
            assert cli(again, "--passphrase-fd", str(held.fileno()), *words).json["erased"] == 1
        with reopened(again) as home:
            assert list(listed(home).values()) == ["Ada likes tea."]
            remember(home, "Cy likes rum.", "Cy")
        assert cli(again, "site", "verify").code == 0
        assert status(again)["escrow"]["state"] == "none"


def in_token(path: Path, folder: Path) -> Path:
    """Set up root keys in a token; the file with its PIN."""
    place, pin = token(folder), folder / "pin"
    pin.write_text(PIN)
    pin.chmod(0o600)
    with (path / "site.toml").open("a") as settings:
        settings.write(
            f'\n[keys.pkcs11]\nmodule = "{place.settings["module"]}"\n'
            f'token = "{place.settings["token"]}"\npin_file = "{pin}"\n'
        )
    return pin


PASSPHRASE, OTHER = "correct horse battery staple", "another horse entirely"


class TestOtherRootKeys:
    @pytest.fixture
    def given(self, tmp_path: Path) -> Iterator[Callable[[str], str]]:
        """A descriptor that gives a text."""
        with ExitStack() as files:

            def give(text: str) -> str:
                file = tmp_path / f"given {text}"
                file.write_text(text + "\n")
                return str(files.enter_context(file.open()).fileno())

            yield give

    @pytest.fixture
    def behind(self, tmp_path: Path, given: Callable[[str], str]) -> Path:
        """A home behind a passphrase."""
        path = tmp_path / "fra-1"
        words = ("site", "init", "--site", "fra-1", "--region", "DE", "--tenant", "acme")
        run = cli(path, "--passphrase-fd", given(PASSPHRASE), *words, "--keys", "passphrase")
        assert run.code == 0
        return path

    def test_a_passphrase_opens_and_nothing_else_does(
        self, behind: Path, given: Callable[[str], str]
    ) -> None:
        assert not (behind / "keys" / "root.key").exists()
        assert cli(behind, "--passphrase-fd", given(PASSPHRASE), "site", "verify").code == 0
        run = cli(behind, "--passphrase-fd", given(OTHER), "site", "status")
        assert (run.code, run.json["code"]) == (1, "passphrase-wrong")
        run = cli(behind, "--passphrase-fd", "999", "site", "status")
        assert (run.code, run.json["code"]) == (2, "descriptor-unreadable")
        for file in behind.rglob("*"):
            assert not file.is_file() or PASSPHRASE.encode() not in file.read_bytes()

    def test_without_a_terminal_it_says_what_to_do(self, behind: Path) -> None:
        """Served by a service manager, say: nobody is asked, and nothing hangs."""
        start = "from memory_fabric.cli import main; main()"
        program = [sys.executable, "-c", start, "--home", str(behind)]
        for words in (["site", "serve", "--listen", "127.0.0.1:0"], ["site", "status"]):
            run = subprocess.run(
                [*program, *words, "--json"], stdin=subprocess.DEVNULL, capture_output=True,
                text=True, timeout=60,
            )  # fmt: skip
            assert (run.returncode, json.loads(run.stdout)["code"]) == (1, "passphrase-missing")

    def test_a_file_that_site_toml_names_opens(self, behind: Path, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text(PASSPHRASE)
        secret.chmod(0o600)
        with (behind / "site.toml").open("a") as settings:
            settings.write(f'\n[keys.passphrase]\nfile = "{secret}"\n')
        assert cli(behind, "site", "status").code == 0

    def test_rotating_to_another_passphrase(
        self, behind: Path, given: Callable[[str], str]
    ) -> None:
        old, new = given(PASSPHRASE), given(OTHER)
        words = ("keys", "rotate", "--root", "--new-passphrase-fd", new)
        assert cli(behind, "--passphrase-fd", old, *words).code == 0
        run = cli(behind, "--passphrase-fd", given(PASSPHRASE), "site", "status")
        assert run.json["code"] == "passphrase-wrong"
        assert cli(behind, "--passphrase-fd", given(OTHER), "site", "status").code == 0

    def test_from_a_file_into_a_token_and_back(self, path: Path, tmp_path: Path) -> None:
        with reopened(path) as home:
            remember(home, "Ada likes tea.", "Ada")
            # Settings are read anew for a rotation, so that a served site needs no restart.
            pin = in_token(path, tmp_path)
            done = ask(home, "keys_rotate", root=True, epoch=True, to="pkcs11")
            assert (done["provider"], done["to_destroy"]) == ("pkcs11", [])
            remember(home, "Ada likes coffee.", "Ada")
        assert not list((path / "keys").glob("root*"))
        assert cli(path, "site", "verify").code == 0
        pin.rename(tmp_path / "aside")
        assert cli(path, "site", "status").json["code"] == "passphrase-missing"
        (tmp_path / "aside").rename(pin)
        assert cli(path, "keys", "rotate", "--to", "file").code == 0
        assert status(path)["root"]["provider"] == "file"
        with reopened(path) as home:
            assert len(listed(home)) == 2

    @pytest.mark.parametrize("kind", ["pkcs11", "file"])
    def test_an_erasure_changes_a_root_key_that_nobody_can_have_copied(
        self, path: Path, tmp_path: Path, kind: str
    ) -> None:
        in_token(path, tmp_path)
        cli(path, "keys", "rotate", "--to", kind)
        with reopened(path) as home:
            remember(home, "Ada likes tea.", "Ada")
        before = status(path)["root"]["id"]
        shutil.copytree(path / "keys", tmp_path / "copied")
        assert cli(path, "forget", "--subject", "Ada").code == 0
        assert (status(path)["root"]["id"] != before) == (kind == "pkcs11")
        # Guarantee 6: an old copy of all keys opens nothing more where the token kept the root key.
        shutil.rmtree(path / "keys")
        shutil.move(tmp_path / "copied", path / "keys")
        run = cli(path, "keys", "status")
        assert (run.json.get("code") == "root-key-missing") == (kind == "pkcs11")

    def test_an_old_root_key_that_is_out_of_reach_stays_named(
        self, path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = FileRootKeys.destroy

        def away(self: FileRootKeys, root_id: str) -> None:
            raise HomeError("root-key-unwritable", "The disk with the root key is away.")

        with monkeypatch.context() as absent:
            absent.setattr(FileRootKeys, "destroy", away)
            run = cli(path, "keys", "rotate", "--root")
            assert (run.code, run.json["to_destroy"]) == (0, ["file"])
            assert [left["provider"] for left in status(path)["to_destroy"]] == ["file"]
        assert real is FileRootKeys.destroy
        assert status(path)["to_destroy"] == []
        assert not (path / "keys" / "root.next.key").exists()

    def test_a_package_of_one_s_own_brings_another_kind(
        self, path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        point = EntryPoint("vault", "tests.fakes.cloud_keys:CloudRootKeys", GROUP)
        found = entry_points

        def with_cloud(**query: str) -> EntryPoints:
            return EntryPoints([*found(**query), point]).select(**query)

        monkeypatch.setattr(rootkeys, "entry_points", with_cloud)
        assert cli(path, "keys", "rotate", "--to", "vault").code == 0
        assert status(path)["root"]["provider"] == "vault"
        assert not list((path / "keys").glob("root*"))


def test_nothing_of_it_happens_without_its_receipt(path: Path, tmp_path: Path) -> None:
    def disk_full(*_: object, **__: object) -> NoReturn:
        raise Unavailable("ledger-unwritable", "The disk is full.", "Make room.")

    file, key = tmp_path / "keys.escrow", (path / "keys" / "root.key").read_bytes()
    with reopened(path) as home:
        commit = home.node.ledger.commit
        home.node.ledger.commit = disk_full
        for asked in (
            lambda: ask(home, "keys_escrow", file=str(file)),
            lambda: ask(home, "keys_rotate", root=True, epoch=True),
        ):
            with pytest.raises(Unavailable):
                asked()
        assert not file.exists()
        assert [item.name for item in (path / "keys").glob("root*")] == ["root.key"]
        assert (path / "keys" / "root.key").read_bytes() == key
        assert home.node.keyring.epoch == 1
        assert ask(home, "keys_status")["escrow"]["state"] == "none"
        home.node.ledger.commit = commit
        assert ask(home, "keys_rotate", root=True)["epoch"] == 1
    assert cli(path, "site", "verify").code == 0
