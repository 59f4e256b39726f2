"""Guarantee 2: whoever edits files at rest is seen, and no edit makes a site give a wrong answer.

Each edit is judged twice: by ``site verify``, and by opening the home and recalling. Edits that
alter what a site may answer must be reported with exit code 5. An edit of bytes that nothing
depends on may go unreported, and then every answer must be as it was.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import lance
import lancedb
import pyarrow as pa
import pytest

from memory_fabric.core.errors import HomeError, IntegrityViolated, MemoryFabricError
from tests.system.homes import ask, cli, files_of, listed, recalled, remember, reopened, site

Edit = Callable[[Path], object]
QUERY = "Which flower grows in the garden?"


@dataclass(frozen=True)
class Intact:
    """A home as its site left it, an older copy, what it answers, and an id whose consent is
    withdrawn now, and was not then.
    """

    path: Path
    older: Path
    answers: object
    withdrawn: str


def answers_of(path: Path) -> object:
    """Everything that the site can be asked, receipts and their times aside."""
    with reopened(path) as home:
        found = recalled(home, QUERY, top_k=50)["results"]
        return listed(home), found, ask(home, "classes_list")


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> Intact:
    folder = tmp_path_factory.mktemp("intact")
    path, older = site(folder, "fra-1", "DE"), folder / "older"
    with reopened(path) as home:
        for number in range(12):
            remember(home, f"Flower {number} grows in the garden of plot {number}.", f"P{number}")
        ask(home, "label_set", subject="P3", change={"data_class": "secret"})
        ask(home, "app_add", name="ward", purposes=["care"])
        withdrawn = next(name for name, text in listed(home).items() if "plot 4" in text)
    shutil.copytree(path, older)
    with reopened(path) as home:
        remember(home, "A late flower in the garden.", "P20", consent="given")
        ask(home, "label_set", subject="P4", change={"consent": "withdrawn"})
        ask(home, "forget", subject="P5")
        remember(home, "The last flower of the garden.", "P21")
    return Intact(path, older, answers_of(path), withdrawn)


@pytest.fixture
def path(intact: Intact, tmp_path: Path) -> Iterator[Path]:
    """A copy to be edited, at the place that its roster knows."""
    backup = tmp_path / "backup"
    shutil.copytree(intact.path, backup)
    yield intact.path
    shutil.rmtree(intact.path)
    shutil.copytree(backup, intact.path)


def reported(path: Path) -> list[str]:
    """What ``site verify`` names; it must find something, and exit with 5."""
    run = cli(path, "site", "verify")
    assert run.code == 5, run.out + run.err
    found = run.json
    return [item["file"] for item in found["damaged"]] if "exit_code" not in found else [
        *found["damaged"]
    ]  # fmt: skip


def never_wrong(path: Path, intact: Intact) -> None:
    """Opening and recalling fail with a named error, or answer as before."""
    try:
        answers = answers_of(path)
    except MemoryFabricError:
        return
    assert answers == intact.answers


# --- the ledger ---------------------------------------------------------------------------------


def sql(*statements: str) -> Edit:
    def edit(path: Path) -> None:
        with closing(sqlite3.connect(path / "ledger.db")) as database, database:
            for statement in statements:
                assert database.execute(statement).rowcount != 0, statement

    return edit


LEDGER: dict[str, Edit] = {
    "a receipt deleted": sql("DELETE FROM receipt WHERE leaf=4"),
    "the last receipt deleted": sql(
        "DELETE FROM receipt WHERE leaf=(SELECT max(leaf) FROM receipt)"
    ),
    "a receipt edited": sql("UPDATE receipt SET body=replace(body,'done','denied') WHERE leaf=3"),
    "an erasure's act edited": sql("UPDATE receipt SET act='recall' WHERE act='erase'"),
    "a record struck from the catalog": sql(
        "DELETE FROM catalog WHERE rid=(SELECT rid FROM catalog WHERE version=1 LIMIT 1)"
    ),
    "a record's newest version struck from the catalog": sql("DELETE FROM catalog WHERE version=2"),
    "an erased record brought back": sql(
        "UPDATE catalog SET removed_at=NULL WHERE removed_at IS NOT NULL"
    ),
    "a record marked as removed": sql(
        "UPDATE catalog SET removed_at=999 WHERE rid=(SELECT min(rid) FROM catalog)"
    ),
    "a digest edited": sql(
        "UPDATE catalog SET digest=zeroblob(32) WHERE rid=(SELECT min(rid) FROM catalog)"
    ),
    "an app's grant edited": sql("UPDATE app SET body=replace(body,'false','true')"),
}


@pytest.mark.parametrize("edit", LEDGER.values(), ids=LEDGER.keys())
def test_an_edited_ledger_is_named(path: Path, intact: Intact, edit: Edit) -> None:
    edit(path)
    assert "ledger.db" in reported(path)
    assert cli(path, "receipts", "verify").code == 5
    never_wrong(path, intact)


# --- whole files --------------------------------------------------------------------------------


def newest(path: Path, pattern: str) -> Path:
    return sorted(path.glob(pattern))[0]


def rolled_back(*names: str) -> Callable[[Path, Intact], object]:
    def edit(path: Path, intact: Intact) -> None:
        for name in names:
            here, old = path / name, intact.older / name
            if here.is_dir():
                shutil.rmtree(here)
                shutil.copytree(old, here)
            else:
                for journal in here.parent.glob(f"{here.name}-*"):
                    journal.unlink()
                shutil.copyfile(old, here)

    return edit


def cut(pattern: str) -> Callable[[Path, Intact], object]:
    def edit(path: Path, _: Intact) -> None:
        file = newest(path, pattern)
        file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    return edit


def gone(pattern: str) -> Callable[[Path, Intact], object]:
    return lambda path, _: newest(path, pattern).unlink()


def replaced(name: str, old: str, new: str) -> Callable[[Path, Intact], object]:
    def edit(path: Path, _: Intact) -> None:
        text = (path / name).read_text()
        assert old in text
        (path / name).write_text(text.replace(old, new, 1))

    return edit


def keys_deleted(path: Path, _: Intact) -> None:
    with closing(sqlite3.connect(path / "keys" / "keyring.db")) as database, database:
        assert database.execute("DELETE FROM keys WHERE kind<>'epoch'").rowcount > 1


def key_swapped(path: Path, _: Intact) -> None:
    with closing(sqlite3.connect(path / "keys" / "keyring.db")) as database, database:
        (first, one), (second, two) = database.execute(
            "SELECT id, wrapped FROM keys WHERE kind<>'epoch' LIMIT 2"
        ).fetchall()
        database.execute("UPDATE keys SET wrapped=? WHERE id=?", [two, first])
        database.execute("UPDATE keys SET wrapped=? WHERE id=?", [one, second])


FILES: dict[str, tuple[Callable[[Path, Intact], object], str]] = {
    "ledger rolled back alone": (rolled_back("ledger.db"), "ledger.db"),
    "stack rolled back alone": (rolled_back("stack"), "stack"),
    "keyring rolled back alone": (rolled_back("keys/keyring.db"), ""),
    "ledger and stack rolled back": (rolled_back("ledger.db", "stack"), "ledger.db"),
    "anchor rolled back and ledger too": (
        rolled_back("ledger.db", "keys/ledger.checkpoint"), "stack",
    ),
    "anchor edited": (replaced("keys/ledger.checkpoint", '"size":', '"size":1'), "checkpoint"),
    "anchor deleted": (gone("keys/ledger.checkpoint"), "checkpoint"),
    "roster edited": (replaced("roster.json", '"DE"', '"FR"'), "roster.json"),
    "roster cut": (cut("roster.json"), "roster.json"),
    "ledger cut": (cut("ledger.db"), "ledger.db"),
    "keyring cut": (cut("keys/keyring.db"), "keyring"),
    "keys deleted": (keys_deleted, "keyring"),
    "keys swapped": (key_swapped, "keyring"),
    "data cut": (cut("stack/*/data/*.lance"), "stack"),
    "data deleted": (gone("stack/*/data/*.lance"), "stack"),
    "manifest cut": (cut("stack/*/_versions/*.manifest"), "stack"),
    "manifest deleted": (gone("stack/*/_versions/*.manifest"), "stack"),
}  # fmt: skip


@pytest.mark.parametrize(("edit", "named"), FILES.values(), ids=FILES.keys())
def test_a_file_replaced_cut_or_deleted_is_named(
    path: Path, intact: Intact, edit: Callable[[Path, Intact], object], named: str
) -> None:
    edit(path, intact)
    assert any(named in item for item in reported(path))
    never_wrong(path, intact)


@pytest.mark.parametrize("part", ["ledger.db", "roster.json", "keys/keyring.db", "stack"])
def test_a_part_that_is_gone_is_named(path: Path, part: str) -> None:
    target = path / part
    shutil.rmtree(target) if target.is_dir() else target.unlink()
    assert part in reported(path)
    with pytest.raises(HomeError, match=part):
        reopened(path)


def test_another_root_key_is_a_wrong_key(path: Path) -> None:
    (path / "keys" / "root.key").write_bytes(bytes(range(32)))
    for words in (("site", "verify"), ("recall", QUERY, "--purpose", "care", "--all-subjects")):
        run = cli(path, *words)
        assert (run.code, run.json["code"]) == (1, "root-key-wrong")


# --- records ------------------------------------------------------------------------------------


def rows_of(path: Path) -> pa.Table:
    return lance.dataset(path / "stack" / "memories.lance").to_table()


def overwrite(path: Path, rows: pa.Table) -> None:
    table = lancedb.connect(path / "stack").open_table("memories")
    merge = table.merge_insert("rid").when_matched_update_all().when_not_matched_insert_all()
    merge.execute(rows)


def with_column(rows: pa.Table, name: str, values: list[object]) -> pa.Table:
    at = rows.schema.get_field_index(name)
    return rows.set_column(
        at, rows.schema.field(name), pa.array(values, rows.schema.field(name).type)
    )


def blobs_swapped(path: Path, _: Intact) -> None:
    rows = rows_of(path)
    blobs = rows["blob"].to_pylist()
    overwrite(path, with_column(rows, "blob", [blobs[1], blobs[0], *blobs[2:]]))


def ids_swapped(path: Path, _: Intact) -> None:
    rows = rows_of(path)
    rids = rows["rid"].to_pylist()
    overwrite(path, with_column(rows, "rid", [rids[1], rids[0], *rids[2:]]))


def byte_in_a_blob(path: Path, _: Intact) -> None:
    rows = rows_of(path)
    blobs = rows["blob"].to_pylist()
    blobs[2] = blobs[2][:-1] + bytes([blobs[2][-1] ^ 1])
    overwrite(path, with_column(rows, "blob", blobs))


def version_raised(path: Path, _: Intact) -> None:
    rows = rows_of(path)
    overwrite(path, with_column(rows, "version", [v + 1 for v in rows["version"].to_pylist()]))


def record_deleted(path: Path, _: Intact) -> None:
    table = lancedb.connect(path / "stack").open_table("memories")
    table.delete(f"rid = X'{rows_of(path)['rid'].to_pylist()[0].hex()}'")


def older_label(path: Path, intact: Intact) -> None:
    """The record of the memory whose consent was withdrawn later: still sealed, still openable."""
    now = {row["rid"]: row for row in rows_of(path).to_pylist()}
    old = rows_of(intact.older)
    stale = [
        row["rid"] in now and row["version"] < now[row["rid"]]["version"] for row in old.to_pylist()
    ]
    assert any(stale)
    overwrite(path, old.filter(pa.array(stale)))


RECORDS = [
    blobs_swapped, ids_swapped, byte_in_a_blob, version_raised, record_deleted, older_label,
]  # fmt: skip


@pytest.mark.parametrize("edit", RECORDS)
def test_an_exchanged_record_is_named(
    path: Path, intact: Intact, edit: Callable[[Path, Intact], object]
) -> None:
    edit(path, intact)
    assert any(item.startswith("stack") for item in reported(path))
    with pytest.raises(IntegrityViolated):
        reopened(path)


def test_an_erased_record_put_back_answers_nothing(path: Path, intact: Intact) -> None:
    kept = {row["rid"] for row in rows_of(path).to_pylist()}
    old = rows_of(intact.older)
    overwrite(path, old.filter(pa.array([rid not in kept for rid in old["rid"].to_pylist()])))
    assert answers_of(path) == intact.answers
    assert {row["rid"] for row in rows_of(path).to_pylist()} == kept
    assert cli(path, "site", "verify").code == 0


def test_a_record_this_site_never_sealed_is_named(path: Path) -> None:
    rows = rows_of(path)
    stranger = with_column(rows.slice(0, 1), "rid", [bytes(16)])
    overwrite(path, stranger)
    assert f"stack/{bytes(16).hex()}" in reported(path)


def test_the_end_of_a_manifest_is_looked_at(path: Path) -> None:
    """Lance reads a version whose manifest ends otherwise than it should, and cannot write on."""
    [newest] = (path / "stack" / "memories.lance" / "_versions").glob("*.manifest")
    newest.write_bytes(newest.read_bytes()[:-1] + b"D")
    assert reported(path) == [f"stack/memories.lance/_versions/{newest.name}"]


def test_a_running_site_serves_no_older_version_of_a_record(path: Path, intact: Intact) -> None:
    """An older version opens with this site's keys, and once it did, with the consent of then."""
    with reopened(path) as home:
        older_label(path, intact)
        remember(home, "A new flower in the garden.", "P30")  # the site meets the edited table
        for operation, params in (
            ("get", {"id": intact.withdrawn, "purpose": "care"}),
            ("label_set", {"id": intact.withdrawn, "change": {"legal_hold": True}}),
            ("forget", {"id": intact.withdrawn}),
        ):
            with pytest.raises(IntegrityViolated) as seen:
                ask(home, operation, **params)
            assert seen.value.code == "record-altered"
        assert ask(home, "verify_site")["damaged"]


