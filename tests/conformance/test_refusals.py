"""Guarantees 3, 4 and 7: refusals depend on policy alone, and every answer and refusal is proved.

Two grids stand side by side, alike but for one thing: at the other sites of the first there is
plenty that would match, at those of the second there is nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from memory_fabric.core.errors import Denied, MemoryFabricError, NotFound, NotGranted
from memory_fabric.core.merkle import leaf_hash, root_from_inclusion
from memory_fabric.core.receipt import Checkpoint
from memory_fabric.vault.identity import verify_signature
from memory_fabric.wiring import Home
from tests.fakes.clock import ManualClock
from tests.system.homes import ask, cli, listed, recalled, remember, reopened, site

REGIONS = {"fra-1": "DE", "par-1": "FR", "lon-1": "GB", "iad-1": "US"}
QUESTION = "How is the heart medicine taken?"
FULL, EMPTY = "with data", "without data"


@dataclass(frozen=True)
class Grid:
    """Four linked sites; ``fra-1`` asks."""

    paths: dict[str, Path]

    @property
    def asker(self) -> Path:
        return self.paths["fra-1"]


def grid(folder: Path) -> Grid:
    paths = {name: site(folder, name, region) for name, region in REGIONS.items()}
    for name in list(paths)[1:]:
        assert cli(paths["fra-1"], "site", "link", str(paths[name])).code == 0
    return Grid(paths)


def fill(path: Path) -> None:
    with reopened(path) as home:
        for number in range(4):
            text = f"The heart medicine of Ada is taken with water, note {number}."
            remember(home, text, "Ada", consent=("none", "given")[number % 2])
        remember(home, "Ada's heart medicine is secret.", "Ada", data_class="secret")
        remember(home, "Heart medicine is health.", "Ada", special=["health"], consent="given")
        remember(home, "Heart medicine in the handbook.", data_class="public", personal=False)


@pytest.fixture(scope="module")
def grids(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Grid]:
    made = {name: grid(tmp_path_factory.mktemp("grid")) for name in (FULL, EMPTY)}
    for name in REGIONS:
        if name != "fra-1":
            fill(made[FULL].paths[name])
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return site(tmp_path, "fra-1", "DE")


ASKED: dict[str, tuple[str, ...]] = {
    "care": ("--purpose", "care", "--all-subjects"),
    "care about a subject": ("--purpose", "care", "--subject", "Ada"),
    "research": ("--purpose", "research", "--all-subjects"),
    "a question that reveals health": (
        "--purpose", "care", "--all-subjects", "--special", "health",
    ),
    "care in the region": ("--purpose", "care", "--all-subjects", "--reach", "region"),
}  # fmt: skip


@pytest.mark.parametrize("words", ASKED.values(), ids=ASKED.keys())
def test_what_is_withheld_does_not_depend_on_what_is_stored(
    grids: dict[str, Grid], words: tuple[str, ...]
) -> None:
    told = {}
    for name, made in grids.items():
        reach = () if "--reach" in words else ("--reach", "grid")
        run = cli(made.asker, "recall", QUESTION, *words, *reach, "--top-k", "50")
        answer = run.json
        told[name] = (
            run.code, answer.get("withheld"), answer.get("rules"), answer.get("unreachable"),
            set(answer),
        )  # fmt: skip
        for held in answer.get("withheld", ()):
            assert held["rules"]
            assert all(rule["id"] and rule["title"] and rule["basis"] for rule in held["rules"])
            assert set(held) == {"site", "region", "rules"}
    assert told[FULL] == told[EMPTY]


def test_the_grids_differ_in_what_they_answer(grids: dict[str, Grid]) -> None:
    """Else the test above would compare nothing with nothing."""
    found = {}
    for name, made in grids.items():
        run = cli(made.asker, "recall", QUESTION, *ASKED["care"], "--reach", "grid")
        found[name] = {item["site"]: item["form"] for item in run.json["results"]}
        assert {held["site"] for held in run.json["withheld"]} >= {"iad-1"}
    assert found[EMPTY] == {}
    assert found[FULL]["par-1"] == "full"
    assert "iad-1" not in found[FULL]


def receipts_there(made: Grid, name: str) -> list[tuple[str, str]]:
    with reopened(made.paths[name]) as home:
        found = ask(home, "receipts_list", limit=500)["receipts"]
    return [(item["act"], item["outcome"]) for item in found if item["act"] == "recall"]


def test_both_sites_record_a_crossing_alike_with_and_without_data(grids: dict[str, Grid]) -> None:
    recorded = {}
    for name, made in grids.items():
        before = {other: len(receipts_there(made, other)) for other in ("par-1", "lon-1")}
        asked = ("recall", QUESTION, *ASKED["care"], "--reach", "grid")
        receipt = cli(made.asker, *asked).json["receipt"]
        shown = cli(made.asker, "receipts", "show", receipt).json
        newest = cli(made.asker, "receipts", "list", "--limit", "2").json["receipts"]
        assert [item["act"] for item in newest] == ["recall", "query"]  # decided before it left
        assert {entry["act"] for entry in shown["decisions"]} == {"recall", "take_in"}
        assert {entry["act"] for entry in newest[1]["decisions"]} == {"query"}
        there = {other: receipts_there(made, other) for other in before}
        recorded[name] = {other: rows[: len(rows) - before[other]] for other, rows in there.items()}
        assert set(shown["facts"]["receipts"]) >= set(before)
        theirs = shown["facts"]["receipts"]["par-1"]
        assert cli(made.paths["par-1"], "receipts", "show", theirs).json["id"] == theirs
    assert recorded[FULL] == recorded[EMPTY]
    assert recorded[FULL]["par-1"]


# --- every answer and every refusal is proved ---------------------------------------------------


def proves(home: Home, receipt: str) -> dict[str, Any]:
    """The receipt, its leaf recomputed from what it says, its path to a root the site signed."""
    shown = ask(home, "receipt_show", id=receipt)
    proof = ask(home, "receipt_proof", id=receipt)
    body = {name: value for name, value in shown.items() if name != "index"}
    written = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    leaf = leaf_hash(written.encode())
    assert leaf.hex() == proof["leaf"]
    key = bytes.fromhex(proof["checkpoint"].pop("public_key"))
    checkpoint = Checkpoint.from_json(proof["checkpoint"])
    path = [bytes.fromhex(item) for item in proof["path"]]
    assert root_from_inclusion(leaf, proof["index"], checkpoint.size, path) == checkpoint.root
    assert verify_signature(key, checkpoint.body, checkpoint.signature)
    assert key == home.node.me.signing_key
    return shown


def test_every_answer_and_every_refusal_has_a_receipt_that_proves(path: Path) -> None:
    with reopened(path) as home:
        name = remember(home, "The heart medicine of Ada.", "Ada")
        done = [
            ask(home, "add", memories=[{"memory": "Another.", "subjects": ["Bela"]}])["receipt"],
            recalled(home, QUESTION)["receipt"],
            ask(home, "page", purpose="care", subject="Ada")["receipt"],
            ask(home, "get", id=name, purpose="care")["receipt"],
            ask(home, "label_set", id=name, change={"legal_hold": True})["receipt"],
            ask(home, "forget", subject="Bela")["receipt"],
        ]
        for receipt in done:
            assert proves(home, receipt)["outcome"] in ("done", "partly_withheld")
        refused: list[Callable[[], object]] = [
            lambda: ask(home, "forget", subject="Ada"),
            lambda: ask(home, "label_set", id=name, change={"legal_hold": False}),
            lambda: ask(home, "search", query="a", purpose="gossip", subject="Ada"),
            lambda: ask(home, "search", query="a", purpose="care"),
            lambda: ask(home, "get", id="nobody", purpose="care"),
            lambda: ask(home, "add", memories=[{"memory": ""}]),
        ]
        for act in refused:
            with pytest.raises(MemoryFabricError) as error:
                act()
            shown = proves(home, error.value.details["receipt"])
            if isinstance(error.value, Denied):
                assert shown["outcome"] == "denied"
                for rule in error.value.details["rules"]:
                    assert all(rule[name] for name in ("id", "title", "basis"))
        raw = json.dumps(ask(home, "receipts_list", limit=500))
        assert "Ada" not in raw
        assert "medicine" not in raw


def test_a_proof_against_another_receipt_fails(path: Path) -> None:
    with reopened(path) as home:
        first = recalled(home, QUESTION)["receipt"]
        recalled(home, QUESTION)
        proof = ask(home, "receipt_proof", id=first)
        leaf = leaf_hash(b"another receipt")
        path_up = [bytes.fromhex(item) for item in proof["path"]]
        size, root = proof["checkpoint"]["size"], proof["checkpoint"]["root"]
        assert root_from_inclusion(leaf, proof["index"], size, path_up).hex() != root


# --- guards -------------------------------------------------------------------------------------


def test_withdrawn_consent_and_ended_retention_answer_nothing(path: Path) -> None:
    clock = ManualClock(datetime.now(UTC))
    with reopened(path, clock) as home:
        kept = remember(home, "Heart medicine that stays.", "Ada", consent="given")
        soon = (clock.now() + timedelta(hours=1)).isoformat()
        short = remember(home, "Heart medicine for an hour.", "Ada", expires_at=soon)
        withdrawn = remember(home, "Heart medicine by consent.", "Bela", consent="given")
        assert set(listed(home)) == {kept, short, withdrawn}
        ask(home, "label_set", subject="Bela", change={"consent": "withdrawn"})
        clock.advance(hours=2)
        assert set(listed(home)) == {kept}
        assert [item["id"] for item in recalled(home, QUESTION)["results"]] == [kept]
        for name in (short, withdrawn):
            with pytest.raises(NotFound):
                ask(home, "get", id=name, purpose="care")
        assert ask(home, "forget", subject="Bela")["erased"] == {"memories": 1, "keys": 1}


def test_a_legal_hold_blocks_erasure_until_compliance_lifts_it(path: Path) -> None:
    with reopened(path) as home:
        name = remember(home, "Evidence.", "Ada", "Bela")
        other = remember(home, "No evidence.", "Bela")
        ask(home, "label_set", id=name, change={"legal_hold": True})
        for scope in ({"subject": "Ada"}, {"subject": "Bela"}, {"id": name}):
            with pytest.raises(Denied) as denied:
                ask(home, "forget", **scope)
            assert [rule["id"] for rule in denied.value.details["rules"]] == ["legal-hold"]
        assert set(listed(home)) == {name, other}
        with pytest.raises(Denied) as denied:
            ask(home, "label_set", id=name, change={"legal_hold": False})
        assert "label-loosen-is-for-compliance" in str(denied.value.details["rules"])
        key = ask(home, "app_add", name="dpo", purposes=["care"], role="compliance")["key"]
        assert ask(home, "label_set", key, id=name, change={"legal_hold": False})["changed"] == 1
        assert ask(home, "forget", subject="Ada")["erased"]["memories"] == 1


@pytest.mark.parametrize(
    "change",
    [
        {"data_class": "internal"}, {"personal": False}, {"consent": "given"},
        {"purposes": ["research"]}, {"expires_at": "2090-01-01T00:00:00Z"},
    ],
    ids=str,
)  # fmt: skip
def test_loosening_takes_the_compliance_role(path: Path, change: dict[str, Any]) -> None:
    with reopened(path) as home:
        soon = (datetime.now(UTC) + timedelta(days=900)).isoformat()
        name = remember(home, "A note.", "Ada", expires_at=soon)
        app = ask(home, "app_add", name="ward", purposes=["care"])["key"]
        dpo = ask(home, "app_add", name="dpo", purposes=["care"], role="compliance")["key"]
        for key in (None, app):
            with pytest.raises(Denied):
                ask(home, "label_set", key, id=name, change=change)
        assert ask(home, "label_set", dpo, id=name, change=change)["changed"] == 1


# --- walls --------------------------------------------------------------------------------------


@pytest.fixture
def shared(tmp_path: Path) -> Iterator[tuple[Home, dict[str, str]]]:
    """A home of two tenants, and an app's key for each."""
    path = site(tmp_path, "fra-1", "DE", ["acme", "blue"])
    with reopened(path) as home:
        keys = {}
        for tenant in ("acme", "blue"):
            made = ask(
                home, "app_add", name=f"app-{tenant}", tenant=tenant, purposes=["care"],
                all_subjects=True,
            )  # fmt: skip
            keys[tenant] = made["key"]
            remember(home, f"Heart medicine of {tenant}.", "Ada", id=f"{tenant}-1", key=made["key"])
        yield home, keys


