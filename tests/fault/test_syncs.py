"""A receipt adds one sync to a recall, and recalls at once share it (guarantee 4)."""

from __future__ import annotations

from collections import Counter

from tests.fault.scene import New, Scene
from tests.fault.syscalls import Event

WAL = "ledger.db-wal"


def syncs(new: New, scene: Scene, each: int, threads: int) -> Counter[str]:
    """Files that recalls sync, and how often."""
    seen: Counter[str] = Counter()

    def count(event: Event) -> None:
        seen.update([event.path] if event.call == "fsync" else [])

    with new(watch=scene.home) as actor:
        actor.do("open", home=str(scene.home))
        actor.do("recalls", each=1, threads=1)
        with actor.under(count):
            assert actor.do("recalls", each=each, threads=threads) == each * threads
    return seen


def test_a_recall_syncs_once(new: New, scene: Scene) -> None:
    assert syncs(new, scene, each=20, threads=1) == {WAL: 20}


def test_recalls_at_once_share_their_syncs(new: New, scene: Scene) -> None:
    seen = syncs(new, scene, each=10, threads=16)
    assert set(seen) == {WAL}
    assert seen[WAL] < 160
