"""What may lie in a publication folder: mixed, ended, changed, failing; roots that change hands."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.signing.officers import OfficerKey, load_officer
from memory_fabric.adapters.signing.publication import Publication
from memory_fabric.core.errors import InputError, MemoryFabricError
from memory_fabric.vault.keyring import Keyring
from memory_fabric.wiring import Home, starter_policies
from tests.system.desk import WORDS, Desk, Later
from tests.system.homes import ask, cli, listed, remember, reopened, site

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A desk whose first rules are published, and a site that has them."""
    folder = tmp_path_factory.mktemp("publications")
    desk = Desk(folder)
    shutil.copytree(starter_policies(), desk.rules)
    desk.found("anna", "ben", "carla")
    release(desk, NOW, "anna", "ben")
    home = site(folder, "fra-1", "DE")
    run = cli(
        home, "policy", "install", str(desk.publication), "--root-fingerprint", desk.fingerprint
    )
    assert run.code == 0, run.out
    return folder


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Iterator[Desk]:
    """The desk with other rules on it, which mean the same; put back as it was afterwards."""
    kept = tmp_path / "kept"
    shutil.copytree(made, kept)
    desk = Desk(made)
    change(desk)
    yield desk
    shutil.rmtree(made)
    shutil.copytree(kept, made)


def change(desk: Desk, file: str = "packs/eu.cedar", text: str = "// A word.\n") -> None:
    path = desk.rules / file
    path.write_text(path.read_text() + text)


def release(
    desk: Desk, now: datetime, first: str, second: str, published: datetime | None = None
) -> None:
    """Sign and publish by the officers' own tools, which do not look at what the rules say."""
    publication = Publication(desk.publication)
    for name in (first, second):
        key = OfficerKey.load(Path(desk.key(name)), WORDS)
        publication.sign_rules(read_bundle(desk.rules), key, now)
    key = OfficerKey.load(Path(desk.key(first)), WORDS)
    publication.publish(key, published or now, offline=True)


def hand_over(desk: Desk, names: list[str], signers: list[str]) -> None:
    publication = Publication(desk.publication)
    keys = [load_officer(desk.folder / f"{name}.pub") for name in names]
    publication.change_officers(keys, 2, [], NOW)
    for name in signers:
        left = publication.sign_root(OfficerKey.load(Path(desk.key(name)), WORDS))
    assert left.missing == 0


def installed(desk: Desk) -> dict[str, bytes]:
    bundle = desk.folder / "fra-1" / "bundle"
    return {
        str(path.relative_to(bundle)): path.read_bytes()
        for part in ("policies", "trust", "validated")
        for path in (bundle / part).rglob("*")
        if path.is_file()
    }


def refused(desk: Desk, home: Home, code: str, exit_code: int) -> None:
    """Refused with a receipt; what is installed is the same to the byte, and the site answers."""
    before, digest = installed(desk), home.node.gate.rulebook.digest
    with pytest.raises(MemoryFabricError) as seen:
        ask(home, "policy_install", folder=str(desk.publication))
    assert (seen.value.code, seen.value.exit_code) == (code, exit_code), str(seen.value)
    assert installed(desk) == before
    assert home.node.gate.rulebook.digest == digest
    newest = ask(home, "receipts_list", act="policy-install")["receipts"][0]
    assert (newest["outcome"], newest["facts"]["error"]) == ("denied", code)
    remember(home, f"Still here after {code}.", "Ada")
    assert f"Still here after {code}." in listed(home).values()


def test_parts_of_two_publications_do_not_mix(desk: Desk, tmp_path: Path) -> None:
    metadata = desk.publication / "metadata"
    release(desk, NOW, "anna", "ben")
    whole = tmp_path / "whole"
    shutil.copytree(metadata, whole)
    with reopened(desk.folder / "fra-1") as home:
        for old, new in (
            ("1.snapshot.json", "2.snapshot.json"),
            ("1.targets.json", "2.targets.json"),
        ):
            shutil.copy(whole / old, metadata / new)
            refused(desk, home, "bundle-rolled-back", 5)
            shutil.copy(whole / new, metadata / new)
        assert ask(home, "policy_install", folder=str(desk.publication))["mandate"]["version"] == 2


@pytest.mark.parametrize(
    ("signed", "published", "asked"), [(0, 89, 91), (300, 350, 366)], ids=["signatures", "list"]
)
def test_signatures_and_the_list_of_officers_end(
    desk: Desk, signed: int, published: int, asked: int
) -> None:
    """The word that the rules are the newest still holds; what it speaks of does not."""
    on = [NOW + timedelta(days=days) for days in (signed, published, asked)]
    release(desk, on[0], "anna", "ben", on[1])
    with reopened(desk.folder / "fra-1", clock=Later(on[2])) as home:
        refused(desk, home, "bundle-expired", 4)
    key = OfficerKey.load(Path(desk.key("anna")), WORDS)
    with pytest.raises(InputError) as ended:
        Publication(desk.publication).publish(key, on[2])
    assert ended.value.code == "signatures-ended"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("packs/eu.cedar", "permit ("),
        (
            "cases/eu.yaml",
            None,
        ),
        (
            "packs/eu.cedar",
            '@id("too-much") @title("Everything goes") @basis("None")\n'
            'permit (principal, action == Action::"recall-full", resource);\n',
        ),
    ],
    ids=["check", "case", "property"],
)
def test_two_signatures_do_not_make_rules_good(desk: Desk, file: str, text: str | None) -> None:
    """Officers whose own program does not look may sign anything; the site looks itself."""
    if text is None:
        path = desk.rules / file
        path.write_text(path.read_text().replace("eu-free-flow", "eu-scc", 1))
    else:
        change(desk, file, text)
    release(desk, NOW, "anna", "ben")
    with reopened(desk.folder / "fra-1") as home:
        refused(desk, home, "policy-invalid", 4)


