"""A home with some memories in it, what may be done there, and what must hold afterwards."""

from __future__ import annotations

import json
import random
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.fault.actors import Actor, Died, Refused
from tests.fault.syscalls import Answer, Die, Event
from tests.system.homes import files_of

New = Callable[..., Any]
"""A maker of actors, see ``actors.nursery``."""

State = frozenset[str]
"""Texts that the operator sees."""

_VARYING = [
    (r"^fra-1/", ""),
    (r"^stack/memories\.lance/", "stack/"),
    (r"data/[01]{24}\w+\.lance$", "data/*.lance"),
    (r"\.tmp\w+$", ".tmp*"),
    (r"_versions/\d+\.manifest", "_versions/*.manifest"),
    (r"_transactions/\d+-[-\w]+\.txn$", "_transactions/*.txn"),
    (r"_deletions/[-\w]+\.(arrow|bin)$", "_deletions/*"),
    (r"\.making-\w+", ".making-*"),
    (r"objects/[0-9a-f]{2}\b", "objects/*"),
    (r"[0-9a-f]{32,64}", "*"),
    (r"\b\d{6,}\b", "*"),
]


def step(event: Event) -> str:
    """An event by what is the same in each run: ``link stack/_versions/*.manifest``."""
    place = event.path
    for varying, name in _VARYING:
        place = re.sub(varying, name, place)
    return f"{event.call} {place}"


def word(chance: random.Random) -> str:
    """A word that no file holds by chance, and no compression hides."""
    return chance.randbytes(12).hex()


class Scene:
    """A home to be put through something, made once and put back for each run.

    Attributes:
        home: where it stands.
        before: the texts in it.
        ids: of the memories, by text.
        secrets: bytes that must stand in no file.
        erased: sealed bytes that must stand in no file once an erasure is complete.
    """

    def __init__(self, folder: Path, new: New) -> None:
        self.home, self._kept = folder / "fra-1", folder / "kept"
        self.folder, self.backups = folder, folder / "backups"
        chance = random.Random(11)  # noqa: S311 - names, not secrets
        self.bela, self.cleo = (f"{name} {word(chance)}" for name in ("Bela", "Cleo"))
        self.fresh = [f"Crocus {number} {word(chance)}" for number in range(20)]
        self.strangers = [f"Dora {word(chance)}" for _ in range(20)]
        about_bela = [f"Tulip {word(chance)}" for _ in range(3)]
        shared, kept = f"Shed {word(chance)}", f"Rose {word(chance)}"
        gone, changed = f"Weed {word(chance)}", f"Lily {word(chance)}"
        self.about_bela = frozenset([*about_bela, shared])
        self.one, self.kept = about_bela[0], kept
        with new() as actor:
            actor.do("create", folder=str(folder), name="fra-1")
            actor.do("open", home=str(self.home))
            self._add(actor, gone, "Weeds")
            ask(actor, "forget", subject="Weeds")
            for text in about_bela:
                self._add(actor, text, self.bela)
            self._add(actor, shared, self.bela, self.cleo)
            self._add(actor, kept, self.cleo)
            self._add(actor, changed, self.cleo)
            self.ids = {text: name for name, text in actor.do("listed").items()}
            ask(actor, "label_set", id=self.ids[changed], change={"legal_hold": True})
            self.before = frozenset(self.ids)
            texts = [*self.before, gone, *self.fresh]
            self.secrets = [text.split()[-1].encode() for text in (*texts, *self.strangers)]
            self.secrets += [name.split()[-1].encode() for name in (self.bela, self.cleo)]
            self.secrets += [bytes.fromhex(actor.do("vector", text=text))[:24] for text in texts]
            doomed = [self.ids[text] for text in sorted(self.about_bela)]
            self.erased = [bytes.fromhex(blob) for blob in actor.do("sealed", ids=doomed)]
            actor.do("shut")
        shutil.copytree(self.home, self._kept)

    def _add(self, actor: Actor, text: str, *subjects: str) -> None:
        ask(actor, "add", memories=[memory(text, *subjects)])

    def restore(self) -> None:
        """Put the home back as it was."""
        for left in (self.home, self.backups):
            shutil.rmtree(left, ignore_errors=True)
        shutil.copytree(self._kept, self.home)
        self.backups.mkdir()


def memory(text: str, *subjects: str, **fields: Any) -> dict[str, Any]:
    """A memory to add."""
    return {"memory": text, "subjects": list(subjects), "consent": "given", **fields}


def ask(actor: Actor, operation: str, **params: Any) -> Any:
    """One operation on the actor's home."""
    return actor.do("ask", operation=operation, params=params)


