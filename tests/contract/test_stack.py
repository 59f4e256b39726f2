"""What every stack keeps, and what the LanceDB one keeps on its disk."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from memory_fabric.adapters.lance import TIDY_EVERY, LanceStack
from memory_fabric.core.errors import HomeError, IntegrityViolated, Unavailable
from memory_fabric.core.ports import Stack
from memory_fabric.core.records import SealedRecord
from tests.fakes.stack import MemoryStack


def a_record(version: int = 1, rid: bytes | None = None, size: int = 900) -> SealedRecord:
    return SealedRecord(rid or secrets.token_bytes(16), version, 1, secrets.token_bytes(size))


def content(stack: Stack) -> dict[bytes, SealedRecord]:
    return {record.rid: record for batch in stack.scan() for record in batch}


def as_written(*records: SealedRecord) -> dict[bytes, SealedRecord]:
    return {record.rid: record for record in records}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "stack"


@pytest.fixture(params=["memory", "lance"])
def stack(request: pytest.FixtureRequest, home: Path) -> Stack:
    return MemoryStack() if request.param == "memory" else LanceStack.create(home)


class TestEveryStack:
    def test_is_empty_at_first(self, stack: Stack) -> None:
        assert content(stack) == {}
        assert stack.fetch([secrets.token_bytes(16)]) == []

    def test_gives_back_what_was_written_in_the_order_asked(self, stack: Stack) -> None:
        first, second, third = (a_record() for _ in range(3))
        stack.write([first, second])
        stack.write([third])
        unknown = secrets.token_bytes(16)
        assert stack.fetch([third.rid, unknown, first.rid]) == [third, first]
        assert content(stack) == as_written(first, second, third)

    def test_replaces_and_adds_in_one_write(self, stack: Stack) -> None:
        old, other, new = a_record(), a_record(), a_record()
        stack.write([old, other])
        changed = a_record(version=2, rid=old.rid)
        stack.write([changed, new])
        assert stack.fetch([old.rid, other.rid, new.rid]) == [changed, other, new]
        assert content(stack) == as_written(changed, other, new)

    def test_refuses_a_record_twice_in_one_write(self, stack: Stack) -> None:
        record = a_record()
        with pytest.raises(ValueError, match="twice"):
            stack.write([record, record])
        assert content(stack) == {}

    def test_removes_and_ignores_unknown_ids(self, stack: Stack) -> None:
        gone, kept = a_record(), a_record()
        stack.write([gone, kept])
        stack.remove([gone.rid, secrets.token_bytes(16)])
        assert stack.fetch([gone.rid, kept.rid]) == [kept]
        assert content(stack) == as_written(kept)

    def test_tells_the_version_of_every_record(self, stack: Stack) -> None:
        kept, changed, gone = a_record(), a_record(), a_record()
        stack.write([kept, changed, gone])
        stack.write([a_record(2, changed.rid)])
        stack.remove([gone.rid])
        rids, versions = stack.versions()
        found = {
            rids[2 * at : 2 * at + 16]: int.from_bytes(versions[at : at + 8], "little")
            for at in range(0, len(versions), 8)
        }
        assert found == {kept.rid: 1, changed.rid: 2}

    def test_versions_grow_with_every_change(self, stack: Stack) -> None:
        record = a_record()
        versions = [stack.version, stack.write([record])]
        versions += [stack.write([a_record(2, record.rid)]), stack.remove([record.rid])]
        assert versions == sorted(set(versions))
        assert stack.version == versions[-1]
        assert stack.write([]) == stack.remove([record.rid]) == versions[-1]

    def test_a_removed_id_can_be_written_again(self, stack: Stack) -> None:
        record = a_record()
        stack.write([record])
        stack.remove([record.rid])
        again = a_record(version=3, rid=record.rid)
        stack.write([again])
        assert stack.fetch([record.rid]) == [again]

    def test_fetches_what_is_in_force_after_every_kind_of_change(self, stack: Stack) -> None:
        records = [a_record(size=40 + 7 * number) for number in range(60)]
        for start in range(0, 60, 15):
            stack.write(records[start : start + 15])
        changed = [a_record(2, record.rid) for record in records[::4]]
        stack.write(changed)
        stack.remove([record.rid for record in records[1::4]])
        expected = as_written(*records) | as_written(*changed)
        for record in records[1::4]:
            del expected[record.rid]
        asked = [record.rid for record in reversed(records)]
        in_force = [expected[rid] for rid in asked if rid in expected]
        assert stack.fetch(asked) == in_force
        stack.compact()
        assert stack.fetch(asked) == in_force
        again = a_record(3, changed[0].rid)
        stack.write([again])
        assert stack.fetch([again.rid, changed[1].rid]) == [again, changed[1]]

    def test_an_id_asked_twice_is_answered_twice(self, stack: Stack) -> None:
        one, two = a_record(), a_record()
        stack.write([one, two])
        assert stack.fetch([two.rid, one.rid, two.rid]) == [two, one, two]
        assert stack.fetch([]) == []

    def test_compaction_changes_no_record(self, stack: Stack) -> None:
        records = [a_record() for _ in range(300)]
        stack.write(records[:200])
        stack.write(records[200:])
        stack.remove([record.rid for record in records[::7]])
        stack.compact()
        kept = [record for index, record in enumerate(records) if index % 7]
        assert content(stack) == as_written(*kept)
        assert stack.fetch([record.rid for record in kept]) == kept

    def test_a_scan_outlives_writing_removing_and_compacting(self, stack: Stack) -> None:
        records = [a_record(size=50) for _ in range(5000)]
        stack.write(records)
        scan = stack.scan()
        seen = next(scan)
        stack.remove([record.rid for record in records[:4000]])
        stack.compact()
        stack.write([a_record()])
        seen += [record for batch in scan for record in batch]
        assert as_written(*seen) == as_written(*records)


class TestOnDisk:
    def test_readers_find_every_record_while_others_write_and_compact(self, home: Path) -> None:
        stack = LanceStack.create(home)
        records = [a_record(size=100) for _ in range(200)]
        stack.write(records)

        def change() -> None:
            for number in range(40):
                added = a_record(size=100)
                stack.write([added])
                stack.remove([added.rid])
                if number % 8 == 0:
                    stack.compact()

        def read() -> None:
            for _ in range(60):
                assert stack.fetch([record.rid for record in records[::9]]) == records[::9]
                assert content(stack).keys() >= {record.rid for record in records}

        with ThreadPoolExecutor(3) as pool:
            for done in [pool.submit(work) for work in (change, read, read)]:
                done.result()

    def test_is_there_again_after_reopening(self, home: Path) -> None:
        stack = LanceStack.create(home)
        records = [a_record() for _ in range(20)]
        stack.write(records)
        stack.remove([records[0].rid])
        version = stack.version
        again = LanceStack(home, durable=version)
        assert again.version == version
        assert len(again) == 19
        assert again.fetch([record.rid for record in records]) == records[1:]

    def test_a_missing_or_second_stack_is_an_error_of_the_home(self, home: Path) -> None:
        with pytest.raises(HomeError) as missing:
            LanceStack(home)
        assert missing.value.code == "stack-missing"
        assert not home.exists()
        LanceStack.create(home)
        with pytest.raises(HomeError) as second:
            LanceStack.create(home)
        assert second.value.code == "stack-exists"

    def test_a_removed_record_s_bytes_are_gone_after_compaction(self, home: Path) -> None:
        stack = LanceStack.create(home)
        records = [a_record() for _ in range(500)]
        stack.write(records)
        erased, replaced = records[7], records[8]
        stack.remove([erased.rid])
        stack.write([a_record(version=2, rid=replaced.rid)])
        assert occurs(home, records[9].blob)
        assert occurs(home, erased.blob)
        stack.compact()
        assert occurs(home, records[9].blob)
        for old in (erased, replaced):
            assert not occurs(home, old.blob)
            assert not occurs(home, old.blob[400:440])

    def test_compaction_gets_past_a_writer_that_was_there_in_between(self, home: Path) -> None:
        stack = LanceStack.create(home)
        fragments = [[a_record(size=60) for _ in range(3000)] for _ in range(3)]
        for records in fragments:
            stack.write(records)
        erased = [records[5] for records in fragments]
        stack.remove([record.rid for record in erased])
        left = [
            records[6] for records in fragments
        ]  # one of each fragment, removed before its turn

        def meddle() -> bool:
            if left:
                stack.write([a_record(size=60)])
                stack.remove([left.pop().rid])
            return False

        assert stack.compact(meddle)
        assert not any(occurs(home, record.blob) for record in erased)
        assert len(content(stack)) == 3 * 3000 + 3 - 6
        kept = fragments[1][7:]
        assert stack.fetch([record.rid for record in kept]) == kept
        assert content(LanceStack(home)) == content(stack)

    def test_a_writer_that_never_rests_does_not_keep_compaction_from_ending(
        self, home: Path
    ) -> None:
        stack = LanceStack.create(home)
        records = [a_record() for _ in range(50)]
        stack.write(records)
        stack.remove([records[0].rid])

        def write_on() -> bool:
            stack.write([a_record()])
            stack.write([a_record()])
            return False

        assert stack.compact(write_on)
        assert not occurs(home, records[0].blob)

    def test_compaction_can_be_given_up_and_begun_again(self, home: Path) -> None:
        stack = LanceStack.create(home)
        records = [a_record() for _ in range(50)]
        stack.write(records)
        stack.remove([records[0].rid])
        assert not stack.compact(lambda: True)
        assert content(stack) == as_written(*records[1:])
        assert occurs(home, records[0].blob)
        assert stack.compact()
        assert not occurs(home, records[0].blob)

    def test_compaction_says_when_a_reader_keeps_the_old_bytes(self, home: Path) -> None:
        stack = LanceStack.create(home)
        records = [a_record(size=200) for _ in range(3000)]
        stack.write(records)
        scan = stack.scan()
        next(scan)
        stack.remove([records[0].rid])
        assert not stack.compact()
        assert occurs(home, records[0].blob)
        assert sum(len(batch) for batch in scan) > 0
        assert not occurs(home, records[0].blob)  # gone with the reader
        assert stack.compact()

    def test_clutter_grows_with_single_writes_and_goes_with_tidying(self, home: Path) -> None:
        stack = LanceStack.create(home)
        records = [a_record(size=100) for _ in range(TIDY_EVERY)]
        for record in records:
            stack.write([record])
        assert stack.clutter >= 1
        assert LanceStack(home).clutter >= 1  # it does not depend on who wrote
        assert stack.tidy()
        assert stack.clutter < 1
        assert LanceStack(home).clutter < 1
        assert content(stack) == as_written(*records)

    def test_what_no_version_names_is_collected_and_nothing_else(self, home: Path) -> None:
        stack = LanceStack.create(home)
        records = [a_record() for _ in range(3)]
        for record in records:
            stack.write([record])
        data = home / "memories.lance" / "data"
        orphan = data / f"{'01' * 16}.lance"
        shutil.copy(next(data.iterdir()), orphan)
        unnamed = data / ".tmpXc0Pe1"  # what Lance was writing when it died
        unnamed.write_bytes(b"half a record")
        stack.collect()
        assert not orphan.exists()
        assert not unnamed.exists()
        assert content(LanceStack(home)) == as_written(*records)

    def test_a_file_that_another_is_writing_is_not_synced_before_it_has_its_name(
        self, home: Path
    ) -> None:
        """Fragments are rewritten beside writers; such a file is gone when it would be synced."""
        stack = LanceStack.create(home)
        kept = a_record()
        stack.write([kept])
        (home / "memories.lance" / "data" / ".tmpXc0Pe1").symlink_to("gone by now")
        stack.write([a_record()])
        assert stack.fetch([kept.rid]) == [kept]

    def test_thousands_of_single_adds_stay_in_few_files(self, home: Path) -> None:
        stack = LanceStack.create(home)
        records = [a_record(size=100) for _ in range(2 * TIDY_EVERY + 5)]
        for record in records:
            stack.write([record])
        assert sum(1 for path in home.rglob("*") if path.is_file()) < 3 * TIDY_EVERY
        assert content(stack) == as_written(*records)
        assert stack.fetch([record.rid for record in records]) == records

    def test_every_new_file_and_folder_is_synced_before_a_write_returns(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stack = LanceStack.create(home)
        before = all_files(home)
        synced: set[str] = set()
        real = os.fsync

        def watched(descriptor: int) -> None:
            synced.add(os.readlink(f"/proc/self/fd/{descriptor}"))
            real(descriptor)

        monkeypatch.setattr(os, "fsync", watched)
        stack.write([a_record()])
        new = all_files(home) - before
        assert len(new) >= 3
        assert {str(path) for path in new} <= synced
        assert {str(path.parent) for path in new} <= synced

    def test_no_file_stays_open_that_compaction_took_away(self, home: Path) -> None:
        stack = LanceStack.create(home)
        records = [a_record() for _ in range(50)]
        stack.write(records)
        assert stack.fetch([records[0].rid]) == records[:1]
        stack.remove([records[0].rid])
        stack.compact()
        eventually(
            lambda: (
                not [
                    name
                    for name in held_open()
                    if name.startswith(str(home)) and "(deleted)" in name
                ]
            )
        )


def held_open() -> list[str]:
    """The files that this process has open."""
    found = []
    for path in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found.append(os.readlink(path))
    return found


def eventually(holds: Callable[[], bool]) -> None:
    """Lance's threads let go of a file a little later than its reader does."""
    for _ in range(100):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it does not come to hold")


