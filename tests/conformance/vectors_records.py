"""Records, right, and wrong in one way each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tests.conformance.second_reader import SUBJECT, Record
from tests.conformance.second_writer import (
    ACME,
    ADA,
    AT,
    BELA,
    CLEO,
    GONE,
    MANY,
    OTHER,
    Json,
    Sealing,
    a_key,
    canonical,
    error,
    flipped,
)


def memory(number: int, tenant: str, subjects: tuple[str, ...], **fields: Any) -> Json:
    """A memory as JSON."""
    kind = {
        "home": "DE", "tenant": tenant, "data_class": "confidential", "personal": bool(subjects),
        "special": [], "purposes": ["care"], "consent": "given", "legal_hold": False,
    }  # fmt: skip
    return {
        "id": f"memory-{number}",
        "text": f"Tulip {number} blooms in April. 🌷",
        "embedder": "test/4",
        "label": {"class": kind, "expires_at": None, "subjects": list(subjects)},
        "memory_type": "semantic",
        "created_at": AT,
        "valid_at": None,
        "metadata": {"bed": number},
        **fields,
    }


def records() -> Iterator[Json]:
    """Records, right and wrong."""
    bad = error("record-damaged")

    def vector(name: str, record: Record, expect: Json) -> Json:
        return {
            "name": name,
            "rid": record.rid.hex(),
            "version": record.version,
            "epoch": record.epoch,
            "blob": record.blob.hex(),
            "expect": expect,
        }

    def right(name: str, sealing: Sealing, told: Json) -> Json:
        sealing = replace(sealing, text=canonical(told))
        found = {"memory": told, "vector": sealing.vector.hex(), "log_size": sealing.log_size}
        return vector(name, sealing.record(), {"opens": found})

    floats = bytes.fromhex("0000003f0000003f0000003f0000003f")
    told = memory(1, "acme", ("Ada",))
    good = Sealing(vector=floats, text=canonical(told))
    two = replace(good, keys=(ADA, BELA), text=canonical(memory(2, "acme", ("Ada", "Bela"))))
    yield right("about one", good, told)
    yield right("about nobody", replace(good, keys=(ACME,)), memory(3, "acme", ()))
    yield right(
        "about nobody, of another tenant", replace(good, keys=(OTHER,)), memory(4, "other", ())
    )
    yield right("about two", two, memory(5, "acme", ("Ada", "Bela")))
    yield right(
        "a name beyond ASCII", replace(good, keys=(CLEO,)), memory(6, "acme", (CLEO.subject,))
    )
    yield right("in 16 slots", replace(good, slots=16), told)
    names = tuple(key.subject for key in MANY)
    yield right("about twenty", replace(good, slots=64, keys=MANY), memory(7, "acme", names))
    yield right("a later version", replace(good, version=9), told)
    yield right("a version beyond 32 bits", replace(good, version=2**33 + 1), told)
    yield right("of an older epoch", replace(good, epoch=1), told)
    yield right("beyond any log", replace(good, log_size=2**63), told)
    yield right("no vector", replace(good, vector=b""), told)
    leased = {"origin": "lon-1", "lease": "l", "row": "r", "form": "redacted"}
    yield right("on a lease", good, memory(8, "acme", ("Ada",), leased=leased))
    dated = memory(9, "acme", ("Ada",), valid_at="2026-01-02T03:04:05.000006+01:00")
    yield right("with a date of its own", good, dated)
    kept = memory(10, "acme", ("Ada",))
    kept["label"]["expires_at"] = "2030-01-01T00:00:00+00:00"
    yield right("to be kept until a day", good, kept)
    yield vector("of an erased subject", replace(good, keys=(GONE,)).record(), {"closed": True})
    half = replace(two, keys=(ADA, replace(GONE, tenant="acme")))
    yield vector("of one erased and one living subject", half.record(), {"closed": True})
    unknown = a_key(SUBJECT, "acme", "Nobody knows")
    yield vector(
        "under a key that the keyring has lost", replace(good, keys=(unknown,)).record(),
        error("keyring-damaged"),
    )  # fmt: skip

    record = good.record()
    blob = record.blob
    end = 2 + 12 + 25 + 16 * good.slots + 16
    for version in (0, 1, 3, 255):
        yield vector(
            f"format byte {version}", replace(record, blob=bytes([version]) + blob[1:]), bad
        )
        if version:
            yield vector(f"sealed as format {version}", replace(good, format=version).record(), bad)
    for slots in (0, 3, 5, 16, 64, 255):
        other = blob[:1] + bytes([slots]) + blob[2:]
        yield vector(f"slots said to be {slots}", replace(record, blob=other), bad)
    yield vector("sealed with 5 slots", replace(good, slots=5).record(), bad)
    places = {
        "the header's nonce": 3, "the number of keys": 14, "the tenant marker": 20,
        "the log size": 35, "the first key id": 40, "an unused slot": 70, "the last slot": end - 17,
        "the header's tag": end - 3, "the body's nonce": end + 5, "the vector's length": end + 13,
        "the vector": end + 20, "the text": end + 60, "the end of the text": len(blob) - 17,
        "the body's tag": len(blob) - 1,
    }  # fmt: skip
    for name, at in places.items():
        yield vector(f"a bit of {name}", replace(record, blob=flipped(blob, at)), bad)
    cuts = {
        "everything": 0, "all but the format": 1, "all but format and slots": 2,
        "the header": 14, "the header's last byte": end - 1, "the body": end,
        "the body but its nonce": end + 12, "the body but its nonce and tag": end + 28,
        "the last byte": len(blob) - 1,
    }  # fmt: skip
    for name, at in cuts.items():
        yield vector(f"cut: {name}", replace(record, blob=blob[:at]), bad)
    yield vector("a byte more", replace(record, blob=blob + b"\0"), bad)
    yield vector("a byte before", replace(record, blob=b"\2" + blob), bad)
    yield vector(
        "a byte between header and body", replace(record, blob=blob[:end] + b"\0" + blob[end:]), bad
    )
    yield vector("under another rid", replace(record, rid=b"s" * 16), bad)
    yield vector("in the next version", replace(record, version=2), bad)
    yield vector("in version 0", replace(record, version=0), bad)
    yield vector("in the next epoch", replace(record, epoch=4), bad)
    yield vector("of another site", replace(good, site="lon-1").record(), bad)
    yield vector("of another table", replace(good, table="notes").record(), bad)
    other = replace(good, log_size=8, text=canonical(memory(11, "acme", ("Ada",)))).record()
    yield vector("another record's body", replace(record, blob=blob[:end] + other.blob[end:]), bad)
    yield vector(
        "another record's header", replace(record, blob=other.blob[:end] + blob[end:]), bad
    )
    before = replace(good, version=2).record()
    mixed = before.blob[:end] + blob[end:]
    yield vector("the body of the version before", replace(before, blob=mixed), bad)
    yield vector("its own header twice", replace(record, blob=blob[:end] + blob), bad)
    yield vector("the marker of another tenant", replace(good, marked="other").record(), bad)
    yield vector("a body under one of two keys", replace(two, body_keys=(ADA,)).record(), bad)
    later_first = tuple(sorted((ADA, BELA), key=lambda key: key.id, reverse=True))
    yield vector(
        "a body under keys in the wrong order", replace(two, body_keys=later_first).record(), bad
    )
    yield vector(
        "a body under another subject's key", replace(good, body_keys=(BELA,)).record(), bad
    )
    yield vector("no keys at all", replace(good, count=0).record(), bad)
    yield vector("more keys than slots", replace(good, count=5).record(), bad)
    yield vector(
        "a vector longer than the body", replace(good, vector_size=2**32 - 1).record(), bad
    )
    yield vector("a text that is no JSON", replace(good, text=b"{").record(), bad)
    yield vector("a text that is not UTF-8", replace(good, text=b"\xff\xfe").record(), bad)
    yield vector("no text at all", replace(good, text=b"").record(), bad)
