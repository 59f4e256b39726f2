"""Guarantees 5 and 6 at each step of an act: what is cut short is whole or absent afterwards."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

import pytest

from memory_fabric.adapters.lance import LanceStack
from memory_fabric.core.errors import Denied, HomeError, MemoryFabricError, Unavailable
from memory_fabric.core.receipt_search import Wanted
from memory_fabric.wiring import Home, create_home
from tests.system.homes import ask, cli, files_of, listed, recalled, remember, reopened, site

TEXT = "The tulips in the north garden bloom in April."


class Crash(BaseException):
    """The process ends here: nothing after it runs, and nobody catches it."""


def crash(*_: Any, **__: Any) -> NoReturn:
    raise Crash


def disk_full(*_: Any, **__: Any) -> NoReturn:
    raise Unavailable("ledger-unwritable", "The disk is full.", "Make room.")


def crashing(home: Home, at: tuple[str, str], act: Callable[[], object]) -> None:
    """Run an act up to a step of one of the site's parts."""
    part, step = at
    breaking(home, part, step, crash)
    with pytest.raises(Crash):
        act()


def breaking(home: Home, part: str, step: str, end: Callable[..., NoReturn]) -> Callable[[], None]:
    """Let a step of one of the site's parts end so; what mends it. Acts that write records commit
    with others, all other acts by themselves: to break ``commit`` is to break both.
    """
    broken = getattr(home.node, part)
    steps = ("commit", "commit_all") if step == "commit" else (step,)
    whole = {name: getattr(broken, name) for name in steps}
    vars(broken).update(dict.fromkeys(steps, end))
    return lambda: vars(broken).update(whole)


def sound(path: Path) -> None:
    """``site verify`` finds everything as it was acknowledged."""
    run = cli(path, "site", "verify")
    assert (run.code, run.json["damaged"]) == (0, [])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return site(tmp_path, "fra-1", "DE")


def test_a_memory_without_its_receipt_is_absent(path: Path) -> None:
    with reopened(path) as home:
        kept = remember(home, "An older memory.", "Ada")
        crashing(home, ("ledger", "commit"), lambda: remember(home, TEXT, "Bela"))
    sound(path)  # a crash is no intruder: also before the next opening
    with reopened(path) as home:
        assert home.loaded is not None
        assert home.loaded.discarded == 1
        assert list(listed(home)) == [kept]
        assert ask(home, "verify_site")["unacknowledged"] == 0
    sound(path)


def test_a_memory_with_its_receipt_is_there(path: Path) -> None:
    with reopened(path) as home:
        crashing(home, ("copy", "add"), lambda: remember(home, TEXT, "Bela"))
    with reopened(path) as home:
        assert list(listed(home).values()) == [TEXT]
    sound(path)


def test_of_one_request_all_memories_are_there_or_none(path: Path) -> None:
    many = [{"memory": f"{TEXT} {number}", "subjects": [f"S{number}"]} for number in range(50)]
    with reopened(path) as home:
        crashing(home, ("ledger", "commit"), lambda: ask(home, "add", memories=many))
    with reopened(path) as home:
        assert listed(home) == {}
        crashing(home, ("copy", "add"), lambda: ask(home, "add", memories=many))
    with reopened(path) as home:
        assert len(listed(home)) == 50


@pytest.mark.parametrize(
    "at",
    [("copy", "remove"), ("vault", "destroy"), ("stack", "remove")],
    ids=".".join,
)
def test_a_recorded_erasure_is_finished_at_the_next_opening(
    path: Path, at: tuple[str, str]
) -> None:
    with reopened(path) as home:
        kept = remember(home, "Cleo grows roses.", "Cleo")
        remember(home, TEXT, "Bela")
        shared = remember(home, "Bela and Cleo share a shed.", "Bela", "Cleo")
        crashing(home, at, lambda: ask(home, "forget", subject="Bela"))
    sound(path)
    with reopened(path) as home:
        assert list(listed(home)) == [kept]
        assert not home.node.keyring.knows("acme", "Bela")
        with pytest.raises(MemoryFabricError, match="no such memory"):
            ask(home, "get", id=shared, purpose="care")
    sound(path)
    with reopened(path) as home:  # and Bela may come back, as somebody new
        remember(home, TEXT, "Bela")
        assert TEXT in listed(home).values()
    with reopened(path) as home:
        assert TEXT in listed(home).values()


