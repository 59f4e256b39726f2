"""Guarantee 5: what was acknowledged outlives power loss; the rest is whole or absent.

Plain LanceDB beside it shows that the imitation is real: it loses what it acknowledged, and with a
neighbour that syncs at the wrong moment the whole table.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.fault import power
from tests.fault.actors import Actor, Broke
from tests.fault.scene import New, State, ask, memory, survey, word

pytestmark = pytest.mark.skipif(
    power.unsupported() is not None, reason=f"no power loss here: {power.unsupported()}"
)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    image = tmp_path / "disk"
    power.made(image)
    return image


# --- the control --------------------------------------------------------------------------------


@pytest.mark.parametrize("neighbour", [False, True], ids=["alone", "a neighbour syncs"])
def test_plain_lancedb_loses_what_it_acknowledged(
    new: New, image: Path, tmp_path: Path, neighbour: bool
) -> None:
    copy, at = tmp_path / "copy", tmp_path / "mounted"
    with power.mounted(image, at), new() as actor:
        assert actor.do("plain", folder=str(at / "plain"), rows=[1, 2]) == 2
        os.sync()
        assert actor.do("plain", folder=str(at / "plain"), rows=[3]) == 3
        power.cut(image, copy, actor, at / "other" if neighbour else None)
    with power.mounted(copy, at), new() as actor:
        if neighbour:
            with pytest.raises(Broke, match="size 0 bytes"):  # not a row can be read any more
                actor.do("plain", folder=str(at / "plain"), rows=[])
        else:
            assert actor.do("plain", folder=str(at / "plain"), rows=[]) == 2


# --- a site -------------------------------------------------------------------------------------


@dataclass
class Story:
    """A site at work, and what it may hold if the power goes now.

    Attributes:
        seen: texts of what was acknowledged and is visible, with id and subject.
        secrets: what must not stand on the disk.
    """

    chance: random.Random
    seen: dict[str, tuple[str, str]] = field(default_factory=dict)
    secrets: list[bytes] = field(default_factory=list)
    count: int = 0

    def begin(self, actor: Actor) -> State:
        """Ask for a next act; what is visible once it is done."""
        act = self.chance.choice([*["remember"] * 3, "label", "forget", "recall", "rotate"])
        if act == "remember" or len(self.seen) < 3:
            return self._remember(actor)
        if act == "rotate":
            _begin(actor, "keys_rotate", epoch=True, root=self.chance.random() < 0.5)
            return frozenset(self.seen)
        name, subject = self.seen[self.chance.choice(sorted(self.seen))]
        if act == "recall":
            actor.begin("recalled", query="Tulip")
            return frozenset(self.seen)
        if act == "label":
            change = {"consent": "withdrawn"}
            _begin(actor, "label_set", id=name, change=change)
            self.seen = {text: of for text, of in self.seen.items() if of[0] != name}
        else:
            _begin(actor, "forget", subject=subject)
            self.seen = {text: of for text, of in self.seen.items() if of[1] != subject}
        return frozenset(self.seen)

    def _remember(self, actor: Actor) -> State:
        known = sorted({subject for _, subject in self.seen.values()})
        fresh = f"Dora {word(self.chance)}"
        subject = self.chance.choice([*known, fresh, fresh])
        added = {
            f"Tulip {word(self.chance)}": (f"m-{(self.count, number)}", subject)
            for number in range(self.chance.choice([1, 1, 5]))
        }
        self.count += 1
        self.secrets += [text.split()[-1].encode() for text in (*added, subject)]
        many = [memory(text, subject, id=name) for text, (name, _) in added.items()]
        _begin(actor, "add", memories=many)
        self.seen |= added
        return frozenset(self.seen)


def _begin(actor: Actor, operation: str, **params: object) -> None:
    actor.begin("ask", operation=operation, params=params)


def pulled(new: New, image: Path, folder: Path, seed: int, cuts: int) -> None:
    """Let a site work and pull the plug so often, in the middle of acts and right after them."""
    chance = random.Random(seed)  # noqa: S311 - moments, not secrets
    at = folder / "mounted"
    home, story, before = at / "fra-1", Story(chance), frozenset[str]()
    disks: list[tuple[Path, list[State]]] = []
    with power.mounted(image, at), new() as actor:
        actor.do("create", folder=str(at), name="fra-1")
        actor.do("open", home=str(home))
        os.sync()
        while len(disks) < cuts:
            after = story.begin(actor)
            moment = chance.random()
            neighbour = at / "other" if chance.random() < 0.6 else None
            disk = folder / f"disk-{len(disks)}"
            if moment < 0.3:
                time.sleep(moment / 5)
                power.cut(image, disk, actor, neighbour)
                disks.append((disk, [before, after]))
            actor.end()
            if moment > 0.7:
                power.cut(image, disk, actor, neighbour)
                disks.append((disk, [after]))
            before = after
    for disk, possible in disks:
        content = disk.read_bytes()
        assert not any(secret in content for secret in story.secrets)
        with power.mounted(disk, at):
            assert survey(new, home) in possible, disk.name
        disk.unlink()


def test_a_site_outlives_power_loss(new: New, image: Path, tmp_path: Path) -> None:
    pulled(new, image, tmp_path, seed=1, cuts=4)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(2, 10))
def test_a_site_outlives_power_loss_at_many_moments(
    new: New, image: Path, tmp_path: Path, seed: int
) -> None:
    pulled(new, image, tmp_path, seed, cuts=15)


@pytest.mark.parametrize("neighbour", [False, True], ids=["alone", "a neighbour syncs"])
def test_a_new_home_outlives_power_loss(
    new: New, image: Path, tmp_path: Path, neighbour: bool
) -> None:
    """``site init`` answers when the home is on stable storage."""
    copy, at = tmp_path / "copy", tmp_path / "mounted"
    with power.mounted(image, at), new() as actor:
        actor.do("create", folder=str(at), name="fra-1")
        power.cut(image, copy, actor, at / "other" if neighbour else None)
    with power.mounted(copy, at):
        assert survey(new, at / "fra-1") == frozenset()
        with new() as actor:
            actor.do("open", home=str(at / "fra-1"))
            assert ask(actor, "status")["bundle"]["crossing"]
    shutil.rmtree(at)
