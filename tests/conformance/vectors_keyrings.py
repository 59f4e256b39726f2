"""Keyrings, right, and wrong in one way each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.conformance.second_reader import DESTROYED, SUBJECT, Row
from tests.conformance.second_writer import (
    ADA,
    BELA,
    GONE,
    MANY,
    RING,
    SITE,
    Json,
    Ring,
    a_key,
    drawn,
    error,
    flipped,
    pack,
)


def holds(ring: Ring) -> Json:
    """What a reader finds in a keyring."""
    keys = [key for keys in ring.packs for key in keys]
    return {
        "opens": {
            "epoch": ring.epoch,
            "secrets": {name: value for name, (value, _) in ring.secrets.items()},
            "keys": [
                [
                    key.tenant,
                    key.subject if key.kind == SUBJECT else None,
                    key.id.hex(),
                    key.key.hex(),
                ]
                for key in keys
                if key.kind != DESTROYED
            ],
            "destroyed": [key.id.hex() for key in keys if key.kind == DESTROYED],
        }
    }


def keyrings() -> Iterator[Json]:
    """Keyrings, right and wrong."""
    bad, rows, right = error("keyring-damaged"), RING.rows(), holds(RING)
    head, secrets, *packs = rows
    content = head[3][:-32]
    told = 2 + int.from_bytes(content[:2], "big")

    def vector(
        name: str, rows: list[Row], expect: Json, site: str = SITE, root: bytes = b""
    ) -> Json:
        return {
            "name": name,
            "site": site,
            "root_key": (root or RING.root_key).hex(),
            "rows": [[row[0].hex(), row[1], row[2], row[3].hex()] for row in rows],
            "expect": expect,
        }

    def changed(at: int, **new: Any) -> list[Row]:
        names = ["id", "kind", "epoch", "wrapped"]
        row = tuple({**dict(zip(names, rows[at], strict=True)), **new}.values())
        return [*rows[:at], row, *rows[at + 1 :]]  # type: ignore[list-item]

    small = replace(RING, packs=(), secrets={"table": RING.secrets["table"]}, epoch=1)
    yield vector("whole", rows, right)
    yield vector("rows in another order", rows[::-1], right)
    yield vector("no keys but the table key, first epoch", small.rows(), holds(small))
    yield vector("an empty pack", (r := replace(RING, packs=((),))).rows(), holds(r))
    yield vector("a destroyed key alone", (r := replace(RING, packs=((GONE,),))).rows(), holds(r))
    full = tuple(a_key(SUBJECT, "acme", "long name " * 20 + str(n)) for n in range(8))
    yield vector("long names", (r := replace(RING, packs=(full,))).rows(), holds(r))
    nobody = replace(RING, epoch=2**40)
    yield vector("an epoch beyond 32 bits", nobody.rows(), holds(nobody))

    yield vector("empty", [], error("keyring-missing"))
    yield vector("another root key", rows, error("root-key-wrong"), root=bytes(range(32)))
    yield vector("another site", rows, error("root-key-wrong"), site="lon-1")
    yield vector("without the epoch key", rows[1:], bad)
    yield vector("two epoch keys", [*rows, replace(RING, epoch_id=b"F" * 16).head()], bad)
    yield vector("without the secrets", [head, *packs], bad)
    yield vector(
        "secrets twice", [*rows, RING.row("secrets", b'{"escrow":null,"secrets":{}}')], bad
    )
    yield vector("a row of an unknown kind", [*rows, RING.row("notes", b"{}")], bad)
    yield vector(
        "no table key", replace(RING, secrets={"signing": RING.secrets["signing"]}).rows(), bad
    )
    for other in (1, 3, "2", None):
        ring = replace(RING, format=other)
        yield vector(f"format {other!r}", ring.rows(), error("keyring-format"))
    no_json = len(b"[").to_bytes(2, "big") + b"[" + content[told:]
    yield vector(
        "a header that is no JSON", [RING.summed(no_json), *rows[1:]], error("keyring-format")
    )
    for name, at in {
        "the length of the header": 1,
        "the header": told - 3,
        "the nonce": told + 2,
        "the wrapped key": told + 20,
        "the tag": len(content) - 1,
        "the checksum": len(content) + 4,
    }.items():
        yield vector(f"epoch key, a bit of {name}", changed(0, wrapped=flipped(head[3], at)), bad)
    yield vector("epoch key cut", changed(0, wrapped=head[3][:-1]), bad)
    yield vector("epoch key with a byte more", changed(0, wrapped=head[3] + b"\0"), bad)
    yield vector("epoch key, nothing left", changed(0, wrapped=b""), bad)
    yield vector("epoch key under another id", changed(0, id=b"F" * 16), bad)
    yield vector("epoch key under another number", changed(0, epoch=4), bad)
    turned = flipped(content, told + 20)
    yield vector(
        "epoch key, a bit of it, checksum made to fit", [RING.summed(turned), *rows[1:]],
        error("root-key-wrong"),
    )  # fmt: skip
    for at, of in ((1, "secrets"), (2, "pack")):
        wrapped = rows[at][3]
        for name, place in {"nonce": 3, "content": 40, "tag": len(wrapped) - 2}.items():
            yield vector(
                f"{of}, a bit of the {name}", changed(at, wrapped=flipped(wrapped, place)), bad
            )
        yield vector(f"{of} cut", changed(at, wrapped=wrapped[:-1]), bad)
        yield vector(f"{of} with a byte more", changed(at, wrapped=wrapped + b"\0"), bad)
        yield vector(f"{of}, nothing left", changed(at, wrapped=b""), bad)
        yield vector(f"{of}, a nonce and no more", changed(at, wrapped=wrapped[:12]), bad)
        yield vector(f"{of} under another id", changed(at, id=b"F" * 16), bad)
        yield vector(f"{of} in an older epoch", changed(at, epoch=2), bad)
    yield vector("a pack as secrets", changed(2, kind="secrets"), bad)
    yield vector("secrets as a pack", changed(1, kind="keys"), bad)
    swapped = [head, secrets, (*packs[0][:3], packs[1][3]), (*packs[1][:3], packs[0][3])]
    yield vector("two packs have changed places", swapped, bad)
    older = replace(RING, epoch=2, epoch_key=drawn(32, "older epoch key")).row("keys", pack((ADA,)))
    yield vector("a pack of an older epoch key", [head, secrets, older], bad)
    yield vector("a pack twice", [*rows, RING.row("keys", pack(RING.packs[0]), "twice")], bad)
    twin = replace(ADA, id=drawn(16, "twin"))
    yield vector("two keys of one subject", [*rows, RING.row("keys", pack((twin,)))], bad)
    namesake = replace(MANY[3], id=ADA.id)
    yield vector("two keys of one id", replace(RING, packs=((ADA, BELA), (namesake,))).rows(), bad)
    risen = replace(ADA, kind=DESTROYED)
    yield vector("a key beside its tombstone", [*rows, RING.row("keys", pack((risen,)))], bad)
    one = pack((ADA, BELA))
    yield vector("a pack that counts more keys than it has", _counting(one, 200), bad)
    yield vector("a pack of a kind that is none", _kinds(one, 9), bad)


def _counting(one: bytes, count: int) -> list[Row]:
    rows = replace(RING, packs=()).rows()
    return [*rows, RING.row("keys", count.to_bytes(4, "big") + one[4:])]


def _kinds(one: bytes, kind: int) -> list[Row]:
    rows = replace(RING, packs=()).rows()
    return [*rows, RING.row("keys", one[:4] + bytes([kind]) + one[5:])]
