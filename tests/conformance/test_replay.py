"""A receipt is enough to ask again: replayed, every recorded question gets the recorded answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from memory_fabric import operations
from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.core.access import BUILDABLE, Act, Form, Plan, Requester, Role
from memory_fabric.core.errors import Denied
from memory_fabric.core.labels import ClassState, LabelClass
from memory_fabric.core.places import Roster
from memory_fabric.gate.gate import Ask, Gate, Rulebook
from memory_fabric.gate.permits import Mint
from memory_fabric.wiring import Home, create_home, open_home, starter_policies
from tests.fakes.clock import ManualClock

Json = Mapping[str, Any]


def history(home: Home) -> list[Json]:
    """All receipts, oldest first."""
    found: list[Json] = []
    before = None
    while batch := home.node.ledger.receipts(before, 100):
        found += batch
        before = batch[-1]["index"]
    return found[::-1]


def replayed(receipt: Json, terms: Json) -> Iterator[tuple[Json, Json]]:
    """Each recorded decision beside the one that the same rules give at the recorded time."""
    roster = Roster.from_json(terms["roster"])
    named = {c.key: c for c in (LabelClass.from_json(item) for item in terms["classes"])}
    plans = {Form(name): Plan(**numbers) for name, numbers in terms["plans"].items()}
    engine = CedarEngine(read_bundle(starter_policies()))
    assert engine.digest == receipt["bundle"] == terms["bundle"]
    assert roster.digest == receipt["roster"]
    clock = ManualClock(datetime.fromisoformat(receipt["at"]))
    gate = Gate(Rulebook(engine, engine), roster, plans, BUILDABLE, clock, Mint())
    request = receipt["request"]
    who = request["requester"]
    me = roster[receipt["site"]]
    for decision in receipt["decisions"]:
        act = Act(decision.get("act", receipt["act"]))
        other = roster[decision.get("site", me.site_id)]
        origin, destination = (other, me) if act is Act.TAKE_IN else (me, other)
        ask = Ask(
            act,
            Requester("", who["tenant"], Role(who["role"])),
            request.get("purpose", ""),
            origin,
            destination,
            loosens=request.get("loosens", False),
        )
        classes = [named[key] for key in decision["classes"]]
        classes += [LabelClass.from_json(item) for item in decision["undeclared"]]
        states = [ClassState(item, decision["retention_over"]) for item in classes]
        for again in gate.decide(ask, states).values():
            yield {name: decision[name] for name in again.to_json()}, again.to_json()


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[Json]:
    """The receipts of three sites that remembered, recalled, were refused, relabelled, erased."""
    root: Path = tmp_path_factory.mktemp("grid")
    for name, region in (("fra-1", "DE"), ("lon-1", "GB"), ("vir-1", "US")):
        create_home(root / name, site_id=name, region=region, tenants=["acme"])
    who = {"os_user": "test"}
    receipts: list[Json] = []
    with open_home(root / "fra-1") as home:
        operations.run(home, "link", who, {"address": str(root / "lon-1")})
        operations.run(home, "link", who, {"address": str(root / "vir-1")})
        old = {"expires_at": "2020-01-01T00:00:00Z"}
        rows = [
            {"memory": "Anna likes quixotea", "subjects": ["Anna"]},
            {"memory": "Anna has zwasthma", "subjects": ["Anna"], "special": ["health"]},
            {"memory": "Ben likes quzrain", "subjects": ["Ben"], **old},
            {"memory": "Cem likes quzsnow", "subjects": ["Cem"]},
        ]
        operations.run(home, "add", who, {"memories": rows})
        ask = {"query": "likes", "purpose": "care", "all_subjects": True, "reach": "grid"}
        operations.run(home, "search", who, ask)
        change = {"subject": "Anna", "change": {"consent": "withdrawn"}}
        operations.run(home, "label_set", who, change)
        with pytest.raises(Denied):
            operations.run(home, "label_set", who, {**change, "change": {"consent": "given"}})
        office = {"name": "office", "purposes": ["care"], "role": "compliance"}
        officer = {**who, "key": operations.run(home, "app_add", who, office)["key"]}
        hold = {"subject": "Ben", "change": {"legal_hold": True}}
        operations.run(home, "label_set", officer, hold)
        with pytest.raises(Denied):
            operations.run(home, "forget", who, {"subject": "Ben"})
        operations.run(home, "forget", who, {"subject": "Cem"})
        operations.run(home, "search", who, ask)
    with open_home(root / "lon-1") as home:
        operations.run(home, "search", who, ask)
    for name in ("fra-1", "lon-1", "vir-1"):
        with open_home(root / name) as home:
            receipts += history(home)
    return receipts


def test_every_recorded_question_gets_the_recorded_answer(told: list[Json]) -> None:
    terms: Json = {}
    compared, acts, refused = 0, set(), 0
    for receipt in told:
        if receipt["act"] == "terms":
            terms = receipt["request"]
            continue
        for recorded, again in replayed(receipt, terms):
            assert recorded == again, receipt["id"]
            compared += 1
            refused += not recorded["allowed"]
        acts |= {decision.get("act", receipt["act"]) for decision in receipt["decisions"]}
    assert acts == {"recall", "query", "take_in", "relabel", "erase"}
    assert compared > 150
    assert refused > 30


def test_no_receipt_holds_a_text_a_query_or_a_name(told: list[Json]) -> None:
    everything = repr(told)
    for word in ("quixotea", "zwasthma", "quzrain", "quzsnow", "likes", "Anna", "Cem"):
        assert word not in everything
