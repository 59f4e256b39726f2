"""One's own data in and out: files of every format, run again, interrupted, and out of mem0."""

from __future__ import annotations

import json
import pickle
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from memory_fabric.wiring import Home, RowFile
from tests.system.homes import cli, listed, recalled, remember, reopened, site

MEM0 = Path(__file__).parent / "mem0_store"
"""Written by mem0 2.2.1 with its default vector store: two people and a desk."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return site(tmp_path, "fra-1", "DE")


@pytest.fixture
def home(path: Path) -> Iterator[Home]:
    with reopened(path) as opened:
        yield opened


def rows(folder: Path, count: int = 3, **more: object) -> Path:
    file = folder / "rows.jsonl"
    lines = [{"memory": f"Note {number}.", "subjects": ["Anna"], **more} for number in range(count)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return file


@pytest.mark.parametrize("suffix", ["jsonl", "csv", "parquet", "arrow"])
def test_what_is_saved_is_remembered_again_with_its_label(
    tmp_path: Path, path: Path, suffix: str
) -> None:
    with reopened(path) as home:
        remember(home, "Prefers tea; or, rarely, coffee.", "Anna, née Muster", "Ben",
                 metadata={"source": "call"},
                 label={"data_class": "secret",
                        "consent": "given", "expires_at": "2035-01-01T00:00:00Z"})  # fmt: skip
        remember(home, "Öffnet um neun.", label={"personal": False})
        known = listed(home)
    file = tmp_path / f"mine.{suffix}"
    saved = cli(path, "save", str(file), "--purpose", "care", "--all-subjects")
    assert (saved.code, saved.json["rows"], saved.json["left_out"]) == (0, 2, 0)
    assert file.stat().st_mode & 0o777 == 0o600

    again = site(tmp_path, "par-1", "FR")
    assert cli(again, "remember", "--from", str(file)).json["remembered"] == 2
    with reopened(again) as home:
        assert listed(home) == known
        found = recalled(home, "tea", subject="Anna, née Muster")["results"][0]
        assert found["metadata"] == {"source": "call"}
        assert found["subjects"] == ["Anna, née Muster", "Ben"]
        assert found["expires_at"] == "2035-01-01T00:00:00+00:00"


def test_an_import_that_is_run_again_changes_nothing(tmp_path: Path, path: Path) -> None:
    file = rows(tmp_path)
    first = cli(path, "remember", "--from", str(file)).json
    again = cli(path, "remember", "--from", str(file))
    assert (first["remembered"], first["present"]) == (3, 0)
    assert (again.code, again.json["remembered"], again.json["present"]) == (0, 0, 3)
    with reopened(path) as home:
        assert len(listed(home)) == 3


def test_an_import_that_was_interrupted_goes_on(tmp_path: Path, path: Path) -> None:
    whole = rows(tmp_path, 1100).read_text().splitlines(keepends=True)
    half = tmp_path / "half.jsonl"
    half.write_text("".join(whole[:500]))
    assert cli(path, "remember", "--from", str(half)).json["remembered"] == 500
    done = cli(path, "remember", "--from", str(tmp_path / "rows.jsonl")).json
    assert (done["remembered"], done["present"]) == (600, 500)


def test_rows_that_are_alike_are_all_kept(tmp_path: Path, path: Path) -> None:
    file = tmp_path / "alike.jsonl"
    file.write_text(3 * (json.dumps({"memory": "Tea.", "subjects": ["Anna"]}) + "\n"))
    assert cli(path, "remember", "--from", str(file)).json["remembered"] == 3
    assert cli(path, "remember", "--from", str(file)).json["present"] == 3


def test_ids_of_an_import_tell_nothing_of_what_was_imported(tmp_path: Path) -> None:
    file = rows(tmp_path)
    names = []
    for name, region in (("fra-1", "DE"), ("par-1", "FR")):
        home = site(tmp_path, name, region)
        cli(home, "remember", "--from", str(file))
        with reopened(home) as opened:
            names.append(set(listed(opened)))
    assert not names[0] & names[1]


def test_what_is_said_of_the_label_counts_for_rows_that_say_nothing(
    tmp_path: Path, path: Path
) -> None:
    file = tmp_path / "calls.csv"
    file.write_text("memory,subject,consent\nTea.,Anna,\nCoffee.,,given\n")
    done = cli(path, "remember", "--from", str(file), "--subject", "Ben", "--purpose", "care")
    assert done.json["remembered"] == 2
    with reopened(path) as home:
        assert recalled(home, "tea", subject="Anna")["results"]
        assert [item["memory"] for item in recalled(home, "x", subject="Ben")["results"]] == [
            "Coffee."
        ]


@pytest.mark.parametrize("kind", ["stream", "file"])
def test_arrow_comes_as_a_stream_or_as_a_file(tmp_path: Path, path: Path, kind: str) -> None:
    file = tmp_path / "rows.arrow"
    table = pa.table({"memory": ["Tea.", "Coffee."], "subjects": [["Anna"], ["Ben", "Cem"]]})
    made = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    with made(file, table.schema) as writer:
        writer.write_table(table)
    assert cli(path, "remember", "--from", str(file)).json["remembered"] == 2


def test_saving_goes_on_where_it_was_interrupted(tmp_path: Path, path: Path) -> None:
    cli(path, "remember", "--from", str(rows(tmp_path, 250)))
    file = tmp_path / "mine.jsonl"
    made = RowFile(file)
    with reopened(path) as home:
        from tests.system.homes import ask

        page = ask(home, "own_page", purpose="care", all_subjects=True, cursor=None)
    made.add(page["rows"], page["cursor"])
    made.close()
    with (tmp_path / ".mine.jsonl.partial").open("ab") as torn:
        torn.write(b'{"id": "half a li')
    assert cli(path, "save", str(file), "--purpose", "care", "--all-subjects").json["rows"] == 250
    ids = [json.loads(line)["id"] for line in file.read_text().splitlines()]
    assert len(set(ids)) == 250
    assert sorted(item.name for item in tmp_path.glob(".mine*")) == []
    assert cli(path, "save", str(file), "--purpose", "care", "--all-subjects").code == 2


def test_what_policy_does_not_release_is_not_saved(tmp_path: Path, path: Path) -> None:
    with reopened(path) as home:
        remember(home, "Fraud note.", "Anna", label={"purposes": ["fraud"]})
    file = tmp_path / "mine.jsonl"
    assert cli(path, "save", str(file), "--purpose", "care", "--all-subjects").json["rows"] == 0
    assert cli(path, "save", str(tmp_path / "b.jsonl"), "--purpose", "care").code == 2


def test_mem0s_memories_are_taken_over(path: Path) -> None:
    done = cli(path, "remember", "--from", "mem0", "--store", str(MEM0), "--purpose", "care")
    assert done.code == 1
    assert (done.json["remembered"], done.json["failed"]) == (3, 1)
    assert [item["code"] for item in done.json["problems"]] == ["subject-missing"]  # the desk's
    desk = cli(path, "remember", "--from", "mem0", "--store", str(MEM0), "--subject", "the desk")
    assert (desk.code, desk.json["remembered"], desk.json["present"]) == (0, 1, 3)
    with reopened(path) as home:
        found = recalled(home, "calls", subject="anna-muster")["results"]
        assert {item["memory"] for item in found} == {"Prefers calls before nine.", "Has two cats."}
        assert found[0]["metadata"]["topic"] == "calls"
        ben = recalled(home, "bicycle", subject="ben-beispiel")["results"][0]
        assert ben["expires_at"] == "2030-01-31T23:59:59+00:00"


def test_a_pickle_in_a_store_runs_nothing(tmp_path: Path, path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "touched",))

    store = tmp_path / "store"
    shutil.copytree(MEM0, store)
    with sqlite3.connect(store / "collection" / "mem0" / "storage.sqlite") as database:
        database.execute("INSERT INTO points VALUES ('a', ?)", (pickle.dumps(Evil()),))
    done = cli(path, "remember", "--from", "mem0", "--store", str(store), "--subject", "x")
    assert [item["code"] for item in done.json["problems"]] == ["row-malformed"]
    assert not (tmp_path / "touched").exists()


def test_a_place_without_a_store_is_named(tmp_path: Path, path: Path) -> None:
    done = cli(path, "remember", "--from", "mem0", "--store", str(tmp_path))
    assert (done.code, done.json["code"]) == (2, "file-unreadable")
