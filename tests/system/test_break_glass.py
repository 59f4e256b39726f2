"""Emergencies: what they open, for whom and how long, and every way to get one that is not due."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from memory_fabric.core.emergency import Emergency, Statement
from memory_fabric.core.errors import MemoryFabricError
from memory_fabric.wiring import Home, starter_policies
from tests.system.desk import Desk, Later
from tests.system.homes import ask, cli, remember, reopened, site

Json = dict[str, Any]
HEALTH: Json = {"special": ["health"], "personal": True, "purposes": ["care"]}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A site in Germany whose rules officers sign, and one in the United States."""
    folder = tmp_path_factory.mktemp("glass")
    desk = Desk(folder)
    desk.found("anna", "ben", "carla")
    desk.make_keys("mallory")
    shutil.copytree(starter_policies(), desk.rules)
    for name in ("anna", "ben"):
        assert desk.sign(name).code == 0
    desk.publish("anna", "--offline")
    for name, region in (("fra-1", "DE"), ("vir-1", "US-VA"), ("par-1", "FR")):
        site(folder, name, region)
    home, publication = folder / "fra-1", str(desk.publication)
    install = ("policy", "install", publication, "--root-fingerprint", desk.fingerprint)
    assert cli(home, *install).code == 0
    assert cli(home, "site", "link", str(folder / "vir-1")).code == 0
    with reopened(home) as opened:
        label = {"special": ["health"], "data_class": "confidential"}
        remember(opened, "Ada is allergic to penicillin.", "Ada", label=label)
    return folder


@pytest.fixture
def desk(made: Path, tmp_path: Path) -> Iterator[Desk]:
    kept = tmp_path / "kept"
    shutil.copytree(made, kept)
    yield Desk(made)
    shutil.rmtree(made)
    shutil.copytree(kept, made)


def request(desk: Desk, **changed: str) -> Path:
    file = desk.folder / "request.json"
    file.unlink(missing_ok=True)
    words = {
        "site": "fra-1", "ticket": "INC-7", "purpose": "care", "expires": "4h", "to": "vir-1",
        **changed,
    }  # fmt: skip
    options = [part for name, value in words.items() if value for part in (f"--{name}", value)]
    desk.done("breakglass", "request", str(file), *options)
    return file


def approve(desk: Desk, file: Path, *names: str) -> Path:
    for name in names:
        desk.done("breakglass", "approve", str(file), "--key", desk.key(name))
    return file


def opened(desk: Desk, **changed: str) -> Json:
    file = approve(desk, request(desk, **changed), "anna", "carla")
    run = cli(desk.folder / "fra-1", "breakglass", "open", str(file))
    assert run.code == 0, run.out
    told: Json = run.json
    return told


def refused(desk: Desk, file: Path, code: str, home: str = "fra-1") -> None:
    """It is not opened, and a receipt says why."""
    run = cli(desk.folder / home, "breakglass", "open", str(file))
    assert (run.json.get("code"), run.code) == (code, 2), run.out
    assert cli(desk.folder / home, "breakglass", "list").json["open"] == []
    newest = cli(desk.folder / home, "receipts", "list", "--act", "breakglass-open").json
    assert newest["receipts"][0]["facts"] == {"error": code}


def leaves(home: Home, to: str = "vir-1", purpose: str = "care") -> str | None:
    """The form in which health data may go there."""
    told = ask(home, "explain_policy", site=to, purpose=purpose, label=HEALTH)
    form: str | None = told["form"]
    return form


def answer(desk: Desk) -> Json:
    """What Virginia gets to hear of Ada."""
    words = ("--purpose", "care", "--subject", "Ada", "--reach", "grid")
    told: Json = cli(desk.folder / "vir-1", "recall", "Allergies?", *words).json
    return told


# --- what it opens -------------------------------------------------------------------------------


def test_an_emergency_opens_what_the_rules_say_and_stands_out(desk: Desk) -> None:
    assert answer(desk)["results"] == []
    told = opened(desk)
    assert told["approvers"] == ["anna", "carla"]
    (result,) = answer(desk)["results"]
    assert (result["form"], result["rules"]) == ("redacted", ["eu-break-glass"])
    home = desk.folder / "fra-1"
    newest = cli(home, "receipts", "list", "--act", "recall").json["receipts"][0]
    glass = newest["decisions"][0]["break_glass"]
    assert glass["ticket"] == "INC-7"
    assert {glass["approver1"], glass["approver2"]} == {"anna", "carla"}
    found = cli(home, "receipts", "list", "--text", "INC-7").json["receipts"]
    assert {receipt["act"] for receipt in found} >= {"breakglass-open", "recall"}
    assert cli(home, "site", "status").json["emergencies"][0]["ticket"] == "INC-7"
    with reopened(home) as site_:
        assert ask(site_, "receipts_replay")["different"] == []