# --- acts ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Act:
    """Something a site is asked to do.

    Attributes:
        do: asks an actor for it.
        after: what is seen once it is done.
        opens: the act opens the home itself.
        cut: an act, and the step before which it had been killed when this one begins.
        first: an act that was done, and its process killed, before.
        then: what must hold besides, once all is in order again.
    """

    name: str
    do: Callable[[Actor, Scene], object]
    after: Callable[[Scene], State]
    opens: bool = False
    cut: tuple[str, str] | None = None
    first: str | None = None
    then: Callable[[Actor, Scene], object] | None = None

    def before(self, scene: Scene) -> State:
        """What is seen before."""
        return ACTS[self.first].after(scene) if self.first else scene.before


def _remember(actor: Actor, scene: Scene) -> object:
    text, subject = scene.fresh[0], scene.strangers[0]
    return ask(actor, "add", memories=[memory(text, subject, id="crocus")])


def _remember_many(actor: Actor, scene: Scene) -> object:
    pairs = zip(scene.fresh, scene.strangers, strict=True)
    named = enumerate(memory(text, subject) for text, subject in pairs)
    return ask(actor, "add", memories=[{**item, "id": f"crocus-{at}"} for at, item in named])


def _remember_known(actor: Actor, scene: Scene) -> object:
    return ask(actor, "add", memories=[memory(scene.fresh[0], scene.cleo, id="crocus")])


def _label(actor: Actor, scene: Scene) -> object:
    change = {"consent": "withdrawn"}
    return ask(actor, "label_set", subject=scene.bela, change=change)


def _forget(actor: Actor, scene: Scene) -> object:
    return ask(actor, "forget", subject=scene.bela)


def _forget_one(actor: Actor, scene: Scene) -> object:
    return ask(actor, "forget", id=scene.ids[scene.one])


def _back_up(actor: Actor, scene: Scene) -> object:
    return ask(actor, "backup_create", folder=str(scene.backups), keep=2)


def _backs_up(actor: Actor, scene: Scene) -> None:
    _back_up(actor, scene)
    ask(actor, "backup_check", folder=str(scene.backups))


def _scrubbed(actor: Actor, scene: Scene) -> None:
    actor.do("scrub")
    if scene.about_bela <= set(actor.do("listed").values()):
        return  # the erasure was cut short before it was recorded: nothing was erased
    for file in files_of(scene.home):
        content = file.read_bytes()
        assert not any(blob in content for blob in scene.erased), file


def _rotate_root(actor: Actor, scene: Scene) -> object:
    return ask(actor, "keys_rotate", root=True)


def _rotate_epoch(actor: Actor, scene: Scene) -> object:
    return ask(actor, "keys_rotate", epoch=True)


def _rotated(actor: Actor, scene: Scene) -> None:
    assert ask(actor, "keys_status")["to_destroy"] == []
    left = {file.name for file in (scene.home / "keys").iterdir()} - {"keyring.db-journal"}
    assert left == {"keyring.db", "ledger.checkpoint", "root.key"}


def _escrow(actor: Actor, scene: Scene) -> object:
    return ask(actor, "keys_escrow", file=str(scene.backups / "escrow"))


def _declare(actor: Actor, scene: Scene) -> object:
    return ask(actor, "app_add", name="ward", purposes=["care"])


def _open(actor: Actor, scene: Scene) -> object:
    return actor.do("open", home=str(scene.home))


def _same(scene: Scene) -> State:
    return scene.before


def _withdrawn(scene: Scene) -> State:
    return scene.before - scene.about_bela


RECORDED = "fsync ledger.db-wal"
"""The step that makes a receipt durable: before it nothing holds, after it everything does."""
TOLD = "write keys/ledger.checkpoint"
"""The step after it."""

ROTATING = ("rotate root", RECORDED)

ACTS = {
    act.name: act
    for act in (
        Act("remember", _remember, lambda scene: scene.before | {scene.fresh[0]}),
        Act("remember many", _remember_many, lambda scene: scene.before | {*scene.fresh}),
        Act("remember known", _remember_known, lambda scene: scene.before | {scene.fresh[0]}),
        Act("label set", _label, _withdrawn),
        Act("forget", _forget, _withdrawn),
        Act("forget one", _forget_one, lambda scene: scene.before - {scene.one}),
        Act("tidy", lambda actor, _: actor.do("tidy"), _same),
        Act("recall", lambda actor, scene: actor.do("recalled", query=scene.kept), _same),
        Act("rotate root", _rotate_root, _same, then=_rotated),
        Act("rotate epoch", _rotate_epoch, _same, then=_rotated),
        Act("open after a cut rotation", _open, _same, True, ROTATING, then=_rotated),
        Act("escrow", _escrow, _same),
        Act("app add", _declare, _same),
        Act("close", lambda actor, _: actor.do("shut"), _same),
        Act("open", _open, _same, True),
        Act(
            "scrub", lambda actor, _: actor.do("scrub"), _withdrawn, first="forget", then=_scrubbed
        ),
        Act("snapshot", lambda actor, _: actor.do("snapshot"), _same),
        Act("snapshot again", lambda actor, _: actor.do("snapshot"), _same, first="snapshot"),
        Act("open by a snapshot", _open, _same, True, first="snapshot"),
        Act("forget with a snapshot", _forget, _withdrawn, first="snapshot", then=_scrubbed),
        Act("back up", _back_up, _same, then=_backs_up),
        Act("back up again", _back_up, _same, first="back up", then=_backs_up),
        Act("open after a cut remember", _open, _same, opens=True, cut=("remember", RECORDED)),
        Act(
            "open after a cut label set", _open, _withdrawn, opens=True, cut=("label set", RECORDED)
        ),
        Act("open after a cut forget", _open, _withdrawn, opens=True, cut=("forget", TOLD)),
    )
}


