"""The formats at rest, byte by byte: what the program and a second reader make of each vector.

A vector is right, or wrong in the one way that its name says. ``second_reader`` and
``make_vectors`` know ``docs/internals/format.md`` and nothing of the program; so where they and the
program agree, that document is enough to read and to write what a site keeps.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import lancedb
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memory_fabric.core.errors import HomeError, MemoryFabricError
from memory_fabric.core.key_ports import RootKey, WrappedKey
from memory_fabric.core.records import SealedRecord
from memory_fabric.flows.snapshot import take
from memory_fabric.vault.keyring import Keyring
from memory_fabric.vault.sealing import Sealer
from memory_fabric.vault.snapshot import SnapshotKey, SnapshotSealer
from tests.conformance import second_reader
from tests.conformance.make_vectors import FOLDER, files
from tests.conformance.second_reader import DESTROYED, SUBJECT, Rejected
from tests.conformance.second_writer import SITE, Json
from tests.conformance.vectors_snapshots import long_snapshots
from tests.fakes.clock import ManualClock
from tests.fakes.keystore import MemoryKeyStore
from tests.system.homes import ask, listed, remember, reopened, site

COLUMNS = ("rid", "version", "epoch", "blob")
FILES = {name: json.loads((FOLDER / name).read_text()) for name in files()}


def vectors(name: str) -> list[Any]:
    return [pytest.param(vector, id=vector["name"]) for vector in FILES[name]["vectors"]]


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    names = [(file, vector["name"]) for file in FILES for vector in FILES[file]["vectors"]]
    assert len(names) == len(set(names)) >= 140


def test_the_generator_makes_these_very_files() -> None:
    assert json.loads(json.dumps(files())) == FILES


# --- the program --------------------------------------------------------------------------------


class RootKeyInHand:
    """Ports ``RootKeys`` and ``KeyProvider`` over a root key that a vector names."""

    def __init__(self, key: bytes) -> None:
        self._cipher = AESGCM(key)

    def check(self, root: RootKey) -> None: ...

    def create(self, root: RootKey, passphrase: str | None = None) -> None: ...

    def destroy(self, root: RootKey) -> None: ...

    def open(self, root: RootKey, passphrase: str | None = None) -> RootKeyInHand:
        return self

    def wrap(self, key: bytes, context: bytes) -> bytes:
        raise NotImplementedError

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            return self._cipher.decrypt(wrapped[:12], wrapped[12:], context)
        except (InvalidTag, ValueError):
            raise HomeError("root-key-wrong", "Another root key.") from None


def keyring_of(vector: Json) -> Keyring:
    """A vector's keyring, opened by the program."""
    store = MemoryKeyStore()
    for row_id, kind, epoch, wrapped in vector["rows"]:
        row = bytes.fromhex(row_id)
        store.entries[row] = WrappedKey(row, kind, epoch, bytes.fromhex(wrapped))
    root = RootKeyInHand(bytes.fromhex(vector["root_key"]))
    return Keyring.open(
        store, root, vector["site"], ManualClock(datetime(2026, 11, 25, tzinfo=UTC))
    )


def program_keyring(vector: Json) -> Json:
    keyring = keyring_of(vector)
    told = vector["expect"]["opens"]  # a keyring does not list its keys: it is asked for each
    keys = [
        [tenant, subject, key.id.hex(), key.key.hex()]
        for tenant, subject, *_ in told["keys"]
        for key in keyring.keys(tenant, [subject] if subject is not None else [])
    ]
    secrets = {
        name: (keyring.table_key if name == "table" else keyring.secret(name)).hex()
        for name in told["secrets"]
    }
    destroyed = [key for key in told["destroyed"] if keyring.by_id(bytes.fromhex(key)) is None]
    return {
        "opens": {
            "epoch": keyring.epoch, "secrets": secrets, "keys": keys, "destroyed": destroyed,
        }
    }  # fmt: skip


def program_record(keyring: Keyring, table: str, vector: Json) -> Json:
    sealer = Sealer(keyring, table)
    record = SealedRecord(
        bytes.fromhex(vector["rid"]), vector["version"], vector["epoch"],
        bytes.fromhex(vector["blob"]),
    )  # fmt: skip
    header = sealer.header(record)
    keys = [keyring.by_id(key_id) for key_id in header.key_ids]
    held = [key for key in keys if key is not None]
    if len(held) < len(keys):
        return {"closed": True}
    memory = sealer.body(record, header, held)
    found = {"memory": json.loads(memory.json_text()), "vector": memory.vector.hex()}
    return {"opens": {**found, "log_size": header.log_size}}


def program_snapshot(vector: Json) -> Json:
    key = SnapshotKey(bytes.fromhex(vector["id"]), bytes.fromhex(vector["key"]))
    sealer = SnapshotSealer(vector["site"], key)
    manifest = sealer.open_manifest(bytes.fromhex(vector["manifest"]))
    chunks = BytesIO(bytes.fromhex(vector["chunks"]))
    parts = {
        name: hashlib.sha256(content).hexdigest()
        for name, content in sealer.open(manifest, chunks.read)
    }
    told = {**vars(manifest), "root": manifest.root.hex(), "parts": [*map(list, manifest.parts)]}
    return {"opens": {"manifest": told, "parts": parts}}


def answer(read: Any, *given: Any) -> Json:
    """What a reader makes of a vector, errors included."""
    try:
        found: Json = read(*given)
    except (MemoryFabricError, Rejected) as error:
        return {"error": error.code}
    return found