def test_an_app_reaches_nothing_of_another_tenant(shared: tuple[Home, dict[str, str]]) -> None:
    home, keys = shared
    key = keys["acme"]
    asked = {"query": QUESTION, "purpose": "care", "all_subjects": True}
    found = ask(home, "search", key, **asked)["results"]
    assert [item["id"] for item in found] == ["acme-1"]
    page = ask(home, "page", key, purpose="care", subject="Ada")["results"]
    assert [item["id"] for item in page] == ["acme-1"]
    for operation, params in (
        ("get", {"id": "blue-1", "purpose": "care"}),
        ("forget", {"id": "blue-1"}),
        ("label_set", {"id": "blue-1", "change": {"consent": "withdrawn"}}),
    ):
        with pytest.raises(NotFound) as missing:
            ask(home, operation, key, **params)
        with pytest.raises(NotFound) as nothing:
            ask(home, operation, key, **{**params, "id": "never-was"})
        assert missing.value.what == nothing.value.what
    for operation, params in (
        ("app_add", {"name": "more", "tenant": "blue", "purposes": ["care"]}),
        ("classes_add", {"classes": [{"tenant": "blue", "purposes": ["care"]}]}),
    ):
        with pytest.raises(NotGranted):
            ask(home, operation, key, **params)
    assert ask(home, "forget", key, subject="Ada")["erased"]["memories"] == 1
    kept = ask(home, "search", keys["blue"], **asked)["results"]
    assert [item["id"] for item in kept] == ["blue-1"]