class TestDisk:
    def test_that_fails_once_is_written_no_more_until_reopened(
        self, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stack = LanceStack.create(home)
        kept = a_record()
        durable = stack.write([kept])

        def fail(descriptor: int) -> None:
            raise OSError(errno.EIO, "input/output error")

        with monkeypatch.context() as failing:
            failing.setattr(os, "fsync", fail)
            unwritable(stack)
        unwritable(stack)
        assert stack.fetch([kept.rid]) == [kept]
        again = LanceStack(home, durable=durable)
        later = a_record()
        again.write([later])
        assert again.fetch([kept.rid, later.rid]) == [kept, later]


def unwritable(stack: LanceStack) -> None:
    with pytest.raises(Unavailable) as refused:
        stack.write([a_record()])
    assert refused.value.code == "stack-unwritable"


class TestCrash:
    """Power lost before a version was synced: newer than durable, and torn."""

    @pytest.mark.parametrize("torn", ["_versions", "data"])
    @pytest.mark.parametrize("left", [0, 60])
    def test_a_torn_newer_version_is_stepped_over(self, home: Path, torn: str, left: int) -> None:
        stack = LanceStack.create(home)
        kept = a_record()
        durable = stack.write([kept])
        before = all_files(home)
        stack.write([a_record()])
        for path in all_files(home) - before:
            if path.parent.name == torn and path.suffix != ".json":
                os.truncate(path, left)
        reopened = LanceStack(home, durable=durable)
        assert content(reopened) == as_written(kept)
        later = a_record()
        reopened.write([later])
        assert content(LanceStack(home)) == as_written(kept, later)

    def test_a_whole_newer_version_stays(self, home: Path) -> None:
        stack = LanceStack.create(home)
        durable = stack.write([a_record()])
        stack.write([a_record()])
        assert len(LanceStack(home, durable=durable)) == 2

    def test_a_torn_durable_version_is_damage(self, home: Path) -> None:
        stack = LanceStack.create(home)
        stack.write([a_record()])
        before = all_files(home)
        durable = stack.write([a_record()])
        for path in all_files(home) - before:
            os.truncate(path, 0)
        with pytest.raises(IntegrityViolated) as seen:
            LanceStack(home, durable=durable)
        assert seen.value.code == "stack-damaged"

    def test_a_stack_rolled_back_is_seen(self, home: Path, tmp_path: Path) -> None:
        stack = LanceStack.create(home)
        stack.write([a_record()])
        shutil.copytree(home, tmp_path / "old")
        durable = stack.write([a_record()])
        with pytest.raises(IntegrityViolated) as seen:
            LanceStack(tmp_path / "old", durable=durable)
        assert seen.value.code == "stack-rolled-back"


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def garble_end(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-48] + secrets.token_bytes(48))