@pytest.mark.parametrize("vector", vectors("keyrings.json"))
def test_the_program_reads_keyrings(vector: Json) -> None:
    expect = vector["expect"]
    read = program_keyring if "opens" in expect else keyring_of
    assert answer(read, vector) == expect


@pytest.fixture(scope="module")
def keyring() -> Keyring:
    return keyring_of(FILES["records.json"]["keyring"])


@pytest.mark.parametrize("vector", vectors("records.json"))
def test_the_program_reads_records(keyring: Keyring, vector: Json) -> None:
    table = FILES["records.json"]["table"]
    assert answer(program_record, keyring, table, vector) == vector["expect"]


@pytest.mark.parametrize("vector", vectors("snapshots.json"))
def test_the_program_reads_snapshots(vector: Json) -> None:
    assert answer(program_snapshot, vector) == vector["expect"]


# --- the second reader --------------------------------------------------------------------------


def rows_of(vector: Json) -> list[second_reader.Row]:
    return [
        (bytes.fromhex(row_id), kind, epoch, bytes.fromhex(wrapped))
        for row_id, kind, epoch, wrapped in vector["rows"]
    ]


def second_keys(vector: Json) -> second_reader.Keys:
    root = bytes.fromhex(vector["root_key"])
    return second_reader.read_keyring(rows_of(vector), vector["site"], root)


def second_keyring(vector: Json) -> Json:
    read = second_keys(vector)
    living = [key for key in read.keys.values() if key.kind != DESTROYED]
    names = [
        [key.tenant, key.subject if key.kind == SUBJECT else None, key.id, key.key]
        for key in living
    ]
    keys = [[*name[:2], name[2].hex(), name[3].hex()] for name in names]
    gone = [key.id.hex() for key in read.keys.values() if key.kind == DESTROYED]
    secrets = {name: value.hex() for name, value in read.secrets.items()}
    return {"opens": {"epoch": read.epoch, "secrets": secrets, "keys": keys, "destroyed": gone}}


def second_record(keys: second_reader.Keys, table: str, vector: Json) -> Json:
    record = second_reader.Record(
        bytes.fromhex(vector["rid"]), vector["version"], vector["epoch"],
        bytes.fromhex(vector["blob"]),
    )  # fmt: skip
    read = second_reader.read_record(keys, SITE, table, record)
    if read is None:
        return {"closed": True}
    memory, vector_bytes, log_size = read
    return {"opens": {"memory": memory, "vector": vector_bytes.hex(), "log_size": log_size}}


def second_snapshot(vector: Json) -> Json:
    files = (bytes.fromhex(vector[name]) for name in ("id", "key", "manifest", "chunks"))
    manifest, parts = second_reader.read_snapshot(vector["site"], *files)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in parts.items()}
    return {"opens": {"manifest": manifest, "parts": digests}}


def unordered(found: Json) -> Json:
    """With keys in no order: rows have none."""
    opens = found.get("opens", {})
    return {**found, "opens": {**opens, "keys": sorted(opens["keys"], key=str)}} if opens else found


@pytest.mark.parametrize("vector", vectors("keyrings.json"))
def test_a_second_reader_reads_keyrings(vector: Json) -> None:
    assert unordered(answer(second_keyring, vector)) == unordered(vector["expect"])


@pytest.mark.parametrize("vector", vectors("records.json"))
def test_a_second_reader_reads_records(vector: Json) -> None:
    keys = second_keys(FILES["records.json"]["keyring"])
    found = answer(second_record, keys, FILES["records.json"]["table"], vector)
    assert found == vector["expect"]


@pytest.mark.parametrize("vector", vectors("snapshots.json"))
def test_a_second_reader_reads_snapshots(vector: Json) -> None:
    assert answer(second_snapshot, vector) == vector["expect"]


# --- what is too long to be kept ----------------------------------------------------------------


def test_both_read_snapshots_of_several_chunks() -> None:
    for vector in long_snapshots():
        assert answer(program_snapshot, vector) == vector["expect"], vector["name"]
        assert answer(second_snapshot, vector) == vector["expect"], vector["name"]


# --- what a site really writes ------------------------------------------------------------------


def test_a_second_reader_reads_a_whole_home(tmp_path: Path) -> None:
    home = site(tmp_path, SITE, "DE")
    with reopened(home) as opened:
        for name in ("Ada", "Bela", "Cleo"):
            remember(opened, f"{name} grows tulips.", name)
        remember(opened, "Ada and Bela share a shed.", "Ada", "Bela")
        ask(opened, "forget", subject="Bela")
        assert take(opened.node)
        texts, rows = sorted(listed(opened).values()), len(opened.node.copy)
    root = (home / "keys" / "root.key").read_bytes()
    assert len(root) == 8 + 32
    stored = second_reader.keyring_file(home / "keys" / "keyring.db")
    keys = second_reader.read_keyring(stored, SITE, root[8:])
    assert {key.subject for key in keys.keys.values() if key.kind == SUBJECT} == {"Ada", "Cleo"}
    table = lancedb.connect(home / "stack").open_table("memories").to_arrow().to_pylist()
    records = [second_reader.Record(*(row[name] for name in COLUMNS)) for row in table]
    read = [second_reader.read_record(keys, SITE, "memories", record) for record in records]
    assert sorted(memory["text"] for memory, *_ in filter(None, read)) == texts
    manifest = (home / "snapshot" / "manifest").read_bytes()
    snapshot = manifest[4:20]
    told, _ = second_reader.read_snapshot(
        SITE, snapshot, keys.secrets[f"snapshot/{snapshot.hex()}"], manifest,
        (home / "snapshot" / f"{snapshot.hex()}.chunks").read_bytes(),
    )  # fmt: skip
    assert told["rows"] == rows