def test_an_erasure_without_its_receipt_erased_nothing(path: Path) -> None:
    with reopened(path) as home:
        remember(home, TEXT, "Bela")
        crashing(home, ("ledger", "commit"), lambda: ask(home, "forget", subject="Bela"))
    with reopened(path) as home:
        assert list(listed(home).values()) == [TEXT]
    sound(path)


def test_a_change_of_label_between_stack_and_ledger_is_whole(path: Path) -> None:
    with reopened(path) as home:
        for number in range(3):
            remember(home, f"{TEXT} {number}", "Bela", consent="given")
        kept = remember(home, "Cleo grows roses.", "Cleo")
        change = {"consent": "withdrawn"}
        crashing(
            home,
            ("ledger", "commit"),
            lambda: ask(home, "label_set", subject="Bela", change=change),
        )
    sound(path)
    with reopened(path) as home:
        assert home.loaded is not None
        assert home.loaded.adopted == 3
        assert list(listed(home)) == [kept]
    sound(path)


@pytest.mark.parametrize(
    "change", [{"consent": "withdrawn"}, {"expires_at": "2040-01-01T00:00:00Z"}], ids=str
)
def test_a_full_disk_in_the_middle_of_a_change_is_got_over_without_reopening(
    path: Path, change: dict[str, str]
) -> None:
    """A failed commit once left the record one version ahead: the retry changed nothing, or made
    the home one that could not be opened.
    """
    with reopened(path) as home:
        name = remember(home, TEXT, "Bela", consent="given")
        mend = breaking(home, "ledger", "commit", disk_full)
        for _ in range(2):
            with pytest.raises(Unavailable):
                ask(home, "label_set", id=name, change=change)
        with pytest.raises(Unavailable):
            remember(home, "Not acknowledged.", "Cleo")
        with pytest.raises(Unavailable):
            ask(home, "forget", subject="Bela")
        mend()
        assert ask(home, "verify_site")["damaged"] == []
        assert ask(home, "label_set", id=name, change=change)["changed"] == 1
        verified = ask(home, "verify_site")
        assert (verified["records"], verified["unacknowledged"]) == (1, 0)
        remember(home, "Cleo grows roses.", "Cleo")
    with reopened(path) as home:
        withdrawn = change.get("consent") == "withdrawn"
        assert (TEXT in listed(home).values()) is not withdrawn
        assert "Cleo grows roses." in listed(home).values()
    sound(path)


def test_a_full_disk_in_the_middle_of_an_erasure_is_got_over(path: Path) -> None:
    with reopened(path) as home:
        remember(home, TEXT, "Bela")
        mend = breaking(home, "stack", "remove", disk_full)
        with pytest.raises(Unavailable):
            ask(home, "forget", subject="Bela")
        assert recalled(home, "tulips")["results"] == []
        mend()
        remember(home, "Cleo grows roses.", "Cleo")
        verified = ask(home, "verify_site")
        assert (verified["records"], verified["unacknowledged"]) == (1, 0)
        assert list(listed(home).values()) == ["Cleo grows roses."]
    sound(path)


SCRUBBING = [
    ("stack", "compact"), ("keyring", "renew_epoch"), ("ledger", "scrub"), ("ledger", "commit"),
]  # fmt: skip


def scrubs(home: Home) -> list[list[str]]:
    """The erasures that each recorded scrub completes, newest first."""
    return [
        item["request"]["erasures"]
        for item in home.node.ledger.receipts(None, 9, Wanted(act="scrub"))
    ]


@pytest.mark.parametrize("at", SCRUBBING, ids=".".join)
def test_a_scrub_that_is_cut_short_is_ended_by_the_next_command(
    path: Path, at: tuple[str, str]
) -> None:
    with reopened(path) as home:
        kept = remember(home, "Cleo grows roses.", "Cleo")
        remember(home, TEXT, "Bela")
        blob = home.node.stack.fetch([row.rid for row in home.node.copy.of_subject("acme", "Bela")])
    with suppress(Crash), reopened(path) as home:
        erased = ask(home, "forget", subject="Bela")
        setattr(getattr(home.node, at[0]), at[1], crash)  # and the command ends in it
    sound(path)
    with reopened(path) as home:
        assert scrubs(home) == []
        assert list(listed(home)) == [kept]
    with reopened(path) as home:
        assert scrubs(home) == [[erased["receipt"]]]
        assert list(listed(home)) == [kept]
    assert not [file for file in files_of(path) if blob[0].blob[-40:] in file.read_bytes()]
    sound(path)


