"""Snapshots, right, and wrong in one way each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.conformance.second_reader import PIECE
from tests.conformance.second_writer import (
    Frozen,
    Json,
    drawn,
    error,
    flipped,
)


def frozen(*sizes: int) -> Frozen:
    """A snapshot with parts of these sizes."""
    names = ("own/rows", "own/vectors.npy", "leased/rows", "versions")
    return Frozen(parts=tuple((names[at], drawn(size, names[at])) for at, size in enumerate(sizes)))


def snapshot(name: str, given: Frozen, expect: Json | None = None, **changed: Any) -> Json:
    """One snapshot as a vector; the bytes of its files where they are not as they should be."""
    digests = {part: hashlib.sha256(content).hexdigest() for part, content in given.parts}
    return {
        "name": name,
        "site": changed.get("site", given.site),
        "id": changed.get("id", given.id).hex(),
        "key": changed.get("key", given.key).hex(),
        "manifest": changed.get("manifest", given.manifest()).hex(),
        "chunks": changed.get("chunks", b"".join(given.pieces())).hex(),
        "expect": expect or {"opens": {"manifest": given.told(), "parts": digests}},
    }


def snapshots() -> Iterator[Json]:
    """Small snapshots, right and wrong."""
    bad, good = error("snapshot-damaged"), frozen(60, 80, 0, 24)
    yield snapshot("whole", good)
    yield snapshot("no parts", frozen())
    yield snapshot("empty parts only", frozen(0, 0))
    yield snapshot("parts of one byte", frozen(1, 1, 1, 1))
    manifest, pieces = good.manifest(), good.pieces()
    chunks = b"".join(pieces)
    first, second, third = pieces
    for name, at in {
        "the magic": 3, "the id": 8, "the content": 30, "the tag": len(manifest) - 4,
    }.items():  # fmt: skip
        yield snapshot(f"manifest, a bit of {name}", good, bad, manifest=flipped(manifest, at))
    yield snapshot("manifest gone", good, bad, manifest=b"")
    yield snapshot("manifest cut to its magic", good, bad, manifest=manifest[:4])
    yield snapshot("manifest cut to its id", good, bad, manifest=manifest[:20])
    yield snapshot("manifest without its last byte", good, bad, manifest=manifest[:-1])
    yield snapshot("manifest with a byte more", good, bad, manifest=manifest + b"\0")
    yield snapshot("manifest of a later format", good, bad, manifest=b"MFS2" + manifest[4:])
    yield snapshot("manifest under another id", good, bad, id=b"i" * 16)
    yield snapshot("another key", good, bad, key=bytes(32))
    yield snapshot("another site", good, bad, site="lon-1")
    for name, at in {
        "the first chunk": 5, "the first tag": len(first) - 1, "the second chunk": len(first) + 5,
        "the last tag": len(chunks) - 1,
    }.items():  # fmt: skip
        yield snapshot(f"a bit of {name}", good, bad, chunks=flipped(chunks, at))
    yield snapshot("chunks gone", good, bad, chunks=b"")
    yield snapshot("chunks without their last byte", good, bad, chunks=chunks[:-1])
    yield snapshot("chunks with a byte more", good, bad, chunks=chunks + b"\0")
    yield snapshot("chunks twice", good, bad, chunks=chunks + chunks)
    yield snapshot("the first chunk left out", good, bad, chunks=second + third)
    yield snapshot("the last chunk left out", good, bad, chunks=first + second)
    same = frozen(32, 32)
    one, two = same.pieces()
    yield snapshot("two chunks of one length have changed places", same, bad, chunks=two + one)
    yield snapshot("a chunk in another's place", same, bad, chunks=one + one)
    stranger = replace(good, id=b"j" * 16)
    yield snapshot("chunks of another snapshot", good, bad, chunks=b"".join(stranger.pieces()))
    renamed = replace(good, parts=(("own/other", good.parts[0][1]), *good.parts[1:]))
    yield snapshot("chunks of a part of another name", good, bad, chunks=b"".join(renamed.pieces()))
    elsewhere = replace(good, site="lon-1")
    yield snapshot("chunks of another site", good, bad, chunks=b"".join(elsewhere.pieces()))
    name, content = good.parts[0]
    open_ended = good.chunk(0, name, 0, b"\0", content)
    yield snapshot(
        "a last chunk that says it is none", good, bad, chunks=open_ended + second + third
    )
    longer = replace(good, lengths=((name, 61), *((part, len(it)) for part, it in good.parts[1:])))
    yield snapshot("a part said to be longer", longer, bad)
    shorter = replace(good, lengths=((name, 59), *((part, len(it)) for part, it in good.parts[1:])))
    yield snapshot("a part said to be shorter", shorter, bad)
    fewer = replace(good, lengths=tuple((part, len(it)) for part, it in good.parts[:-1]))
    yield snapshot("a part that the manifest does not name", fewer, bad)
    more = tuple((part, len(it)) for part, it in good.parts)
    yield snapshot("a part that is not there", replace(good, lengths=(*more, ("own/x", 5))), bad)


def long_snapshots() -> Iterator[Json]:
    """Snapshots with parts of several chunks: too long to be kept as files."""
    bad, good = error("snapshot-damaged"), frozen(2 * PIECE + 5, PIECE, 7)
    a, b, c, d, e = good.pieces()
    yield snapshot("several chunks", good)
    yield snapshot("chunks of a part have changed places", good, bad, chunks=b + a + c + d + e)
    yield snapshot(
        "whole chunks of two parts have changed places", good, bad, chunks=d + b + c + a + e
    )
    yield snapshot("a chunk in the middle left out", good, bad, chunks=a + c + d + e)
    yield snapshot("a chunk repeated", good, bad, chunks=a + a + c + d + e)
    yield snapshot("cut at the end of a chunk", good, bad, chunks=a + b + c + d)
    name, content = good.parts[0]
    lengths = ((name, PIECE), *((part, len(it)) for part, it in good.parts[1:]))
    yield snapshot(
        "a part cut to a whole chunk", replace(good, lengths=lengths), bad, chunks=a + d + e
    )
    early = good.chunk(0, name, 0, b"\1", content[:PIECE])
    yield snapshot("a chunk that says it is the last", good, bad, chunks=early + b + c + d + e)
