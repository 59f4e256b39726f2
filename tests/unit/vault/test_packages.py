"""Packages: what is released and nothing else, for one receiver, from a known site."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from memory_fabric.adapters.packing import ArrowPacking
from memory_fabric.core.access import Act, Form, Plan
from memory_fabric.core.errors import MemoryFabricError
from memory_fabric.core.lease import Manifest, PackedRow, Terms
from memory_fabric.core.places import Roster
from memory_fabric.core.receipt import Checkpoint, Committed, Outcome, Receipt
from memory_fabric.gate.permits import PermitVoid, Release, Shown, discharged, release
from memory_fabric.vault.identity import Signer, Unsealer
from memory_fabric.vault.packages import Packages
from tests.fakes.vault import LATER, NOON, VECTOR, Bench, a_memory
from tests.unit.vault.test_letters import Post


def a_release(origin: str = "fra-1", to: str = "lon-1", act: Act = Act.EXPORT) -> Release:
    bench, memory = Bench(origin), a_memory("ada")
    permit = bench.permit(memory.label, act=act, destination=to)
    opened = bench.vault.open(permit, bench.vault.seal([memory]), now=LATER)
    shown = Shown(
        memory.id, Form.VECTORS_ONLY, memory.label.label_class, None, VECTOR, "e" * 64, None,
        ("r",), {"memory_type": "episodic"},
    )  # fmt: skip
    receipt = Receipt("r-1", NOON, origin, str(act), Outcome.DONE, {}, (), "b", "r")
    committed = Committed(receipt, 0, Checkpoint("memory-fabric/" + origin, 1, bytes(32)))
    return release([discharged(opened, [shown], ())], committed)


class Carrier(Post):
    """Three sites that exchange packages."""

    def __init__(self) -> None:
        super().__init__()
        self.packages = {
            name: Packages(
                name,
                Signer(keys.signing_secret),
                Unsealer(keys.sealing_secret),
                lambda: self.roster,
                self.clock,
                ArrowPacking(),
            )
            for name, keys in self.identities.items()
        }


@pytest.fixture
def carrier() -> Carrier:
    return Carrier()


def terms_of(released: Release) -> Terms:
    (item,) = released.parts[0].items
    return Terms(
        "lease-1", item.label_class, item.form, Plan(), item.rules, NOON + timedelta(hours=24), 1
    )


def a_manifest(terms: Terms, **fields: Any) -> Manifest:
    known: dict[str, Any] = {
        "package": "p" * 32,
        "origin": "fra-1",
        "destination": "lon-1",
        "tenant": "acme",
        "purpose": "care",
        "embedder": "e" * 64,
        "bundle": "b" * 64,
        "sequence": 1,
        "previous": "",
        "expires_at": terms.expires_at,
        "leases": (terms,),
    }
    return Manifest(**{**known, **fields})


def sealed(carrier: Carrier, released: Release | None = None, **fields: Any) -> bytes:
    released = released or a_release()
    terms = terms_of(released)
    manifest = a_manifest(terms, **fields)
    return carrier.packages["fra-1"].seal(
        released, manifest, [("r" * 32, terms)], carrier.sites["lon-1"]
    )


def code(carrier: Carrier, data: bytes, at: str = "lon-1") -> str:
    with pytest.raises(MemoryFabricError) as caught:
        carrier.packages[at].open(data)
    return caught.value.code


def test_a_package_brings_what_was_released(carrier: Carrier) -> None:
    released = a_release()
    (item,) = released.parts[0].items
    package = carrier.packages["lon-1"].open(sealed(carrier, released))
    assert package.sender.site_id == "fra-1"
    (row,) = package.rows
    assert (row.id, row.text, row.vector) == ("r" * 32, item.memory, item.vector)
    assert row.label_class == item.label_class.to_json()


def test_any_changed_byte_is_seen(carrier: Carrier) -> None:
    data = sealed(carrier)
    for at in range(0, len(data), 37):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        assert code(carrier, changed).startswith("package-")
    assert code(carrier, data[:-1]) == "package-forged"
    assert code(carrier, b"") == "package-forged"


def test_only_the_receiver_opens_it(carrier: Carrier) -> None:
    assert code(carrier, sealed(carrier), at="iad-1") == "package-not-for-us"


def test_it_is_fresh_until_its_last_lease_ends(carrier: Carrier) -> None:
    data = sealed(carrier)
    carrier.clock.time = NOON + timedelta(hours=23, minutes=59)
    carrier.packages["lon-1"].open(data)
    carrier.clock.time = NOON + timedelta(hours=24)
    assert code(carrier, data) == "package-expired"


def test_a_stranger_is_not_believed(carrier: Carrier) -> None:
    data = sealed(carrier)
    known = {name: site for name, site in carrier.sites.items() if name != "fra-1"}
    carrier.roster = Roster(2, known)
    assert code(carrier, data) == "package-signer-unknown"
    impostor = replace(carrier.sites["fra-1"], signing_key=carrier.identities["iad-1"].signing_key)
    carrier.roster = Roster(3, {**known, "fra-1": impostor})
    assert code(carrier, data) == "package-forged"


def test_data_goes_only_to_whom_it_was_released_to(carrier: Carrier) -> None:
    recall = a_release(act=Act.RECALL)
    for released in (a_release("fra-1", "iad-1"), a_release("lon-1", "lon-1"), recall):
        with pytest.raises(PermitVoid):
            sealed(carrier, released)
    with pytest.raises(PermitVoid):
        sealed(carrier, destination="iad-1")


def test_a_row_stands_under_the_lease_of_its_own_form(carrier: Carrier) -> None:
    released = a_release()
    terms = replace(terms_of(released), form=Form.AGGREGATE)
    with pytest.raises(ValueError, match="lease"):
        carrier.packages["fra-1"].seal(
            released, a_manifest(terms), [("r" * 32, terms)], carrier.sites["lon-1"]
        )


def test_rows_come_back_as_they_were_packed() -> None:
    rows = [
        PackedRow("a", "l", "redacted", {"home": "DE"}, "tea ☕", None, "e", "episodic", "2026"),
        PackedRow("b", "l", "vectors_only", {}, None, bytes(16), "e", "semantic", "2026"),
    ]
    packing = ArrowPacking()
    assert packing.unpack(packing.pack(rows)) == rows
    for broken in (b"", b"no arrow", packing.pack(rows)[:-40]):
        with pytest.raises(ValueError, match=r"."):
            packing.unpack(broken)
