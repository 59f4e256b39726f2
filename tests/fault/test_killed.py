"""Guarantee 5 at each step of an act: ``kill -9`` there leaves it whole or absent.

The steps are calls that change the disk, of Python, SQLite and Lance's Rust alike, seen by the
kernel (``syscalls``). A crash point is an act and the step before which its process dies.
"""

from __future__ import annotations

import random

import pytest

from tests.fault.actors import Died
from tests.fault.scene import ACTS, Act, New, Nth, Scene, begun, die_at, must_hold, steps_of

POINTS = {
    "remember": [
        "create keys/keyring.db-journal",
        "fsync keys/keyring.db-journal",
        "write keys/keyring.db",
        "unlink keys/keyring.db-journal",
        "create stack/data/.tmp*",
        "write stack/data/.tmp*",
        "rename stack/data/*.lance",
        "rename stack/_transactions/*.txn",
        "create stack/_versions/*.manifest#1",
        "write stack/_versions/*.manifest#1",
        "link stack/_versions/*.manifest",
        "unlink stack/_versions/*.manifest#1",
        "rename stack/_versions/latest_version_hint.json",
        "fsync stack/data/*.lance",
        "fsync stack/_versions/*.manifest",
        "fsync stack/_versions",
        "write ledger.db-wal",
        "fsync ledger.db-wal",
        "write keys/ledger.checkpoint",
    ],
    "remember many": [
        "write keys/keyring.db",
        "link stack/_versions/*.manifest",
        "fsync stack/_versions",
        "fsync ledger.db-wal",
    ],
    "label set": [
        "rename stack/data/*.lance",
        "rename stack/_deletions/*",
        "link stack/_versions/*.manifest",
        "fsync stack/_versions",
        "fsync ledger.db-wal",
        "write keys/ledger.checkpoint",
    ],
    "forget": [
        "fsync ledger.db-wal",
        "write keys/ledger.checkpoint",
        "write keys/keyring.db",
        "unlink keys/keyring.db-journal",
        "write keys/keyring.db (last)",
        "unlink keys/keyring.db-journal (last)",
        "link stack/_versions/*.manifest",
        "rename stack/_deletions/*",
    ],
    "forget one": ["fsync ledger.db-wal", "link stack/_versions/*.manifest"],
    "scrub": [
        "rename stack/data/*.lance",
        "link stack/_versions/*.manifest",
        "link stack/_versions/*.manifest (last)",
        "unlink stack/data/*.lance",
        "unlink stack/_deletions/*",
        "unlink stack/_versions/*.manifest",
        "rename keys/keyring.db",
        "truncate ledger.db",
        "truncate ledger.db-wal",
        "fsync ledger.db-wal (last)",
    ],
    "snapshot": [
        "write snapshot/*.chunks",
        "write keys/keyring.db",
        "create snapshot/manifest.new",
        "rename snapshot/manifest",
    ],
    "snapshot again": [
        "write keys/keyring.db",
        "rename snapshot/manifest",
        "write keys/keyring.db (last)",
        "unlink snapshot/*.chunks",
    ],
    "forget with a snapshot": [
        "write keys/keyring.db",
        "write keys/keyring.db (last)",
        "unlink snapshot/manifest",
        "unlink snapshot/*.chunks",
    ],
    "back up": [
        "rename backups/objects/*/*",
        "fsync ledger.db-wal (last)",
        "rename backups/manifests/*.json",
    ],
    "back up again": ["rename backups/manifests/*.json"],
    "open after a cut rotation": ["write keys/root.next.key", "unlink keys/root.next.key"],
    "escrow": ["rename backups/escrow", "write keys/keyring.db"],
    "recall": ["write ledger.db-wal", "fsync ledger.db-wal", "write keys/ledger.checkpoint"],
    "app add": ["fsync ledger.db-wal"],
    "rotate root": [
        "write keys/keyring.db",
        "create keys/root.next.key",
        "write keys/root.next.key",
        "fsync keys/root.next.key",
        "fsync ledger.db-wal",
        "write keys/ledger.checkpoint",
        "fsync keys/keyring.db-journal (last)",
        "write keys/root.key",
        "fsync keys/root.key",
        "unlink keys/root.key",
        "rename keys/root.key",
        "unlink keys/keyring.db-journal (last)",
    ],
    "rotate epoch": [
        "fsync ledger.db-wal",
        "write keys/ledger.checkpoint",
        "create keys/keyring.next",
        "fsync keys/keyring.next",
        "link keys/keyring.last",
        "rename keys/keyring.db",
        "create keys/keyring.db",
        "write keys/keyring.last",
        "unlink keys/keyring.last",
    ],
    "open": ["create run/lock", "create ledger.db-wal", "fsync stack"],
    "close": ["unlink ledger.db-wal"],
    "open after a cut remember": ["link stack/_versions/*.manifest"],
    "open after a cut label set": ["fsync ledger.db-wal"],
    "open after a cut forget": ["write keys/keyring.db", "link stack/_versions/*.manifest"],
}
"""Act by act, the steps before which it is killed; ``(last)`` where it is passed several times."""

NAMED = [(act, step) for act, steps in POINTS.items() for step in steps]
USUAL = set(random.Random(3).sample(NAMED, 12))  # noqa: S311 - a choice, not a secret


def killed(new: New, scene: Scene, act: Act, rule: Nth) -> None:
    """Kill an act by a rule, and look what it left."""
    acknowledged = False
    with begun(new, scene, act) as actor, actor.under(rule):
        try:
            act.do(actor, scene)
            acknowledged = True
        except Died:
            pass
    must_hold(new, scene, act, acknowledged)


@pytest.mark.parametrize(
    "point",
    [
        pytest.param(point, id=": ".join(point), marks=() if point in USUAL else pytest.mark.slow)
        for point in NAMED
    ],
)
def test_killed_at_a_named_point(new: New, scene: Scene, point: tuple[str, str]) -> None:
    act, (step, last, _) = ACTS[point[0]], point[1].partition(" (last)")
    nth = steps_of(new, scene, act).count(step) if last else 1
    rule = die_at(step, nth)
    killed(new, scene, act, rule)
    assert rule.reached, "the act does not pass this point any more"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
def test_killed_at_every_step(new: New, scene: Scene, act: Act) -> None:
    steps = steps_of(new, scene, act)
    for step in dict.fromkeys(steps):
        for nth in {1, steps.count(step)}:
            killed(new, scene, act, die_at(step, nth))
