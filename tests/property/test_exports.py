"""No package holds anything of a class that policy refuses, whatever is stored and whoever asks."""

from __future__ import annotations

import itertools
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.packing import ArrowPacking
from memory_fabric.adapters.redactor import PatternRedactor
from memory_fabric.config import DEFAULT_PLANS, Settings, Tenant
from memory_fabric.core.access import BUILDABLE, Act, Form, Question, Requester, Role
from memory_fabric.core.errors import Denied
from memory_fabric.core.labels import ClassState, Consent, DataClass, Label
from memory_fabric.core.memory import Memory, MemoryType
from memory_fabric.core.places import Region, Roster, Site, Tier
from memory_fabric.flows.export import export
from memory_fabric.flows.node import Node
from memory_fabric.flows.storing import index_row
from memory_fabric.gate.duties import Duties
from memory_fabric.gate.gate import Gate, Rulebook
from memory_fabric.gate.permits import Mint
from memory_fabric.vault.identity import Signer, Unsealer, new_identity
from memory_fabric.vault.keyring import Keyring
from memory_fabric.vault.letters import Letters
from memory_fabric.vault.packages import Package, Packages
from memory_fabric.vault.vault import Vault
from tests.fakes.clock import ManualClock
from tests.fakes.embedder import HashEmbedder
from tests.fakes.keystore import ROOT, MemoryKeyStore, MemoryRootKeys
from tests.fakes.ledger import MemoryLedger
from tests.fakes.search import DIM, BruteSearchCopy
from tests.fakes.snapshots import MemorySnapshots
from tests.fakes.stack import MemoryStack
from tests.fakes.trainer import FakeTrainer
from tests.fakes.witnessed import MemoryWitnessed

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENGINE = CedarEngine(read_bundle(Path(__file__).parents[2] / "policies"))
PERSON = "Wilhelmina Fitzgerald"
HERE, THERE = new_identity(), new_identity()
OPERATOR = Requester("os:tester", "acme", Role.OPERATOR, frozenset(), all_subjects=True)


def some(words: tuple[str, ...], least: int = 0) -> st.SearchStrategy[frozenset[str]]:
    return st.frozensets(st.sampled_from(words), min_size=least, max_size=2)


@st.composite
def labels(draw: st.DrawFn) -> Label:
    personal = draw(st.booleans())
    return Label(
        home=Region("DE"),
        tenant=draw(st.sampled_from(["acme", "acme", "globex"])),
        data_class=draw(st.sampled_from(DataClass)),
        personal=personal,
        special=draw(some(ENGINE.specials)) if personal else frozenset(),
        purposes=draw(some(("care", "support"), 1)),
        consent=draw(st.sampled_from(Consent)),
        legal_hold=draw(st.booleans()),
        expires_at=draw(st.sampled_from([None, datetime(2026, 1, 1, tzinfo=UTC)])),
        subjects=(PERSON,) if personal else (),
    )


@st.composite
def receivers(draw: st.DrawFn) -> Site:
    region = Region(draw(st.sampled_from(["DE", "FR", "GB", "US", "US-CA", "JP", "CN", "ZA"])))
    clubs = {"EU-US-DPF": ""} if region.country == "US" and draw(st.booleans()) else {}
    return Site(
        "there",
        region,
        Tier.HUB,
        frozenset(draw(some(("acme", "globex"), 1))),
        HashEmbedder(DIM).id,
        THERE.signing_key,
        THERE.sealing_key,
        "nowhere",
        instruments=dict.fromkeys(draw(some(("eu-scc", "eu-bcr", "hipaa-baa"))), ""),
        memberships=clubs,
        transfer_risk_assessed=draw(st.booleans()),
    )