def test_a_running_site_shows_no_record_that_lies_in_another_s_place(path: Path) -> None:
    """A record is read by its place in a file; what stands there must be the record."""
    with reopened(path) as home:
        data = path / "stack" / "memories.lance" / "data"
        written = []
        for number in (41, 42):
            before = set(data.iterdir())
            remember(home, f"Flower {number} grows in the garden of plot {number}.", f"P{number}")
            written += set(data.iterdir()) - before
        first, second = written
        contents = first.read_bytes(), second.read_bytes()
        assert len(contents[0]) == len(contents[1])
        for file, content in zip(written, reversed(contents), strict=True):
            file.write_bytes(content)
        with pytest.raises(IntegrityViolated) as seen:
            recalled(home, QUERY, subject="P41")
        assert seen.value.code == "record-damaged"
        assert recalled(home, QUERY, subject="P7")["results"]


# --- any byte -----------------------------------------------------------------------------------


def flips(folder: Path, each: int) -> list[tuple[Path, int]]:
    """Some places of every sealed file; where more than one each, also its first and last."""
    chance = random.Random(7)  # noqa: S311 - places, not secrets
    chosen: list[tuple[Path, int]] = []
    named = [folder / "ledger.db", folder / "roster.json", folder / "keys" / "ledger.checkpoint"]
    for file in [*files_of(folder / "stack"), folder / "keys" / "keyring.db", *named]:
        size = file.stat().st_size
        places = {chance.randrange(size) for _ in range(each)}
        places |= {chance.randrange(max(0, size - 400), size) for _ in range(each // 2)}
        places |= {0, size - 1} if each > 1 else set()
        chosen += [(file, place) for place in sorted(places)]
    return chosen


def flipped(path: Path, intact: Intact, each: int) -> None:
    missed = []
    for file, place in flips(path, each):
        content = bytearray(file.read_bytes())
        kept = bytes(content)
        content[place] ^= 1 << (place % 8)
        snapshot = path.with_name("snapshot")
        shutil.copytree(path, snapshot)
        file.write_bytes(content)
        run = cli(path, "site", "verify")
        if run.code != 5:
            try:
                same = run.code == 0 and answers_of(path) == intact.answers
            except MemoryFabricError as error:
                same = error.exit_code == 5
            if not same:
                missed.append((str(file.relative_to(path)), place, run.code))
        else:
            try:
                wrong = answers_of(path) != intact.answers
            except MemoryFabricError:
                wrong = False
            if wrong:
                missed.append((str(file.relative_to(path)), place, run.code))
        assert file.exists() or kept
        shutil.rmtree(path)
        snapshot.rename(path)
    assert missed == []


def test_a_flipped_bit_is_reported_or_changes_no_answer(path: Path, intact: Intact) -> None:
    flipped(path, intact, 1)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_many_flipped_bits_are_reported_or_change_no_answer(path: Path, intact: Intact) -> None:
    flipped(path, intact, 8)


def test_the_receipts_name_what_was_done(path: Path) -> None:
    """The watch would be worth nothing if an untouched home were reported."""
    run = cli(path, "site", "verify")
    assert (run.code, run.json["damaged"]) == (0, [])
    assert json.loads(cli(path, "receipts", "verify").out)["damaged"] == []