def test_receipts_stay_with_their_tenant(shared: tuple[Home, dict[str, str]]) -> None:
    home, keys = shared
    theirs = ask(home, "search", keys["blue"], query="a", purpose="care", subject="Ada")["receipt"]
    dpo = ask(home, "app_add", name="dpo", tenant="acme", purposes=["care"], role="compliance")
    seen = ask(home, "receipts_list", keys["acme"], limit=500)["receipts"]
    assert {item["request"]["requester"]["tenant"] for item in seen} == {"acme"}
    with pytest.raises(NotFound):
        ask(home, "receipt_show", keys["acme"], id=theirs)
    of_dpo = ask(home, "receipts_list", dpo["key"], limit=500)["receipts"]
    assert "blue" not in {item["request"]["requester"]["tenant"] for item in of_dpo}
    with pytest.raises(NotFound):
        ask(home, "receipt_show", dpo["key"], id=theirs)
    assert ask(home, "receipt_show", id=theirs)["id"] == theirs


def test_a_home_of_two_tenants_asks_for_which(shared: tuple[Home, dict[str, str]]) -> None:
    home, _ = shared
    for operation, params in (
        ("search", {"query": "a", "purpose": "care", "all_subjects": True}),
        ("page", {"purpose": "care", "all_subjects": True}),
        ("add", {"memories": [{"memory": "a", "subjects": ["Ada"]}]}),
        ("forget", {"subject": "Ada"}),
    ):
        with pytest.raises(MemoryFabricError) as error:
            ask(home, operation, **params)
        assert error.value.code == "tenant-missing"