def test_it_is_closed_by_hand(desk: Desk) -> None:
    opened(desk)
    assert answer(desk)["results"]
    assert cli(desk.folder / "fra-1", "breakglass", "close", "INC-7").code == 0
    assert answer(desk)["results"] == []
    again = cli(desk.folder / "fra-1", "breakglass", "close", "INC-7")
    assert again.json["code"] == "emergency-unknown"


def test_it_ends_by_itself_at_its_moment(desk: Desk) -> None:
    ends = datetime.fromisoformat(opened(desk)["expires"])
    clock = Later(ends - timedelta(seconds=1))
    with reopened(desk.folder / "fra-1", clock=clock) as home:
        assert leaves(home) == "redacted"
        clock.moment = ends
        assert leaves(home) is None
        assert ask(home, "breakglass_list")["open"] == []


def test_only_its_purpose_and_its_receiver_are_served(desk: Desk) -> None:
    opened(desk)
    with reopened(desk.folder / "fra-1") as home:
        assert leaves(home) == "redacted"
        assert leaves(home, purpose="research") is None
    cli(desk.folder / "fra-1", "breakglass", "close", "INC-7")
    opened(desk, ticket="INC-8", to="fra-1")
    with reopened(desk.folder / "fra-1") as home:
        assert leaves(home) is None


@given(
    purpose=st.sampled_from(["care", "research"]),
    to=st.sampled_from(["vir-1", "par-1", None]),
    minutes=st.integers(-3, 3),
    asked_purpose=st.sampled_from(["care", "research"]),
    asked_to=st.sampled_from(["vir-1", "par-1"]),
)
@settings(max_examples=100)
def test_it_covers_nothing_else(
    purpose: str, to: str | None, minutes: int, asked_purpose: str, asked_to: str
) -> None:
    now = datetime(2026, 11, 26, 12, tzinfo=UTC)
    said = Statement("fra-1", "INC-1", purpose, to, now + timedelta(minutes=minutes))
    covers = Emergency(said, ("anna", "ben")).covers(asked_purpose, asked_to, now)
    within = asked_purpose == purpose and (to is None or to == asked_to) and minutes > 0
    assert covers == within


# --- who would like one --------------------------------------------------------------------------


def test_one_approver_is_none(desk: Desk) -> None:
    file = approve(desk, request(desk), "anna")
    run = desk.run("breakglass", "approve", str(file), "--key", desk.key("anna"))
    assert run.json["code"] == "signed-twice"
    refused(desk, file, "approvers-few")
    document = json.loads(file.read_text())
    document["approvals"] *= 2
    file.write_text(json.dumps(document))
    refused(desk, file, "approvers-few")


def test_a_stranger_is_no_approver(desk: Desk) -> None:
    refused(desk, approve(desk, request(desk), "anna", "mallory"), "approver-unknown")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("to", None), ("to", "par-1"), ("purpose", "research"), ("ticket", "INC-9"),
        ("expires", "later"),
    ],
)  # fmt: skip
def test_what_was_signed_is_what_counts(desk: Desk, field: str, value: object) -> None:
    file = approve(desk, request(desk), "anna", "ben")
    document = json.loads(file.read_text())
    later = (datetime.now(UTC) + timedelta(hours=20)).isoformat()
    document["statement"][field] = later if value == "later" else value
    file.write_text(json.dumps(document))
    if value == "par-1":
        assert cli(desk.folder / "fra-1", "site", "link", str(desk.folder / "par-1")).code == 0
    refused(desk, file, "approver-unknown")


def test_it_holds_at_its_own_site(desk: Desk) -> None:
    file = approve(desk, request(desk, site="vir-1", to="fra-1"), "anna", "ben")
    refused(desk, file, "approval-elsewhere")


def test_an_approval_counts_once(desk: Desk) -> None:
    file = approve(desk, request(desk), "anna", "ben")
    home = desk.folder / "fra-1"
    assert cli(home, "breakglass", "open", str(file)).code == 0
    assert cli(home, "breakglass", "open", str(file)).json["code"] == "ticket-used"
    assert cli(home, "breakglass", "close", "INC-7").code == 0
    refused(desk, file, "ticket-used")


