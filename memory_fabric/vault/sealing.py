"""One memory, one sealed record: the byte layout and its keys, without any decision.

    blob    = format (1) | slots (1) | nonce (12) | sealed header | nonce (12) | sealed body
    header  = count (1) | tenant marker (16) | log size (8) | slots x key id (16, unused ones zero)
    body    = vector length (4, big-endian) | vector | JSON

Both seals are AES-256-GCM. The header's key is the table key. The body's is derived by
HKDF-SHA256 from the keys of *all* its subjects, in key-id order, and is the same for all records
about the same subjects. ``docs/internals/format.md`` has the associated data in full.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.core.memory import Memory
from memory_fabric.core.records import SealedRecord
from memory_fabric.vault.binding import NONCE_BYTES, TAG_BYTES, bind, derive, u64
from memory_fabric.vault.epoch import ID_BYTES
from memory_fabric.vault.keyring import Keyring
from memory_fabric.vault.keytable import HeldKey

FORMAT = 2
"""Version of the byte layout: the first byte of every blob."""
SLOTS = (4, 16, 64)
"""Key ids fill a header of one of these sizes, so that few records show how many they have."""

_MARKER_BYTES = 16
_SIZE_BYTES = 8
_FIXED = 1 + _MARKER_BYTES + _SIZE_BYTES
_from_json = json.JSONDecoder().decode


class Unsealed(NamedTuple):
    """A memory on its way into a record: which record, in which version."""

    rid: bytes
    version: int
    memory: Memory


class Header(NamedTuple):
    """An opened header.

    Attributes:
        tenant_marker: keyed hash of the tenant's name.
        log_size: receipts in the site's log when the record was sealed: a record from beyond the
            end of the log tells that the log was put back.
        key_ids: of all keys that the body needs, sorted.
        raw: the blob's bytes up to the body, which the body is bound to.
        place: format, site, table, record, version and epoch, as every seal is bound to them.
    """

    tenant_marker: bytes
    log_size: int
    key_ids: tuple[bytes, ...]
    raw: bytes
    place: bytes


class _Whose(NamedTuple):
    """What records about the same subjects have in common when they are sealed."""

    clear: bytes
    header: bytes
    tenant: bytes
    cipher: AESGCM


class Sealer:
    """Seals and unseals the records of one table of one site.

    Nonces are random: one key may seal 2^32 times (NIST SP 800-38D, 8.3).
    """

    def __init__(self, keyring: Keyring, table: str) -> None:
        self._keyring = keyring
        self._place = bind("memory-fabric/record", bytes([FORMAT]), keyring.site_id, table)
        self._body_key = bind("memory-fabric/body", bytes([FORMAT]), keyring.site_id, table)
        self._headers = AESGCM(keyring.table_key)
        marker_key = derive(keyring.table_key, bind("memory-fabric/tenant-marker/1"))
        self._marker = lru_cache(maxsize=1024)(
            lambda tenant: hmac.digest(marker_key, tenant.encode(), "sha256")[:_MARKER_BYTES]
        )

    def seal(self, memories: Sequence[Unsealed], log_size: int) -> list[SealedRecord]:
        """The records, in order, under the keys of their subjects, or the tenant's.

        Raises:
            NotFound: ``subject-unknown``.
        """
        epoch = self._keyring.epoch
        nonces = os.urandom(2 * NONCE_BYTES * len(memories))
        number, size = u64(epoch), u64(log_size)
        known: dict[tuple[str, tuple[str, ...]], _Whose] = {}
        sealed = []
        at = 0
        for rid, version, memory in memories:
            label, vector = memory.label, memory.vector
            about = label.tenant, label.subjects
            whose = known.get(about) or known.setdefault(about, self._whose(*about, size))
            clear, header, tenant, cipher = whose
            place = self._place + rid + u64(version) + number
            nonce, body_nonce = (
                nonces[at : at + NONCE_BYTES],
                nonces[at + NONCE_BYTES : at + 2 * NONCE_BYTES],
            )
            at += 2 * NONCE_BYTES
            raw = clear + nonce + self._headers.encrypt(nonce, header, place + clear)
            body = len(vector).to_bytes(4, "big") + vector + memory.json_text().encode()
            body = cipher.encrypt(body_nonce, body, place + raw + tenant)
            sealed.append(SealedRecord(rid, version, epoch, raw + body_nonce + body))
        return sealed

    def _whose(self, tenant: str, subjects: tuple[str, ...], size: bytes) -> _Whose:
        keys = self._keyring.keys(tenant, subjects)
        slots = next(size for size in SLOTS if size >= len(keys))
        ids = b"".join([key.id for key in keys]).ljust(slots * ID_BYTES, b"\0")
        return _Whose(
            bytes((FORMAT, slots)),
            bytes((len(keys),)) + self._marker(tenant) + size + ids,
            tenant.encode(),
            self._keyring.cipher(keys, self._body_key),
        )

    def header(self, record: SealedRecord) -> Header:
        """Which keys the record needs.

        Raises:
            IntegrityViolated: ``record-damaged``.
        """
        blob = record.blob
        slots = blob[1] if len(blob) > 1 else 0
        if slots not in SLOTS or blob[0] != FORMAT:
            raise damaged(record)
        start = 2 + NONCE_BYTES
        end = start + _FIXED + slots * ID_BYTES + TAG_BYTES
        try:
            place = self._place_of(record.rid, record.version, record.epoch)
            plain = self._headers.decrypt(blob[2:start], blob[start:end], place + blob[:2])
        except (InvalidTag, ValueError, OverflowError):
            raise damaged(record) from None
        if not 1 <= plain[0] <= slots:
            raise damaged(record)
        last = _FIXED + plain[0] * ID_BYTES
        ids = [plain[at : at + ID_BYTES] for at in range(_FIXED, last, ID_BYTES)]
        marker, size = plain[1 : 1 + _MARKER_BYTES], plain[1 + _MARKER_BYTES : _FIXED]
        return Header(marker, int.from_bytes(size, "big"), tuple(ids), blob[:end], place)

    def body(self, record: SealedRecord, header: Header, keys: Sequence[HeldKey]) -> Memory:
        """The memory, opened with the keys that its header names, in that order.

        Raises:
            IntegrityViolated: ``record-damaged``.
            NotFound: ``subject-unknown``: a key was destroyed meanwhile.
        """
        tenant = keys[0].tenant
        if header.tenant_marker != self._marker(tenant):
            raise damaged(record)
        start = len(header.raw) + NONCE_BYTES
        nonce, sealed = record.blob[len(header.raw) : start], record.blob[start:]
        cipher = self._keyring.cipher(keys, self._body_key)
        bound = header.place + header.raw + tenant.encode()
        try:
            plain = cipher.decrypt(nonce, sealed, bound)
        except (InvalidTag, ValueError):
            raise damaged(record) from None
        text_at = 4 + int.from_bytes(plain[:4], "big")
        try:
            return Memory.from_json(_from_json(plain[text_at:].decode()), plain[4:text_at])
        except (ValueError, KeyError, TypeError):  # whoever holds the keys sealed no memory
            raise damaged(record) from None

    def _place_of(self, rid: bytes, version: int, epoch: int) -> bytes:
        return self._place + rid + u64(version) + u64(epoch)


def damaged(record: SealedRecord) -> IntegrityViolated:
    """A record that does not authenticate, named by its id alone."""
    return IntegrityViolated(
        "record-damaged",
        f"The sealed record {record.rid.hex()} is not what was written.",
        "Restore it from a backup; until then it is not shown.",
        {"damaged": [f"stack/{record.rid.hex()}"]},
    )