@pytest.mark.parametrize("at", SCRUBBING, ids=".".join)
def test_a_disk_in_the_way_of_a_scrub_is_told_and_got_over(path: Path, at: tuple[str, str]) -> None:
    with reopened(path) as home:
        remember(home, TEXT, "Bela")
        erased = ask(home, "forget", subject="Bela")
        part = getattr(home.node, at[0])
        real = getattr(part, at[1])
        setattr(part, at[1], disk_full)
        home.upkeep.settle()
        setattr(part, at[1], real)
        told = {job["job"]: job for job in ask(home, "status")["upkeep"]}["scrub after erasure"]
        assert told["failed"]["error"] == "ledger-unwritable"
        assert recalled(home, "tulips")["results"] == []
    with reopened(path) as home:
        assert scrubs(home) == [[erased["receipt"]]]
    sound(path)


def test_a_removal_that_power_loss_took_back_is_done_again(path: Path) -> None:
    """Removing syncs nothing by itself: the ledger has said already that the record is gone."""
    with suppress(Crash), reopened(path) as home:
        kept = remember(home, "Cleo grows roses.", "Cleo")
        remember(home, TEXT, "Bela", id="one")
        for scope in ({"id": "one"}, {"subject": "Bela"}, {"subject": "Dora"}):
            ask(home, "forget", **scope)
        home.node.stack.compact = crash
    newest = min((path / "stack" / "memories.lance" / "_versions").glob("*.manifest"))
    newest.write_bytes(b"")
    sound(path)  # what came back was acknowledged by nobody
    with reopened(path) as home:
        assert home.loaded is not None
        assert home.loaded.discarded == 1
        assert list(listed(home)) == [kept]
    sound(path)


def test_a_version_that_power_loss_tore_is_stepped_over_after_an_erasure(path: Path) -> None:
    """The erasure's compaction had cleaned away the version that the ledger calls durable."""
    with reopened(path) as home:
        kept = remember(home, "Cleo grows roses.", "Cleo")
        remember(home, TEXT, "Bela")
        ask(home, "forget", subject="Bela")
        crashing(home, ("ledger", "commit"), lambda: remember(home, TEXT, "Dora"))
    newest = min((path / "stack" / "memories.lance" / "_versions").glob("*.manifest"))
    newest.write_bytes(b"")
    with reopened(path) as home:
        assert list(listed(home)) == [kept]
    sound(path)


def test_nothing_goes_out_whose_receipt_cannot_be_written(path: Path) -> None:
    with reopened(path) as home:
        remember(home, TEXT, "Bela")
        breaking(home, "ledger", "commit", disk_full)
        for asked in (
            lambda: recalled(home, "tulips"),
            lambda: listed(home),
        ):
            with pytest.raises(Unavailable):
                asked()


def test_a_home_that_is_cut_short_in_the_making_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "fra-1"
    making = {"site_id": "fra-1", "region": "DE", "tenants": ["acme"]}
    with monkeypatch.context() as patch:
        patch.setattr(LanceStack, "create", crash)
        with pytest.raises(Crash):
            create_home(path, **making)
        assert not path.exists()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(HomeError, match="no site home"):
        reopened(path)
    create_home(path, **making)
    sound(path)


def test_a_bundle_that_is_cut_short_in_being_taken_over_is_taken_over_again(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two renames stood between the old copy and the new: a crash between them closed the home."""
    rules = path / "bundle" / "policies" / "packs" / "home.cedar"
    rules.write_text(rules.read_text() + "\n// Reviewed.\n")
    real = os.rename

    def stop_at_the_second(source: Path, target: Path) -> None:
        if source.name.endswith(".new"):
            raise Crash
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", stop_at_the_second)
        with pytest.raises(Crash):
            reopened(path)
    with reopened(path) as home:
        assert ask(home, "status")["bundle"]["crossing"]
    assert (path / "bundle" / "validated" / "packs" / "home.cedar").read_text() == rules.read_text()
    sound(path)


def test_a_denied_erasure_leaves_all_as_it_was(path: Path) -> None:
    with reopened(path) as home:
        name = remember(home, TEXT, "Bela")
        ask(home, "label_set", id=name, change={"legal_hold": True})
        with suppress(Denied):
            ask(home, "forget", subject="Bela")
        assert list(listed(home).values()) == [TEXT]
    sound(path)
