"""A receipt is enough to ask again: replayed, every recorded question gets the recorded answer."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from memory_fabric.core.errors import MemoryFabricError
from memory_fabric.wiring import starter_policies
from tests.system.homes import ask, cli, reopened, site

TEXTS = ("likes quixotea", "has zwasthma", "likes quzrain", "likes quzsnow")
PEOPLE = ("Anna", "Ben", "Cem", "Dora")
STRICT = """
@id("nothing-to-britain")
@title("Nothing goes to the United Kingdom")
@basis("A test")
forbid (principal in Sov::Region::"GB", action in Sov::Action::"share", resource);
"""


@dataclass
class Grid:
    """Sites on one machine, and the receipts of their random doings."""

    root: Path
    names: tuple[str, ...] = ("fra-1", "lon-1", "vir-1")

    def home(self, name: str) -> Path:
        return self.root / name

    def receipts(self) -> Iterator[dict[str, Any]]:
        for name in self.names:
            with reopened(self.home(name)) as home:
                page = ask(home, "receipts_list", limit=500)
                yield from page["receipts"]


def random_doings(grid: Grid, chance: random.Random, steps: int) -> None:
    """Remember, recall, relabel, erase, export: whatever comes, refusals included."""
    for name in grid.names:
        with reopened(grid.home(name)) as home:
            office = {"name": "office", "purposes": ["care", "research"], "role": "compliance"}
            with suppress(MemoryFabricError):
                officer = ask(home, "app_add", **office)["key"]
            for _ in range(steps):
                who = chance.choice(PEOPLE)
                purpose = chance.choice(("care", "research"))
                label = {
                    "data_class": chance.choice(("internal", "confidential")),
                    "special": chance.choice(([], ["health"])),
                    "consent": chance.choice(("none", "given")),
                    "purposes": [purpose],
                }
                row = {"memory": f"{who} {chance.choice(TEXTS)}", "subjects": [who], "label": label}
                if chance.random() < 0.3:
                    row["expires_at"] = "2020-03-01T00:00:00Z"
                query: dict[str, Any] = {"query": "likes", "purpose": purpose}
                query |= {"reach": chance.choice(("site", "region", "grid"))}
                query |= chance.choice(({"all_subjects": True}, {"subject": who}))
                change = chance.choice(
                    ({"consent": "withdrawn"}, {"consent": "given"}, {"legal_hold": True})
                )
                doing = chance.choice(
                    [
                        ("add", {"memories": [row]}),
                        ("add", {"memories": [row]}),
                        ("search", query),
                        ("search", query),
                        ("label_set", {"subject": who, "change": change}),
                        ("label_set", {"subject": who, "change": change, "key": officer}),
                        ("forget", {"subject": who}),
                        ("export_run", {"site": chance.choice(grid.names), "purpose": purpose}),
                    ]
                )
                with suppress(MemoryFabricError):
                    ask(home, doing[0], **doing[1])


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Grid:
    root: Path = tmp_path_factory.mktemp("grid")
    for name, region in (("fra-1", "DE"), ("lon-1", "GB"), ("vir-1", "US")):
        site(root, name, region)
    made = Grid(root)
    with reopened(made.home("fra-1")) as home:
        for other in ("lon-1", "vir-1"):
            ask(home, "link", address=str(made.home(other)))
    random_doings(made, random.Random(20260101), 40)  # noqa: S311
    return made


def test_every_recorded_question_gets_the_recorded_answer(grid: Grid) -> None:
    answers, receipts = 0, list(grid.receipts())
    for name in grid.names:
        done = cli(grid.home(name), "receipts", "replay")
        assert done.code == 0
        assert (done.json["different"], done.json["unknown"]) == ([], {})
        answers += done.json["answers"]
    acts = {decision["act"] for receipt in receipts for decision in receipt["decisions"]}
    assert acts == {"recall", "query", "take_in", "relabel", "erase", "export"}
    refused = [d for receipt in receipts for d in receipt["decisions"] if not d["allowed"]]
    assert answers > 1000
    assert len(refused) > 30


def test_no_receipt_holds_a_text_a_query_or_a_name(grid: Grid) -> None:
    everything = repr(list(grid.receipts()))
    for word in ("quixotea", "zwasthma", "quzrain", "quzsnow", "likes", "Anna", "Cem"):
        assert word not in everything


def test_a_candidate_is_put_to_recorded_requests_and_declared_classes(
    grid: Grid, tmp_path: Path
) -> None:
    same = cli(grid.home("fra-1"), "policy", "impact", str(starter_policies()))
    assert same.code == 0
    recent = same.json["recent"]
    assert recent["receipts"] > 20
    assert [recent[word] for word in ("refused", "restricted", "let_out", "widened")] == [0] * 4
    assert (recent["changes"], same.json["declared"]["changes"]) == ([], [])

    strict = tmp_path / "strict"
    shutil.copytree(starter_policies(), strict)
    (strict / "packs" / "strict.cedar").write_text(STRICT, "utf-8")
    told = cli(grid.home("fra-1"), "policy", "impact", str(strict)).json
    declared = told["declared"]["changes"]
    assert declared
    assert {(item["effect"], item["site"]) for item in declared} == {("refused", "lon-1")}
    assert {item["rule"] for item in told["recent"]["rules"]} >= {"nothing-to-britain"}
    named = [item for item in told["recent"]["changes"] if item["examples"]]
    assert named
    for item in named:
        assert item["site"] == "lon-1"
        shown = cli(grid.home("fra-1"), "receipts", "show", item["examples"][-1])
        assert shown.json["outcome"] != "denied"
    # The other side has answered letters from Frankfurt; nothing it lets out changes.
    assert "would have" in " ".join(told["sentences"])


def test_an_impact_is_for_officers_and_of_sound_bundles(grid: Grid, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    assert cli(grid.home("fra-1"), "policy", "impact", str(tmp_path / "none")).code == 4
    with reopened(grid.home("fra-1")) as home:
        key = ask(home, "app_add", name="desk", purposes=["care"])["key"]
        for operation, params in (
            ("policy_impact", {"bundle": str(starter_policies())}), ("receipts_replay", {}),
        ):  # fmt: skip
            with pytest.raises(MemoryFabricError) as caught:
                ask(home, operation, key=key, **params)
            assert caught.value.code == "role-not-granted"


def test_rules_that_are_not_kept_are_told_and_changed_ones_are_damage(
    grid: Grid, tmp_path: Path
) -> None:
    copy = tmp_path / "vir-1"
    shutil.copytree(grid.home("vir-1"), copy)
    (kept,) = (copy / "bundle" / "history").iterdir()
    pack = next((kept / "packs").iterdir())
    pack.write_text(pack.read_text() + "\n// changed\n")
    done = cli(copy, "receipts", "replay")
    assert (done.code, done.json["code"]) == (5, "bundle-changed")
    shutil.rmtree(kept)
    with reopened(copy):
        pass  # the installed bundle is kept anew
    assert cli(copy, "receipts", "replay").json["unknown"] == {}
