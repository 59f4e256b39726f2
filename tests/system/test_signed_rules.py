"""Rules that officers sign: what a site takes, and what it refuses and stays as it was."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tuf.api.metadata import Metadata, TargetFile, Targets

from memory_fabric.adapters.signing.officers import OfficerKey
from memory_fabric.core.errors import MemoryFabricError
from memory_fabric.wiring import starter_policies
from tests.system.desk import WORDS, Desk, Later, after
from tests.system.homes import ask, cli, listed, remember, reopened, site


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A desk with three officers, whose first rules are published, and a site that has them."""
    folder = tmp_path_factory.mktemp("signed")
    desk = Desk(folder)
    desk.found("anna", "ben", "carla")
    desk.make_keys("mallory")
    shutil.copytree(starter_policies(), desk.rules)
    publication = str(desk.publication)
    desk.release("anna", "carla")
    home = site(folder, "fra-1", "DE")
    run = cli(home, "policy", "install", publication, "--root-fingerprint", desk.fingerprint)
    assert run.code == 0, run.out
    return folder


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Iterator[Desk]:
    """A desk of one's own; the home lies where its roster says, and is put back afterwards."""
    kept = tmp_path / "kept"
    shutil.copytree(made, kept)
    yield Desk(made)
    shutil.rmtree(made)
    shutil.copytree(kept, made)


def status(desk: Desk) -> dict[str, Any]:
    told: dict[str, Any] = cli(desk.folder / "fra-1", "site", "status").json["bundle"]
    return told


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "history" not in path.parts
    }


def refused(desk: Desk, code: str, exit_code: int, *more: str) -> None:
    """An installation is refused, leaves everything as it was, and a receipt."""
    home = desk.folder / "fra-1"
    before, count = files(home / "bundle"), status(desk)["digest"]
    run = cli(home, "policy", "install", str(desk.publication), *more)
    assert (run.json.get("code"), run.code) == (code, exit_code), run.out
    assert files(home / "bundle") == before
    assert status(desk)["digest"] == count
    newest = cli(home, "receipts", "list", "--act", "policy-install").json["receipts"][0]
    assert (newest["outcome"], newest["facts"]["error"]) == ("denied", code)
    assert status(desk)["crossing"]


def change(desk: Desk, text: str = "// A word.\n") -> None:
    """Other rules on the desk, which mean the same."""
    pack = desk.rules / "packs" / "eu.cedar"
    pack.write_text(pack.read_text() + text)


# --- what goes well ------------------------------------------------------------------------------


def test_a_new_site_signs_for_itself_and_says_so(tmp_path: Path) -> None:
    home = site(tmp_path, "lyo-1", "FR")
    mandate = cli(home, "site", "status").json["bundle"]["mandate"]
    assert mandate["self_signed"]
    assert "self-signed" in cli(home, "site", "status", plain=True).out
    receipts = cli(home, "receipts", "list").json["receipts"]
    assert all(receipt["mandate"]["self_signed"] for receipt in receipts)
    pack = home / "bundle" / "policies" / "packs" / "eu.cedar"
    pack.write_text(pack.read_text() + "// Mine.\n")
    again = cli(home, "site", "status").json["bundle"]
    assert again["crossing"]
    assert again["mandate"]["version"] == mandate["version"] + 1


def test_two_officers_put_rules_in_force(desk: Desk) -> None:
    told = status(desk)
    assert told["mandate"]["signers"] == ["anna", "carla"]
    assert not told["mandate"]["self_signed"]
    change(desk)
    desk.release("ben", "carla")
    run = cli(desk.folder / "fra-1", "policy", "install", str(desk.publication))
    assert run.code == 0
    told = status(desk)
    assert told["mandate"]["signers"] == ["ben", "carla"]
    assert told["mandate"]["version"] == 2
    receipt = cli(desk.folder / "fra-1", "receipts", "show", run.json["receipt"]).json
    assert receipt["mandate"] == {"version": 2, "signers": ["ben", "carla"]}
    assert cli(desk.folder / "fra-1", "site", "verify").code == 0


