"""What users of other memory layers complained of, each held here as a regression test.

What they complained of deleting is in ``tests/conformance/test_deletion_complaints.py``.
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from memory_fabric.core.errors import MemoryFabricError
from memory_fabric.wiring import Home
from tests.system.homes import ask, cli, listed, recalled, remember, reopened, site


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return site(tmp_path, "fra-1", "DE")


@pytest.fixture
def home(path: Path) -> Iterator[Home]:
    with reopened(path) as opened:
        yield opened


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