# --- what must hold -----------------------------------------------------------------------------


def survey(new: New, home: Path) -> State:
    """Everything that a home holds, after it has shown twice that nothing in it is damaged."""
    with new() as actor:
        run = actor.do("cli", home=str(home), words=["site", "verify"])
        assert (run["code"], json.loads(run["out"] or "{}").get("damaged")) == (0, []), run
        actor.do("open", home=str(home))
        listed = actor.do("listed")
        assert len(listed) == len(set(listed.values()))
        verified = ask(actor, "verify_site")
        assert (verified["damaged"], verified["unacknowledged"]) == ([], 0)
        assert verified["records"] == ask(actor, "status")["memories"]
        actor.do("shut")
    return frozenset(listed.values())


def nothing_readable(scene: Scene) -> None:
    """No text, subject or vector stands in any file that the site has made."""
    pattern = re.compile(b"|".join(map(re.escape, scene.secrets)))
    for file in files_of(scene.folder):
        assert not pattern.search(file.read_bytes()), file


def must_hold(new: New, scene: Scene, act: Act, acknowledged: bool) -> None:
    """Nothing acknowledged is lost, nothing is half there, nothing is readable."""
    nothing_readable(scene)
    found = survey(new, scene.home)
    assert found in possible(scene, act, acknowledged), (
        sorted(found - scene.before),
        sorted(scene.before - found),
    )
    if act.then:
        with new() as actor:
            actor.do("open", home=str(scene.home))
            act.then(actor, scene)
    nothing_readable(scene)


def possible(scene: Scene, act: Act, acknowledged: bool) -> list[State]:
    """What may be seen after an act."""
    return [act.after(scene)] if acknowledged else [act.before(scene), act.after(scene)]


def attempt(actor: Actor, scene: Scene, act: Act) -> bool:
    """Whether an act was acknowledged; an error of the program's own says that it was not."""
    try:
        act.do(actor, scene)
    except Refused as refused:
        if refused.exit_code not in (1, 2):  # the disk failed: nobody has tampered
            raise
        return False
    return True


@contextmanager
def begun(new: New, scene: Scene, act: Act) -> Iterator[Actor]:
    """An actor before whom the act lies, under watch."""
    if act.first:
        with begun(new, scene, ACTS[act.first]) as actor:
            ACTS[act.first].do(actor, scene)
    else:
        scene.restore()
    if act.cut:
        before = ACTS[act.cut[0]]
        with begun(new, scene, before) as actor, actor.under(die_at(act.cut[1])), suppress(Died):
            before.do(actor, scene)
    with new(watch=scene.folder) as actor:
        if not act.opens:
            actor.do("open", home=str(scene.home))
        yield actor


def steps_of(new: New, scene: Scene, act: Act) -> list[str]:
    """What an act does to the disk, in order."""
    steps: list[str] = []
    with begun(new, scene, act) as actor, actor.under(lambda event: steps.append(step(event))):
        assert attempt(actor, scene, act)
    return steps


class Nth:
    """A rule that answers at one passing of a step, or from there on.

    Attributes:
        reached: whether the step was passed so often.
    """

    def __init__(self, at: str, nth: int, answer: Answer, onwards: bool = False) -> None:
        self._at, self._nth, self._answer, self._onwards = at, nth, answer, onwards
        self._passed = 0
        self.reached = False

    def __call__(self, event: Event) -> Answer:
        if not self.reached and step(event) == self._at:
            self._passed += 1
            self.reached = self._passed == self._nth
            return self._answer if self.reached else None
        return self._answer if self.reached and self._onwards else None


def die_at(at: str, nth: int = 1) -> Nth:
    """The process is killed before this step."""
    return Nth(at, nth, Die())