def test_a_site_that_is_open_decides_by_new_rules_at_once(desk: Desk) -> None:
    change(desk)
    desk.release("ben", "carla")
    with reopened(desk.folder / "fra-1") as home:
        before = home.node.gate.rulebook.digest
        told = ask(home, "policy_install", folder=str(desk.publication))
        assert told["digest"] == home.node.gate.rulebook.digest != before
        remember(home, "Home goes on.", "Cleo")
        assert "Home goes on." in listed(home).values()


def test_an_officer_is_replaced(desk: Desk) -> None:
    desk.make_keys("dora")
    publication = str(desk.publication)
    names = desk.officers("anna", "ben", "dora")
    desk.done("policy", "officers", "change", publication, *names)
    for name, missing in (("dora", 2), ("anna", 1), ("carla", 0)):
        sign = ("policy", "officers", "sign", publication, "--key", desk.key(name))
        assert desk.done(*sign)["missing"] == missing
    run = desk.run("policy", "publish", publication, "--key", desk.key("anna"))
    assert run.json["code"] == "signatures-missing", "carla, who has left, signed the rules"
    desk.release("dora", "ben")
    assert cli(desk.folder / "fra-1", "policy", "install", publication).code == 0
    mandate = status(desk)["mandate"]
    assert (mandate["root_version"], mandate["signers"]) == (2, ["ben", "dora"])
    assert mandate["officers"] == ["anna", "ben", "dora"]
    assert desk.sign("carla").json["code"] == "officer-unknown"


def test_published_again_the_same_rules_hold_longer(desk: Desk) -> None:
    before = status(desk)["mandate"]["expires"]
    desk.publish("ben", "--offline")
    assert cli(desk.folder / "fra-1", "policy", "install", str(desk.publication)).code == 0
    assert status(desk)["mandate"]["expires"] > before


# --- who may sign --------------------------------------------------------------------------------


def test_one_officer_alone_publishes_nothing(desk: Desk) -> None:
    change(desk)
    assert desk.sign("anna").json["missing"] == 1
    assert desk.sign("anna").json["code"] == "signed-twice"
    assert desk.sign("mallory").json["code"] == "officer-unknown"
    run = desk.run("policy", "publish", str(desk.publication), "--key", desk.key("anna"))
    assert run.json["code"] == "signatures-missing"


def test_officers_sign_the_same_rules(desk: Desk) -> None:
    change(desk)
    assert desk.sign("anna").code == 0
    change(desk, "// Another word.\n")
    assert desk.sign("ben").json["code"] == "draft-other"
    assert desk.sign("ben", None, "--replace").json["signers"] == ["ben"]


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("packs/eu.cedar", "permit (", "permitt ("),
        ("packs/eu.cedar", "context.plan.minCohort >= 50", "context.plan.minCohort >= 5"),
        ("cases/eu.yaml", "eu-free-flow", "eu-scc"),
    ],
)
def test_nobody_signs_rules_that_fail(desk: Desk, file: str, old: str, new: str) -> None:
    path = desk.rules / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    run = desk.sign("anna")
    assert (run.json["code"], run.code) == ("policy-invalid", 4)


def test_a_key_opens_by_its_passphrase_alone(desk: Desk) -> None:
    (desk.folder / "words").write_text("another passphrase\n")
    assert desk.sign("anna").json["code"] == "officer-passphrase-wrong"
    (desk.folder / "words").write_text("short\n")
    run = desk.run("policy", "key", "Eve", "--out", str(desk.folder))
    assert run.json["code"] == "passphrase-weak"
    assert b"PRIVATE KEY" in (desk.folder / "anna.key").read_bytes()
    assert (desk.folder / "anna.key").stat().st_mode & 0o077 == 0


# --- what a site refuses -------------------------------------------------------------------------


