"""What only a proof can tell of rules that are written correctly."""

from __future__ import annotations

from pathlib import Path

import pytest

from memory_fabric.wiring.proofs import check_policies
from tests.unit.policy.conftest import STARTER

HEAD = '@id("own") @title("Own") @basis("Test")\n'


def test_the_starter_bundle_has_none() -> None:
    assert not [found for found in check_policies(STARTER) if found.severity == "error"]


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (
            'permit (principal in Sov::Region::"FR", action in Sov::Action::"share", resource)\n'
            'when { principal.region == Sov::Region::"DE" };',
            "can never apply",
        ),
        (
            'forbid (principal, action == Sov::Action::"aggregate", resource)\n'
            'when { context.purpose == Sov::Purpose::"care" && resource.purposes.isEmpty() };',
            "can never apply",
        ),
        (
            'permit (principal in Sov::Region::"CN", action in Sov::Action::"share",\n'
            'resource in Sov::Region::"US") when { resource.personal };',
            "permits nothing",
        ),
        (
            'permit (principal in Sov::Region::"AU", action == Sov::Action::"full", resource)\n'
            'when { !resource.personal && resource.dataClass == Sov::DataClass::"confidential" &&\n'
            "context.plan.ttlHours <= 9000 };",
            "the form full may be kept longer than redacted",
        ),
    ],
)
def test_a_rule_that_cannot_be_meant_is_named(bundle: Path, rule: str, message: str) -> None:
    (bundle / "packs" / "own.cedar").write_text(f"\n{HEAD}{rule}\n")
    found = [one for one in check_policies(bundle) if message in one.message]
    assert found, check_policies(bundle)
    assert found[0].rule in ("own", "")
