"""A copy of the starter bundle to edit, and questions to put to it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.core.access import Act, Form, Question, Requester, Role
from memory_fabric.core.labels import ClassState, Consent, DataClass, LabelClass
from memory_fabric.core.places import Region, Site, Tier

STARTER = Path(__file__).parents[3] / "policies"

Edit = Callable[[str, str], None]
MakeQuestion = Callable[..., Question]


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 23, 12, tzinfo=UTC)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """The starter bundle, to be spoilt."""
    folder = tmp_path / "policies"
    shutil.copytree(STARTER, folder)
    return folder


@pytest.fixture
def permissive(bundle: Path) -> Path:
    """The starter bundle with one rule that permits everything, and no other."""
    for pack in (bundle / "packs").iterdir():
        pack.unlink()
    (bundle / "packs" / "all.cedar").write_text(
        '@id("all") @title("All") @basis("Test") permit (principal, action, resource);\n'
    )
    return bundle


@pytest.fixture(scope="session")
def starter() -> CedarEngine:
    return CedarEngine(read_bundle(STARTER))


@pytest.fixture
def ask() -> MakeQuestion:
    """A recall of a German note in full by London, with any part of it changed."""

    def make(**changed: Any) -> Question:
        label = LabelClass(
            home=Region("DE"),
            tenant="acme",
            data_class=DataClass.CONFIDENTIAL,
            personal=True,
            special=frozenset(),
            purposes=frozenset({"care"}),
            consent=Consent.NONE,
        )
        site = Site("lon-1", Region("GB"), Tier.EDGE, frozenset({"acme"}), "", b"", b"", address="")
        label_changes = {k: changed.pop(k) for k in list(changed) if hasattr(label, k)}
        site_changes = {k: changed.pop(k) for k in list(changed) if hasattr(site, k)}
        question = Question(
            Act.RECALL,
            Region("DE"),
            replace(site, **site_changes),
            Requester("app", "acme", Role.APP),
            "care",
            ClassState(replace(label, **label_changes)),
            Form.FULL,
        )
        return replace(question, **changed)

    return make
