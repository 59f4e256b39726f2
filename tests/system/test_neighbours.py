"""What users of other memory layers complained of, each held here as a regression test."""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from memory_fabric.core.errors import MemoryFabricError, NotFound
from memory_fabric.wiring import Home
from tests.system.homes import ask, cli, files_of, listed, recalled, remember, reopened, site


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return site(tmp_path, "fra-1", "DE")


@pytest.fixture
def home(path: Path) -> Iterator[Home]:
    with reopened(path) as opened:
        yield opened


def test_deleting_one_person_leaves_the_others(home: Home) -> None:
    """mem0 #3928: a delete wiped all users."""
    kept = [remember(home, f"Note {number} of Bela.", "Bela") for number in range(3)]
    remember(home, "Note of Ada.", "Ada")
    remember(home, "Note of Ada and Bela.", "Ada", "Bela")
    assert ask(home, "forget", subject="Ada")["erased"] == {"memories": 2, "keys": 1}
    assert set(listed(home)) == set(kept)


def test_what_is_deleted_is_found_by_nothing(path: Path) -> None:
    """mem0 #3695, cognee #3526: deleted, and still searchable."""
    text = "The violet umbrella stands in the hall."
    with reopened(path) as home:
        one = remember(home, text, "Ada")
        remember(home, text, "Bela")
        ask(home, "forget", subject="Bela")
        ask(home, "forget", id=one)
    for _ in range(2):
        with reopened(path) as home:
            assert recalled(home, text)["results"] == []
            assert recalled(home, text, subject="Bela")["results"] == []
            assert listed(home) == {}
            with pytest.raises(NotFound):
                ask(home, "get", id=one, purpose="care")
            assert ask(home, "status")["memories"] == 0


def test_the_bytes_of_what_is_deleted_leave_the_disk(path: Path) -> None:
    """LanceDB, Chroma and Qdrant leave deleted rows in their files; here even sealed ones go."""
    with reopened(path) as home:
        for number in range(40):
            remember(home, f"Note {number}.", f"S{number}")
        kept = {record.rid for batch in home.node.stack.scan() for record in batch}
        ask(home, "forget", subject="S7")
        left = {record.rid: record.blob for batch in home.node.stack.scan() for record in batch}
    (gone,) = kept - left.keys()
    stack = list(files_of(path / "stack"))
    assert any(next(iter(left.values()))[-64:] in file.read_bytes() for file in stack)
    assert not any(gone in file.read_bytes() for file in stack)


def test_a_name_is_found_however_it_was_typed(home: Home) -> None:
    """A composed and a decomposed accent are one person: erasing one must not miss the other."""
    composed, apart = (unicodedata.normalize(form, "Zoë Ångström") for form in ("NFC", "NFD"))
    assert composed != apart
    remember(home, "Note one.", composed)
    remember(home, "Note two.", f" {apart} ")
    assert len(recalled(home, "note", subject=apart)["results"]) == 2
    assert ask(home, "label_set", subject=apart, change={"expires_at": "2090-01-01T00:00:00Z"})
    assert ask(home, "forget", subject=apart)["erased"] == {"memories": 2, "keys": 1}
    assert listed(home) == {}


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        ("search", {"query": "note", "purpose": "care"}),
        ("search", {"query": "note", "purpose": "care", "subject": ""}),
        ("search", {"query": "note", "purpose": "care", "subject": "\t"}),
        ("search", {"query": "note", "all_subjects": True}),
        ("page", {"purpose": "care"}),
        ("page", {"purpose": "care", "subject": " "}),
        ("page", {"all_subjects": True}),
        ("get", {"id": "note"}),
        ("forget", {}),
        ("forget", {"subject": ""}),
        ("forget", {"subject": " "}),
        ("label_set", {"change": {"consent": "withdrawn"}}),
        ("label_set", {"subject": "  ", "change": {"consent": "withdrawn"}}),
    ],
)
def test_a_missing_scope_never_means_everything(
    home: Home, operation: str, params: dict[str, object]
) -> None:
    """memanto #1891, graphiti #632 #810 #1876: an empty scope failed open."""
    remember(home, "Note of Ada.", "Ada", id="note")
    with pytest.raises(MemoryFabricError) as error:
        ask(home, operation, **params)
    assert error.value.code in ("scope-missing", "purpose-missing")
    assert list(listed(home)) == ["note"]


def test_writes_from_many_threads_are_all_kept(path: Path) -> None:
    """mem0 #5553: write races."""
    threads, each = 8, 6
    start = threading.Barrier(threads)

    def work(home: Home, thread: int) -> list[str]:
        start.wait()
        kept = []
        for number in range(each):
            subject = f"S{thread}-{number}"
            kept.append(remember(home, f"Note {number} of thread {thread}.", subject, "Shared"))
            recalled(home, "note", subject="Shared")
            if number == 2:
                ask(home, "label_set", id=kept[-1], change={"data_class": "secret"})
            if number == 4:
                ask(home, "forget", subject=subject)
                kept.pop()
        return kept

    with reopened(path) as home:
        with ThreadPoolExecutor(threads) as pool:
            done = [pool.submit(work, home, thread) for thread in range(threads)]
            kept = {name for future in done for name in future.result()}
        assert len(kept) == threads * (each - 1)
        assert set(listed(home)) == kept
        verified = ask(home, "verify_site")
        assert (verified["damaged"], verified["records"]) == ([], len(kept))
    with reopened(path) as home:
        assert set(listed(home)) == kept
    assert cli(path, "site", "verify").code == 0


def test_one_id_from_many_threads_is_one_memory(home: Home) -> None:
    start = threading.Barrier(8)

    def work(number: int) -> bool:
        start.wait()
        try:
            remember(home, f"Note {number}.", "Ada", id="same")
        except MemoryFabricError as error:
            return error.code != "id-duplicate"
        return True

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 1
    assert list(listed(home)) == ["same"]


def test_an_erasure_reaches_the_tenant_s_other_sites_and_says_which_not(tmp_path: Path) -> None:
    """ai-memory-mcp #2673: an erasure missed the peers."""
    regions = {"fra-1": "DE", "par-1": "FR", "iad-1": "US", "muc-1": "DE"}
    paths = {name: site(tmp_path, name, region) for name, region in regions.items()}
    for name in ("par-1", "iad-1", "muc-1"):
        assert cli(paths["fra-1"], "site", "link", str(paths[name])).code == 0
    for path in paths.values():
        with reopened(path) as home:
            remember(home, "Note of Ada.", "Ada")
            remember(home, "Note of Bela.", "Bela")
    paths["muc-1"].rename(tmp_path / "away")
    told = cli(paths["fra-1"], "forget", "--subject", "Ada").json
    assert told["erased"] == {"memories": 1, "keys": 1}
    assert {item["site"]: item["erased"]["memories"] for item in told["elsewhere"]} == {"par-1": 1}
    assert [item["site"] for item in told["unreachable"]] == ["muc-1"]
    (held,) = told["withheld"]  # no rule lets the notice, personal data itself, go there
    assert held["site"] == "iad-1"
    assert all(rule["basis"] for rule in held["rules"])
    (tmp_path / "away").rename(paths["muc-1"])
    again = cli(paths["fra-1"], "forget", "--subject", "Ada").json
    assert {item["site"]: item["erased"]["memories"] for item in again["elsewhere"]} == {
        "par-1": 0, "muc-1": 1,
    }  # fmt: skip
    for name, expected in (("fra-1", 1), ("par-1", 1), ("muc-1", 1), ("iad-1", 2)):
        with reopened(paths[name]) as home:
            assert len(listed(home)) == expected