def a_node(destination: Site, stored: list[Label]) -> Node:
    """A site over fakes, with the real gate, rules, vault, duties and packages."""
    clock, embedder, mint = ManualClock(NOW), HashEmbedder(DIM), Mint()
    me = replace(
        destination, site_id="here", region=Region("DE"), tenants=frozenset({"acme", "globex"}),
        signing_key=HERE.signing_key, sealing_key=HERE.sealing_key,
    )  # fmt: skip
    roster = Roster(1, {"here": me, "there": destination})
    signer, unsealer = Signer(HERE.signing_secret), Unsealer(HERE.sealing_secret)
    keyring = Keyring.create(MemoryKeyStore(), MemoryRootKeys(), ROOT, "here", clock)
    tenants = {name: Tenant(name, "care") for name in ("acme", "globex")}
    classes = tuple(dict.fromkeys(label.label_class for label in stored))
    node = Node(
        settings=Settings("here", Region("DE"), Tier.HUB, tenants, classes),
        me=me,
        roster=roster,
        gate=Gate(Rulebook(ENGINE, ENGINE), roster, DEFAULT_PLANS, BUILDABLE, clock, mint),
        vault=Vault(keyring, mint),
        keyring=keyring,
        stack=MemoryStack(),
        copy=BruteSearchCopy(),
        leased=BruteSearchCopy(),
        ledger=MemoryLedger("here"),
        snapshots=MemorySnapshots(),
        witnessed=MemoryWitnessed(),
        embedder=embedder,
        duties=Duties(PatternRedactor(), embedder),
        letters=Letters("here", signer, unsealer, lambda: roster, clock),
        packages=Packages("here", signer, unsealer, lambda: roster, clock, ArrowPacking()),
        transport=Nobody(),
        trainer=FakeTrainer(),
        clock=clock,
        purposes=ENGINE.purposes,
        specials=ENGINE.specials,
        check_region=str,
    )
    memories = [
        Memory(
            id=f"m-{number}",
            text=f"Number {number}: {PERSON if label.personal else 'the van'} came by",
            vector=embedder.embed([f"{number}"])[0],
            embedder=embedder.id,
            label=label,
            memory_type=MemoryType.EPISODIC,
            created_at=NOW,
        )
        for number, label in enumerate(stored)
    ]
    for record, memory in zip(node.vault.seal(memories), memories, strict=True):
        node.stack.write([record])
        node.copy.add([index_row(record.rid, memory)])
    return node


class Nobody:
    """A transport that is never used: what is exported goes to a file."""

    def exchange(self, site: Site, letter: bytes) -> bytes:
        raise AssertionError("nothing is delivered here")

    def witness(self, site: Site, of: str, *shown: object) -> None:
        raise AssertionError("nobody is asked here")


def opened(node: Node, data: bytes) -> Package:
    receiver = Packages(
        "there", Signer(THERE.signing_secret), Unsealer(THERE.sealing_secret),
        lambda: node.roster, node.clock, ArrowPacking(),
    )  # fmt: skip
    return receiver.open(data)


def allowed(node: Node, destination: Site, state: ClassState, form: Form) -> bool:
    """Policy itself, asked without the gate."""
    question = Question(
        Act.EXPORT, Region("DE"), destination, OPERATOR, "care", state, form, DEFAULT_PLANS[form]
    )
    return ENGINE.decide([question], NOW)[0].allowed


@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(receivers(), st.lists(labels(), min_size=1, max_size=6))
def test_no_package_holds_a_refused_class(destination: Site, stored: list[Label]) -> None:
    node = a_node(destination, stored)
    written: list[bytes] = []
    with suppress(Denied):
        export(node, OPERATOR, "there", "care", write=written.append)
    packages = [opened(node, data) for data in written]
    rows = list(itertools.chain.from_iterable(package.rows for package in packages))
    forms: dict[str, Any] = {}
    for label in stored:
        state = label.state(NOW)
        granted = (form for form in BUILDABLE if allowed(node, destination, state, form))
        forms[label.label_class.key, state.retention_over] = list(granted)
    expected = sum(bool(forms[label.label_class.key, label.state(NOW).retention_over])
                   for label in stored)  # fmt: skip
    assert len(rows) == expected
    live = {key: granted for (key, over), granted in forms.items() if granted}
    for package in packages:
        for terms in package.manifest.leases:
            assert terms.form in live[terms.label_class.key]
            assert terms.label_class.tenant == "acme"
    for row in rows:
        assert (row.text is None) == (row.form == Form.VECTORS_ONLY) == (row.vector is not None)
        assert row.form == Form.FULL or PERSON not in str(row.text)
    for data in written:
        assert PERSON.encode() not in data