def test_officers_are_made_known_by_their_fingerprint(desk: Desk) -> None:
    home = site(desk.folder, "lyo-1", "FR")
    run = cli(home, "policy", "install", str(desk.publication))
    assert (run.json["code"], run.code) == ("fingerprint-missing", 2)
    install = ("policy", "install", str(desk.publication), "--root-fingerprint")
    assert cli(home, *install, "0" * 64).json["code"] == "fingerprint-differs"
    assert cli(home, "site", "status").json["bundle"]["mandate"]["self_signed"]
    assert cli(home, *install, desk.fingerprint).code == 0


def test_other_officers_are_no_successors(desk: Desk) -> None:
    """Somebody who can write to the folder founds officers of his own."""
    shutil.rmtree(desk.publication)
    publication = str(desk.publication)
    desk.make_keys("eve")
    names = desk.officers("mallory", "eve")
    desk.done("policy", "officers", "new", publication, *names)
    for name in ("mallory", "eve"):
        desk.done("policy", "officers", "sign", publication, "--key", desk.key(name))
    desk.release("mallory", "eve")
    refused(desk, "fingerprint-differs", 2)
    refused(desk, "fingerprint-differs", 2, "--root-fingerprint", desk.fingerprint)


def test_plain_files_are_refused_where_officers_sign(desk: Desk) -> None:
    home = desk.folder / "fra-1"
    before = status(desk)["digest"]
    pack = home / "bundle" / "policies" / "packs" / "eu.cedar"
    pack.write_text(pack.read_text() + "// Mine.\n")
    told = status(desk)
    assert not told["crossing"]
    assert told["digest"] == before, "home use goes on by what officers signed"
    assert "signed" in told["problem"]
    run = cli(home, "site", "verify")
    assert run.code == 5
    assert run.json["damaged"][0]["file"] == "bundle/policies"
    assert cli(home, "policy", "install", str(desk.publication)).code == 0
    assert status(desk)["crossing"]


def test_an_older_publication_is_refused(desk: Desk, tmp_path: Path) -> None:
    old = tmp_path / "old"
    shutil.copytree(desk.publication, old)
    change(desk)
    desk.release("ben", "carla")
    assert cli(desk.folder / "fra-1", "policy", "install", str(desk.publication)).code == 0
    shutil.rmtree(desk.publication)
    shutil.copytree(old, desk.publication)
    refused(desk, "bundle-rolled-back", 5)


def test_older_rules_that_are_put_back_are_seen_by_the_log(desk: Desk, tmp_path: Path) -> None:
    """Whole and signed they are, and not the newest that were installed here."""
    home, old = desk.folder / "fra-1", tmp_path / "old"
    shutil.copytree(home / "bundle", old / "bundle")
    shutil.copytree(desk.publication, old / "publication")
    change(desk)
    desk.release("ben", "carla")
    assert cli(home, "policy", "install", str(desk.publication)).code == 0
    newest = status(desk)["digest"]
    for part in ("trust", "policies"):
        shutil.rmtree(home / "bundle" / part)
        shutil.copytree(old / "bundle" / part, home / "bundle" / part)
    told = status(desk)
    assert (told["crossing"], told["digest"]) == (False, newest)
    assert "older" in told["problem"]
    assert cli(home, "site", "verify").code == 5
    shutil.rmtree(home / "bundle" / "trust")
    run = cli(home, "policy", "install", str(old / "publication"))
    assert (run.json["code"], run.code) == ("bundle-rolled-back", 5)
    assert cli(home, "policy", "install", str(desk.publication)).code == 0
    assert status(desk)["crossing"]


def every_file(desk: Desk) -> list[Path]:
    """What an installation of version 2 reads."""
    metadata, targets = desk.publication / "metadata", desk.publication / "targets"
    signed = json.loads((metadata / "2.targets.json").read_text())["signed"]["targets"]
    names = ("timestamp.json", "2.snapshot.json", "2.targets.json")
    found = [metadata / name for name in names]
    for name, target in signed.items():
        path = Path(name)
        found.append(targets / path.parent / f"{target['hashes']['sha256']}.{path.name}")
    return found


