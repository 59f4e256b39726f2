"""Many callers at once: each gets its own answer, and what was acknowledged stands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from memory_fabric.adapters.lance import LanceStack
from memory_fabric.core.errors import MemoryFabricError
from memory_fabric.wiring import Home
from tests.system.homes import ask, listed, recalled, remember, reopened, site


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return site(tmp_path, "fra-1", "DE")


def at_once(*acts: Callable[[], object]) -> list[object]:
    """What each of the acts gave, or the error it ended with."""
    together = threading.Barrier(len(acts))

    def run(act: Callable[[], object]) -> object:
        together.wait()
        try:
            return act()
        except MemoryFabricError as error:
            return error

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(run, acts))


def test_writers_share_commits_and_each_has_its_own_receipt(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    write = LanceStack.write

    def counted(stack: LanceStack, records: Sequence[object]) -> int:
        writes.append(len(records))
        return write(stack, records)  # type: ignore[arg-type]  # records of any kind are counted

    monkeypatch.setattr(LanceStack, "write", counted)
    with reopened(path) as home:
        texts = [f"Note {number} about the garden." for number in range(48)]
        answers = at_once(
            *(
                lambda text=text: ask(home, "add", memories=[{"memory": text, "subjects": ["Ada"]}])
                for text in texts
            )
        )
        receipts = {answer["receipt"] for answer in answers}  # type: ignore[index]
        ids = [answer["results"][0]["id"] for answer in answers]  # type: ignore[index]
        assert len(receipts) == 48
        assert sum(writes) == 48
        assert len(writes) < 48
        assert [listed(home)[name] for name in ids] == texts
        assert ask(home, "verify_site")["damaged"] == []
    with reopened(path) as home:
        assert sorted(listed(home).values()) == sorted(texts)


def test_who_asks_for_what_cannot_be_fails_alone(path: Path) -> None:
    with reopened(path) as home:
        remember(home, "The first.", "Ada", id="taken")

        def add(*memories: dict[str, object]) -> Callable[[], object]:
            return lambda: ask(home, "add", memories=list(memories))

        def memory(text: str, **fields: object) -> dict[str, object]:
            return {"memory": text, "subjects": ["Bela"], **fields}

        answers = at_once(
            *(add(memory(f"Fine {number}.")) for number in range(6)),
            *(add(memory("Nobody's."), memory("The second.", id="taken")) for _ in range(3)),
            *(add(memory("One of these.", id="wanted")) for _ in range(4)),
            add({"memory": "About nobody."}),
            add(memory(" ")),
        )
        errors = [answer for answer in answers if isinstance(answer, MemoryFabricError)]
        assert sorted(error.code for error in errors) == [
            *["id-duplicate"] * 6, "subject-missing", "text-empty",
        ]  # fmt: skip
        rows = sorted(error.details["row"] for error in errors if error.code == "id-duplicate")
        assert rows == [0, 0, 0, 1, 1, 1]
        assert len({error.details["receipt"] for error in errors}) == len(errors)
    with reopened(path) as home:
        expected = ["The first.", "One of these.", *(f"Fine {number}." for number in range(6))]
        assert sorted(listed(home).values()) == sorted(expected)


def test_readers_share_commits_too(path: Path) -> None:
    with reopened(path) as home:
        remember(home, "Tulips bloom in April.", "Ada")
        answers = at_once(*(lambda: recalled(home, "tulips") for _ in range(24)))
        receipts = {answer["receipt"] for answer in answers}  # type: ignore[index]
        assert len(receipts) == 24
        assert all(len(answer["results"]) == 1 for answer in answers)  # type: ignore[index]
        assert ask(home, "verify_site")["damaged"] == []


SUBJECTS = ("Ada", "Bela", "Cleo")
ACTS = st.tuples(
    st.sampled_from(["remember", "remember", "relabel", "forget", "forget one"]),
    st.sampled_from(SUBJECTS),
)


@given(st.lists(st.lists(ACTS, min_size=2, max_size=6), min_size=1, max_size=3))
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_is_done_at_once_what_was_acknowledged_stands(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[str, str]]]
) -> None:
    """In each round acts run at once; those on the same subject may fall either way. What is there
    afterwards is the same before and after reopening, and is what the answers say.
    """
    path = site(tmp_path_factory.mktemp("at-once"), "fra-1", "DE")
    with reopened(path) as home:
        kept: dict[str, tuple[str, str]] = {}  # id: text, subject
        for number, acts in enumerate(rounds):
            answers = at_once(
                *(act(home, what, who, f"{number}-{at}") for at, (what, who) in enumerate(acts))
            )
            gone = {who for what, who in acts if what == "forget"}
            for at, ((what, who), answer) in enumerate(zip(acts, answers, strict=True)):
                if what == "remember":
                    assert not isinstance(answer, MemoryFabricError)
                    kept[f"m-{number}-{at}"] = f"Text {number}-{at}", who
                elif what == "forget one" and not isinstance(answer, MemoryFabricError):
                    assert kept.pop(f"kept-{who}", None)
            there = stored(home)
            for name, (text, who) in list(kept.items()):
                if name in there:
                    assert there[name] == text
                else:  # only an erasure of its subject in this round takes it away
                    assert who in gone
                    del kept[name]
            assert there.keys() == kept.keys()
            for who in SUBJECTS:
                if f"kept-{who}" not in kept:
                    remember(home, f"Kept of {who}", who, id=f"kept-{who}")
                    kept[f"kept-{who}"] = f"Kept of {who}", who
        before = stored(home)
        assert ask(home, "verify_site")["damaged"] == []
    with reopened(path) as home:
        assert stored(home) == before == {name: text for name, (text, _) in kept.items()}
        assert ask(home, "verify_site")["damaged"] == []


def act(home: Home, what: str, who: str, name: str) -> Callable[[], object]:
    match what:
        case "remember":
            return lambda: remember(home, f"Text {name}", who, id=f"m-{name}")
        case "relabel":
            return lambda: ask(home, "label_set", subject=who, change={"legal_hold": False})
        case "forget":
            return lambda: ask(home, "forget", subject=who)
        case _:
            return lambda: ask(home, "forget", id=f"kept-{who}")


def stored(home: Home) -> dict[str, str]:
    """What recall gives of each subject, by id."""
    return {
        result["id"]: result["memory"]
        for who in SUBJECTS
        for result in recalled(home, "text", subject=who, top_k=100)["results"]
    }
