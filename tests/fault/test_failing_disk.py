"""A disk that fails beneath Lance and SQLite: no room for the n-th write, no sync, no rename.

The error comes from the kernel (``syscalls``), once or from there on. The act is then refused with
an error of the program's own, or has happened; the process goes on or asks to be opened again, and
what it leaves is whole.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Iterator

import pytest

from tests.fault.actors import Actor, Refused
from tests.fault.scene import (
    ACTS,
    Act,
    New,
    Nth,
    Scene,
    attempt,
    begun,
    must_hold,
    possible,
    steps_of,
)
from tests.fault.syscalls import CALLS, Fail

ERRORS = dict.fromkeys(CALLS, errno.ENOSPC) | dict.fromkeys(
    ["fsync", "unlink", "truncate"], errno.EIO
)


def failing(new: New, scene: Scene, act: Act, step: str, nth: int, onwards: bool) -> None:
    """Let one step of an act fail, and look what becomes of it."""
    call = step.split()[0]
    rule = Nth(step, nth, Fail(ERRORS[call]), onwards)
    with begun(new, scene, act) as actor:
        with actor.under(rule):
            acknowledged = attempt(actor, scene, act)
        if not act.opens and act.name != "close":
            seen = _seen(actor)
            assert seen is None or seen in possible(scene, act, acknowledged)
            acknowledged |= _again(actor, scene, act)
    must_hold(new, scene, act, acknowledged)


def _seen(actor: Actor) -> frozenset[str] | None:
    """What the failed process shows; ``None`` where it wants to be opened again."""
    try:
        return frozenset(actor.do("listed").values())
    except Refused as refused:
        if refused.exit_code != 1:
            raise
        return None


def _again(actor: Actor, scene: Scene, act: Act) -> bool:
    """Ask once more, with the disk in order."""
    try:
        act.do(actor, scene)
    except Refused as refused:
        if refused.exit_code not in (1, 2):  # to be opened again, or done already
            raise
        return False
    return True


def _sampled() -> Iterator[tuple[str, float, bool]]:
    """For each act that writes, a place in it and whether the disk stays bad."""
    chance = random.Random(5)  # noqa: S311 - a choice, not a secret
    for name in (
        "remember",
        "remember many",
        "label set",
        "forget",
        "scrub",
        "snapshot",
        "back up",
        "open",
    ):
        yield name, chance.random(), chance.random() < 0.5


@pytest.mark.parametrize(("name", "place", "onwards"), list(_sampled()))
def test_one_step_fails(new: New, scene: Scene, name: str, place: float, onwards: bool) -> None:
    steps = steps_of(new, scene, ACTS[name])
    at = int(place * len(steps))
    failing(new, scene, ACTS[name], steps[at], steps[: at + 1].count(steps[at]), onwards)


FOUND = [
    # Lance does not notice, and commits a file without its end; once it was called damage.
    ("remember", "write stack/data/.tmp*", 2),
    ("scrub", "write stack/data/.tmp*", 2),
    # The key was in the file and not in the ring: the next act made a second one for its subject.
    ("remember", "fsync keys", 2),
    # The old root key was overwritten and stayed, in the way of the next one.
    ("rotate root", "unlink keys/root.key", 1),
    ("rotate root", "rename keys/root.key", 1),
    # A traceback was all that a full disk gave whoever opened the home.
    ("open", "create run/lock", 1),
    # The stack was ahead of the ledger, and the next reading called that an altered record.
    ("label set", "write ledger.db-wal", 1),
]


def test_a_full_disk_at_opening_is_no_damaged_ledger(new: New, scene: Scene) -> None:
    """SQLite calls it a locking protocol that failed, when it cannot make the journal's index."""
    act = ACTS["open after a cut remember"]
    failing(new, scene, act, "create ledger.db-wal", 1, onwards=True)


@pytest.mark.parametrize(("name", "step", "nth"), FOUND)
def test_a_step_whose_failure_once_did_harm(
    new: New, scene: Scene, name: str, step: str, nth: int
) -> None:
    failing(new, scene, ACTS[name], step, nth, onwards=False)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("onwards", [False, True], ids=["once", "onwards"])
@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS.keys())
def test_every_step_fails(new: New, scene: Scene, act: Act, onwards: bool) -> None:
    steps = steps_of(new, scene, act)
    for step in dict.fromkeys(steps):
        for nth in {1, steps.count(step)}:
            failing(new, scene, act, step, nth, onwards)