# A version's manifest that is missing altogether is a rollback: see TestCrash.
HARMS = [
    (folder, harm)
    for folder in ("data", "_deletions", "_versions")
    for harm in (cut, empty, garble_end, Path.unlink)
    if (folder, harm) != ("_versions", Path.unlink)
]


class TestDamage:
    @pytest.mark.parametrize(("folder", "harm"), HARMS)
    def test_is_an_integrity_error_that_names_the_file(
        self, home: Path, folder: str, harm: Callable[[Path], None]
    ) -> None:
        stack = LanceStack.create(home)
        records = [a_record() for _ in range(50)]
        stack.write(records)
        stack.remove([records[0].rid])
        stack.compact()
        stack.remove([records[1].rid])
        victim = min((home / "memories.lance" / folder).iterdir())
        harm(victim)
        with pytest.raises(IntegrityViolated) as seen:
            content(LanceStack(home))
        assert seen.value.code == "stack-damaged"
        assert str(home) not in seen.value.what
        named = home.parent / seen.value.details["damaged"][0]
        assert named == victim or (folder == "_versions" and named.parent == victim.parent)

    def test_under_a_running_site_is_seen_by_the_next_fetch(self, home: Path) -> None:
        stack = LanceStack.create(home)
        records = [a_record() for _ in range(50)]
        stack.write(records[:25])
        stack.write(records[25:])
        assert stack.fetch([records[30].rid]) == [records[30]]
        victim = max((home / "memories.lance" / "data").iterdir(), key=os.path.getmtime)
        empty(victim)
        with pytest.raises(IntegrityViolated) as seen:
            stack.fetch([records[3].rid, records[30].rid])
        assert seen.value.code == "stack-damaged"
        assert seen.value.details["damaged"] == [str(victim.relative_to(home.parent))]
        assert stack.fetch([records[3].rid]) == [records[3]]

    def test_a_flipped_byte_never_ends_in_a_foreign_error(self, home: Path) -> None:
        stack = LanceStack.create(home)
        records = [a_record(size=300) for _ in range(8)]
        stack.write(records)
        stack.compact()
        victim = next((home / "memories.lance" / "data").iterdir())
        good = victim.read_bytes()
        for at in range(0, len(good), max(1, len(good) // 150)):
            victim.write_bytes(good[:at] + bytes([good[at] ^ 0x55]) + good[at + 1 :])
            named = ""
            try:
                again = LanceStack(home)
                content(again)
                again.fetch([record.rid for record in records])
            except IntegrityViolated as error:
                named = error.details["damaged"][0]
            assert named in ("", str(victim.relative_to(home.parent)))


def all_files(home: Path) -> set[Path]:
    return {path for path in home.rglob("*") if path.is_file()}


def occurs(home: Path, needle: bytes) -> bool:
    return any(needle in path.read_bytes() for path in all_files(home))