def test_the_root_changes_hands_twice_between_two_installations(desk: Desk) -> None:
    desk.make_keys("dora", "emil")
    hand_over(desk, ["anna", "ben", "dora"], ["anna", "ben"])
    hand_over(desk, ["ben", "dora", "emil"], ["ben", "dora"])
    release(desk, NOW, "dora", "emil")
    second = desk.publication / "metadata" / "2.root.json"
    whole = second.read_bytes()
    with reopened(desk.folder / "fra-1") as home:
        at = whole.index(b'"sig"') + 10
        second.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        refused(desk, home, "bundle-forged", 5)
        second.write_bytes(whole)
        told = ask(home, "policy_install", folder=str(desk.publication))["mandate"]
    assert (told["root_version"], told["signers"]) == (3, ["dora", "emil"])
    assert cli(desk.folder / "fra-1", "site", "verify").code == 0


def test_the_first_root_is_a_plain_file_of_a_roots_size(desk: Desk, tmp_path: Path) -> None:
    first = desk.publication / "metadata" / "1.root.json"
    elsewhere = tmp_path / "root"
    shutil.move(first, elsewhere)
    with reopened(desk.folder / "fra-1") as home:
        refused(desk, home, "publication-missing", 2)
        first.symlink_to(elsewhere)
        refused(desk, home, "bundle-forged", 5)
        first.unlink()
        os.mkfifo(first)
        refused(desk, home, "bundle-forged", 5)
        first.unlink()
        first.write_bytes(elsewhere.read_bytes() + b" " * 1_000_000)
        refused(desk, home, "bundle-forged", 5)


class Crash(BaseException):
    """The process ends here."""


def test_a_crash_leaves_the_old_rules_or_the_new_ones(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each step with which a site's first officers' rules are put in place of its own."""
    path = site(desk.folder, "lyo-1", "FR")
    fingerprint = desk.fingerprint
    fresh = tmp_path / "fresh"
    shutil.copytree(path, fresh)
    monkeypatch.setattr("memory_fabric.wiring.proofs.check_whole", lambda *_: None)
    left: list[bool] = []
    while True:
        steps = iter([*range(len(left)), None])
        with reopened(path) as home, monkeypatch.context() as crashing:

            def until_it_crashes(whole: Callable[..., Any], steps: Iterator[Any]) -> Any:
                def step(*args: Any, **kwargs: Any) -> Any:
                    if next(steps, 0) is None:
                        raise Crash
                    return whole(*args, **kwargs)

                return step

            for where, name in ((os, "rename"), (shutil, "rmtree"), (Keyring, "add_secret")):
                crashing.setattr(where, name, until_it_crashes(getattr(where, name), steps))
            try:
                ask(home, "policy_install", folder=str(desk.publication), fingerprint=fingerprint)
                break
            except Crash:
                pass
        with reopened(path) as home:
            bundle = ask(home, "status")["bundle"]
            assert bundle["crossing"], bundle["problem"]
            left.append(not bundle["mandate"]["self_signed"])
            done = ask(
                home, "policy_install", folder=str(desk.publication), fingerprint=fingerprint
            )
            assert done["mandate"]["signers"] == ["anna", "ben"]
        assert cli(path, "site", "verify").code == 0
        shutil.rmtree(path)
        shutil.copytree(fresh, path)
    assert left == sorted(left)
    assert {False, True} == set(left)


def test_installations_at_once_end_with_the_newest_in_force(desk: Desk, tmp_path: Path) -> None:
    release(desk, NOW, "anna", "ben")
    older = tmp_path / "older"
    shutil.copytree(desk.publication, older)
    change(desk)
    release(desk, NOW, "anna", "carla")
    with reopened(desk.folder / "fra-1") as home:

        def install(folder: Path) -> str:
            try:
                ask(home, "policy_install", folder=str(folder))
            except MemoryFabricError as error:
                return error.code
            return "done"

        with ThreadPoolExecutor(4) as pool:
            folders = [desk.publication, older, desk.publication, older]
            ended = list(pool.map(install, folders))
        assert ended[0] == ended[2] == "done"
        assert set(ended) <= {"done", "bundle-rolled-back"}
        assert home.node.gate.rulebook.mandate is not None
        assert home.node.gate.rulebook.mandate.version == 3
        assert home.node.gate.rulebook.digest == read_bundle(desk.rules).digest
    assert cli(desk.folder / "fra-1", "site", "verify").code == 0
