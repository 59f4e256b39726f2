"""A snapshot, for any parts: it comes back whole, in its own place, under its own key, or not."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.vault import snapshot
from memory_fabric.vault.binding import TAG_BYTES
from memory_fabric.vault.snapshot import Manifest, SnapshotKey, SnapshotSealer, snapshot_id

SMALL = 32
"""Bytes of a chunk in these tests, so that little parts have many."""
WHOLE = SMALL + TAG_BYTES

OF = Manifest("e" * 64, 384, 3, size=7, root=b"r" * 32, stack_version=9, rows=2)

Parts = list[tuple[str, bytes]]
parts_of_any_size = st.lists(
    st.tuples(st.text(max_size=8), st.binary(max_size=4 * SMALL)), max_size=5
)
several_chunks = st.lists(
    st.tuples(st.sampled_from(["rows", "vectors"]), st.binary(min_size=SMALL, max_size=4 * SMALL)),
    min_size=2,
    max_size=4,
)


@pytest.fixture(autouse=True, scope="module")
def small_chunks() -> Iterable[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(snapshot, "CHUNK_BYTES", SMALL)
        yield


class Sealed:
    """A sealed snapshot as it lies on disk, and its key."""

    def __init__(self, parts: Parts, site: str = "fra-1") -> None:
        self.key = SnapshotKey.new()
        sealer = SnapshotSealer(site, self.key)
        self.chunks = [bytes(chunk) for chunk in sealer.seal(parts)]
        self.manifest = sealer.seal_manifest(replace(OF, parts=sealer.parts))

    def opened(
        self,
        chunks: bytes | None = None,
        manifest: bytes | None = None,
        site: str = "fra-1",
        key: SnapshotKey | None = None,
    ) -> Parts:
        opener = SnapshotSealer(site, key or self.key)
        told = opener.open_manifest(self.manifest if manifest is None else manifest)
        source = io.BytesIO(b"".join(self.chunks) if chunks is None else chunks)
        return [(name, bytes(part)) for name, part in opener.open(told, source.read)]

    def refuses(self, chunks: bytes | None = None, **changed: object) -> bool:
        with pytest.raises(IntegrityViolated) as refused:
            self.opened(chunks, **changed)  # type: ignore[arg-type]
        (file,) = refused.value.details["damaged"]
        return refused.value.code == "snapshot-damaged" and file.startswith("snapshot/")


@given(parts_of_any_size)
def test_what_was_sealed_comes_back_whole(parts: Parts) -> None:
    sealed = Sealed(parts)
    assert sealed.opened() == parts
    told = SnapshotSealer("fra-1", sealed.key).open_manifest(sealed.manifest)
    assert replace(told, parts=()) == OF
    assert told.sealed_bytes == len(b"".join(sealed.chunks))


@given(several_chunks, st.data())
def test_every_flipped_bit_is_seen(parts: Parts, data: st.DataObject) -> None:
    sealed = Sealed(parts)
    for name, whole in (("chunks", b"".join(sealed.chunks)), ("manifest", sealed.manifest)):
        at = data.draw(st.integers(0, len(whole) - 1))
        changed = bytearray(whole)
        changed[at] ^= 1 << data.draw(st.integers(0, 7))
        assert sealed.refuses(**{name: bytes(changed)})


@given(several_chunks, st.data())
def test_every_cut_and_every_extra_byte_is_seen(parts: Parts, data: st.DataObject) -> None:
    sealed = Sealed(parts)
    for name, whole in (("chunks", b"".join(sealed.chunks)), ("manifest", sealed.manifest)):
        assert sealed.refuses(**{name: whole[: data.draw(st.integers(0, len(whole) - 1))]})
        assert sealed.refuses(**{name: whole + data.draw(st.binary(min_size=1, max_size=WHOLE))})


@given(several_chunks, st.data())
def test_no_chunk_can_be_moved_repeated_or_left_out(parts: Parts, data: st.DataObject) -> None:
    sealed = Sealed(parts)
    places = range(len(sealed.chunks))
    other = data.draw(st.lists(st.sampled_from(places), max_size=len(places) + 2))
    if other != list(places):
        assert sealed.refuses(b"".join(sealed.chunks[place] for place in other))


@given(several_chunks, st.data())
def test_nothing_of_another_snapshot_is_taken(parts: Parts, data: st.DataObject) -> None:
    one, two = Sealed(parts), Sealed(parts)
    mixed = list(one.chunks)
    place = data.draw(st.integers(0, len(mixed) - 1))
    mixed[place] = two.chunks[place]
    assert one.refuses(b"".join(mixed))
    assert one.refuses(manifest=two.manifest)
    assert one.refuses(site="lon-1")
    assert one.refuses(key=replace(one.key, key=two.key.key))
    renamed = two.manifest.replace(snapshot_id(two.manifest), one.key.id)
    assert one.refuses(manifest=renamed)
    with pytest.raises(IntegrityViolated):
        one.opened(manifest=renamed, key=replace(two.key, id=one.key.id))


@given(several_chunks)
def test_nothing_of_the_parts_stands_readable(parts: Parts) -> None:
    sealed = Sealed([(f"name of {name}", part) for name, part in parts])
    lying = b"".join(sealed.chunks) + sealed.manifest
    assert b"name of" not in lying
    assert not any(part[at : at + 8] in lying for _, part in parts for at in range(0, 24, 8))


def test_a_key_seals_one_snapshot() -> None:
    sealer = SnapshotSealer("fra-1", SnapshotKey.new())
    list(sealer.seal([("rows", b"x")]))
    with pytest.raises(ValueError, match="one snapshot"):
        list(sealer.seal([("rows", b"y")]))