def test_it_is_neither_past_nor_far(desk: Desk) -> None:
    refused(desk, approve(desk, request(desk, expires="25h"), "anna", "ben"), "approval-long")
    file = approve(desk, request(desk, expires="1h"), "anna", "ben")
    with reopened(desk.folder / "fra-1", clock=Later(datetime.now(UTC) + timedelta(hours=1))) as it:
        with pytest.raises(MemoryFabricError) as seen:
            ask(it, "breakglass_open", document=json.loads(file.read_text()))
        assert seen.value.code == "approval-expired"


@pytest.mark.parametrize("ticket", ["inc-7", "INC 7", "INC-", "7", "INC-7\n", "INC-7; DROP"])
def test_a_ticket_has_its_form(desk: Desk, ticket: str) -> None:
    words = ("--site", "fra-1", "--ticket", ticket, "--purpose", "care")
    run = desk.run("breakglass", "request", str(desk.folder / "new.json"), *words)
    assert (run.json["code"], run.code) == ("ticket-invalid", 2)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda it: [],
        lambda it: {**it, "approvals": None},
        lambda it: {**it, "approvals": [1, 2]},
        lambda it: {**it, "statement": "INC-7"},
        lambda it: {**it, "statement": {**it["statement"], "more": 1}},
        lambda it: {**it, "statement": {**it["statement"], "expires": "2026-11-26T00:00:00"}},
        lambda it: {**it, "statement": {**it["statement"], "purpose": 5}},
        lambda it: {**it, "approvals": [{**it["approvals"][0], "signature": "zz"}]},
    ],
)
def test_a_file_that_is_none_is_refused(desk: Desk, spoil: Callable[[Json], object]) -> None:
    file = approve(desk, request(desk), "anna", "ben")
    file.write_text(json.dumps(spoil(json.loads(file.read_text()))))
    refused(desk, file, "approval-invalid")


def test_where_no_officers_sign_nobody_opens_one(desk: Desk) -> None:
    file = approve(desk, request(desk, site="vir-1", to="fra-1"), "anna", "ben")
    refused(desk, file, "officers-missing", home="vir-1")


def test_an_officer_who_left_vouches_for_nothing(desk: Desk) -> None:
    opened(desk)
    desk.make_keys("dora")
    publication = str(desk.publication)
    names = desk.officers("anna", "ben", "dora")
    desk.done("policy", "officers", "change", publication, *names)
    for name in ("anna", "ben"):
        desk.done("policy", "officers", "sign", publication, "--key", desk.key(name))
    desk.release("anna", "ben")
    assert cli(desk.folder / "fra-1", "policy", "install", publication).code == 0
    assert cli(desk.folder / "fra-1", "breakglass", "list").json["open"] == []
    assert answer(desk)["results"] == []


def test_it_outlives_a_restart_and_stays_closed_after_one(desk: Desk) -> None:
    opened(desk)
    home = desk.folder / "fra-1"
    with reopened(home) as it:
        assert ask(it, "breakglass_list")["open"]
        ask(it, "breakglass_close", ticket="INC-7")
    with reopened(home) as it:
        assert not ask(it, "breakglass_list")["open"]
        assert leaves(it) is None


def test_an_old_log_brings_none_back(desk: Desk, tmp_path: Path) -> None:
    """Who puts the ledger of before back, to have the emergency again, opens no home at all."""
    opened(desk)
    home, old = desk.folder / "fra-1", tmp_path / "ledger.db"
    shutil.copy(home / "ledger.db", old)
    assert cli(home, "breakglass", "close", "INC-7").code == 0
    shutil.copy(old, home / "ledger.db")
    assert cli(home, "breakglass", "list").code == 5


def test_an_app_opens_none(desk: Desk) -> None:
    file = approve(desk, request(desk), "anna", "ben")
    with reopened(desk.folder / "fra-1") as home:
        key = ask(home, "app_add", name="ward", purposes=["care"])["key"]
        for operation, params in (
            ("breakglass_open", {"document": json.loads(file.read_text())}),
            ("breakglass_close", {"ticket": "INC-7"}),
            ("policy_install", {"folder": str(desk.publication)}),
        ):
            with pytest.raises(MemoryFabricError) as seen:
                ask(home, operation, key, **params)
            assert seen.value.code == "role-not-granted"