def test_scores_do_not_change_when_withheld_rows_are_added(grids: dict[str, Grid]) -> None:
    made = grids[FULL]

    def answered() -> list[tuple[str, float]]:
        run = cli(made.asker, "recall", QUESTION, *ASKED["care"], "--reach", "grid")
        return [(item["memory"], item["score"]) for item in run.json["results"]]

    before = answered()
    assert before
    for name in ("fra-1", "par-1", "lon-1"):
        with reopened(made.paths[name]) as home:
            text = "Heart medicine heart medicine is taken, number"
            many = [  # of the same words, and none of it may be shown for care
                {"memory": f"{text} {number}.", "subjects": [subject], "purposes": [purpose]}
                for number in range(20)
                for subject, purpose in (("Walt", "research"), ("Xena", "care"))
            ]
            ask(home, "add", memories=many)
            ask(home, "label_set", subject="Xena", change={"consent": "withdrawn"})
    assert answered() == before


# --- a bundle that became invalid ---------------------------------------------------------------


@pytest.mark.parametrize("broken", ["fra-1", "par-1"])
def test_while_a_bundle_is_invalid_nothing_crosses_and_home_goes_on(
    tmp_path: Path, broken: str
) -> None:
    paths = {name: site(tmp_path, name, REGIONS[name]) for name in ("fra-1", "par-1")}
    assert cli(paths["fra-1"], "site", "link", str(paths["par-1"])).code == 0
    for path in paths.values():
        with reopened(path) as home:
            remember(home, "The heart medicine of Ada.", "Ada")
            gone = remember(home, "The heart medicine of Bela.", "Bela")
            ask(home, "label_set", id=gone, change={"consent": "withdrawn"})
    rules = paths[broken] / "bundle" / "policies" / "packs" / "home.cedar"
    sound = rules.read_text()
    rules.write_text(sound.replace("permit (", "permitt (", 1))

    def sites() -> tuple[set[str], list[Any]]:
        answer = cli(paths["fra-1"], "recall", QUESTION, *ASKED["care"], "--reach", "grid").json
        return {item["site"] for item in answer["results"]}, answer["withheld"]

    found, withheld = sites()
    assert found == {"fra-1"}
    (rule,) = withheld[0]["rules"]
    assert (withheld[0]["site"], rule["id"]) == ("par-1", "bundle-unusable")
    with reopened(paths[broken]) as home:
        assert not ask(home, "status")["bundle"]["crossing"]
        assert list(listed(home).values()) == ["The heart medicine of Ada."]  # guards included
        remember(home, "Home goes on.", "Cleo")
    assert cli(paths[broken], "policy", "check").code == 4
    assert cli(paths[broken], "site", "verify").code == 0
    rules.write_text(sound)
    found, withheld = sites()
    assert found == {"fra-1", "par-1"}
    assert withheld == [] or "bundle-unusable" not in str(withheld)


def test_a_site_that_is_out_of_reach_is_said_to_be(tmp_path: Path) -> None:
    paths = {name: site(tmp_path, name, REGIONS[name]) for name in ("fra-1", "par-1")}
    assert cli(paths["fra-1"], "site", "link", str(paths["par-1"])).code == 0
    paths["par-1"].rename(tmp_path / "away")
    run = cli(paths["fra-1"], "recall", QUESTION, *ASKED["care"], "--reach", "grid")
    assert run.code == 0
    assert run.json["unreachable"] == [{"site": "par-1", "code": "site-unreachable"}]
    with ExitStack() as stack:
        home = stack.enter_context(reopened(paths["fra-1"]))
        facts = ask(home, "receipt_show", id=run.json["receipt"])["facts"]
        assert facts["unreachable"] == {"par-1": "site-unreachable"}