def test_a_changed_byte_is_seen_wherever_it_stands(desk: Desk) -> None:
    change(desk)
    desk.release("ben", "carla")
    home = desk.folder / "fra-1"
    with reopened(home) as opened:
        before = opened.node.gate.rulebook.digest
        for path in every_file(desk):
            whole = path.read_bytes()
            for at in (len(whole) // 3, len(whole) // 2):
                path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
                with pytest.raises(MemoryFabricError) as seen:
                    ask(opened, "policy_install", folder=str(desk.publication))
                assert seen.value.exit_code in (2, 5), f"{path}: {seen.value.code}"
                assert opened.node.gate.rulebook.digest == before
            path.write_bytes(whole)
        assert ask(opened, "policy_install", folder=str(desk.publication))["digest"] != before


def test_a_file_that_lacks_or_leads_elsewhere_is_refused(desk: Desk, tmp_path: Path) -> None:
    change(desk)
    desk.release("ben", "carla")
    snapshot = desk.publication / "metadata" / "2.snapshot.json"
    elsewhere = tmp_path / "elsewhere"
    shutil.move(snapshot, elsewhere)
    refused(desk, "publication-missing", 2)
    snapshot.symlink_to(elsewhere)
    refused(desk, "bundle-forged", 5)


def test_names_of_files_lead_nowhere_else(desk: Desk) -> None:
    """Two officers could sign a name that climbs out of the folder."""
    change(desk)
    assert desk.sign("anna").code == 0
    path = desk.publication / "drafts" / "targets.json"
    draft = Metadata[Targets].from_file(str(path))
    draft.signed.targets["../../evil"] = TargetFile.from_data("../../evil", b"evil", ["sha256"])
    for name in ("anna", "ben"):
        key = OfficerKey.load(desk.folder / f"{name}.key", WORDS)
        draft.sign(key.signer, append=name != "anna")
    path.write_bytes(draft.to_bytes())
    digest = draft.signed.targets["../../evil"].hashes["sha256"]
    (desk.publication / f"{digest}.evil").write_bytes(b"evil")
    desk.publish("anna")
    refused(desk, "bundle-forged", 5)
    assert not list(desk.folder.rglob("evil"))


@pytest.mark.parametrize(
    ("days", "offline", "good"), [(6, False, True), (8, False, False), (29, True, True)]
)
def test_a_publication_has_its_time(desk: Desk, days: int, offline: bool, good: bool) -> None:
    change(desk)
    for name in ("ben", "carla"):
        assert desk.sign(name).code == 0
    desk.publish("ben", *(["--offline"] if offline else []))
    with reopened(desk.folder / "fra-1", clock=after(days=days)) as home:
        before = home.node.gate.rulebook.digest
        if good:
            ask(home, "policy_install", folder=str(desk.publication))
            return
        with pytest.raises(MemoryFabricError) as seen:
            ask(home, "policy_install", folder=str(desk.publication))
        assert (seen.value.code, seen.value.exit_code) == ("bundle-expired", 4)
        assert home.node.gate.rulebook.digest == before


# --- expiry and the clock ------------------------------------------------------------------------


@pytest.fixture
def neighbours(desk: Desk) -> Path:
    home, other = desk.folder / "fra-1", site(desk.folder, "par-1", "FR")
    assert cli(home, "site", "link", str(other)).code == 0
    return home


def crosses(home: Path, clock: Callable[[], Later]) -> set[str]:
    """The rules by which Frankfurt's memories may not go to Paris; none where they may."""
    with reopened(home, clock=clock()) as opened:
        remember(opened, "A note for the ward.", "Ada")
        told = ask(opened, "explain_policy", purpose="care", site="par-1", label={})
        return set() if told["allowed"] else {rule["id"] for rule in told["rules"]}


def test_after_their_end_nothing_crosses_and_home_use_goes_on(desk: Desk, neighbours: Path) -> None:
    ends = datetime.fromisoformat(status(desk)["mandate"]["expires"])
    assert crosses(neighbours, lambda: Later(ends - timedelta(seconds=1))) == set()
    with reopened(neighbours, clock=Later(ends - timedelta(days=1))) as opened:
        assert any("nothing crosses then" in text for text in ask(opened, "status")["warnings"])
    assert crosses(neighbours, lambda: Later(ends)) == {"rules-expired"}
    with reopened(neighbours, clock=Later(ends)) as opened:
        told = ask(opened, "status")
        assert not told["bundle"]["crossing"]
        assert any("nothing crosses until" in text for text in told["warnings"])
        assert "A note for the ward." in listed(opened).values()
        replayed = ask(opened, "receipts_replay")
        assert replayed["different"] == []


def test_an_open_site_stops_at_the_very_moment(desk: Desk, neighbours: Path) -> None:
    ends = datetime.fromisoformat(status(desk)["mandate"]["expires"])
    clock = Later(ends - timedelta(seconds=1))
    with reopened(neighbours, clock=clock) as opened:
        asked = {"purpose": "care", "site": "par-1", "label": {}}
        assert ask(opened, "explain_policy", **asked)["allowed"]
        clock.moment = ends
        assert not ask(opened, "explain_policy", **asked)["allowed"]


def test_the_clock_is_never_taken_back(desk: Desk, neighbours: Path) -> None:
    ends = datetime.fromisoformat(status(desk)["mandate"]["expires"])
    assert crosses(neighbours, lambda: Later(ends)) == {"rules-expired"}
    back = ends - timedelta(days=3)
    assert crosses(neighbours, lambda: Later(back)) == {"rules-expired"}
    with reopened(neighbours, clock=Later(back)) as opened:
        assert any("clock is behind" in text for text in ask(opened, "status")["warnings"])


def test_a_site_that_signs_for_itself_goes_on(tmp_path: Path) -> None:
    home = site(tmp_path, "lyo-1", "FR")
    before = cli(home, "site", "status").json["bundle"]["mandate"]
    for days in (30, 200, 400, 800):
        with reopened(home, clock=after(days=days)) as opened:
            told = ask(opened, "status")["bundle"]
            assert told["crossing"], days
            assert told["mandate"]["expires"] > before["expires"]


# --- at rest -------------------------------------------------------------------------------------


def test_a_changed_byte_of_the_signatures_at_rest_is_reported(desk: Desk) -> None:
    home = desk.folder / "fra-1"
    for path in sorted((home / "bundle" / "trust").iterdir()):
        whole = path.read_bytes()
        at = whole.index(b'"sig"') + 10
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        run = cli(home, "site", "verify")
        assert run.code == 5, path
        assert run.json["damaged"][0]["file"] == "bundle/trust"
        with reopened(home) as opened:
            assert not ask(opened, "status")["bundle"]["crossing"]
            listed(opened)
        path.write_bytes(whole)
    assert cli(home, "site", "verify").code == 0


@pytest.mark.parametrize("part", [None, "trust", "policies"])
def test_an_exchange_that_a_crash_cut_short_goes_through(desk: Desk, part: str | None) -> None:
    """``ready`` is what a crash leaves after the rename that decides; some of it may be done."""
    change(desk)
    desk.release("ben", "carla")
    bundle = desk.folder / "fra-1" / "bundle"
    shutil.copytree(bundle, desk.folder / "before")
    assert cli(desk.folder / "fra-1", "policy", "install", str(desk.publication)).code == 0
    expected = status(desk)["digest"]
    ready = bundle / "ready"
    ready.mkdir()
    for name in ("trust", "policies"):
        shutil.move(bundle / name, ready / name)
        if name != part:
            shutil.copytree(desk.folder / "before" / name, bundle / name)
    told = status(desk)
    assert (told["digest"], told["crossing"]) == (expected, True)
    assert not ready.exists()
    shutil.rmtree(desk.folder / "before")


def test_a_half_done_download_is_in_force_nowhere(desk: Desk) -> None:
    incoming = desk.folder / "fra-1" / "bundle" / "incoming"
    shutil.copytree(desk.publication, incoming)
    before = status(desk)
    assert before["crossing"]
    assert cli(desk.folder / "fra-1", "policy", "install", str(desk.publication)).code == 0
    assert not incoming.exists()
