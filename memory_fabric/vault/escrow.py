"""The escrow: a keyring as one object, sealed under a key that is made for it and for it alone.

    escrow  = "MFK1" | length (4) | envelope | nonce (12) | AES-256-GCM(escrow key, content)
    content = length (4) | secrets (JSON) | for each pack: length (4) | pack

The associated data is everything before the nonce. It opens without the home's root key, so that it
outlives the home. Each new one has a new key: whoever destroys the old key has closed every copy of
the old escrow, with the keys of whoever was erased meanwhile.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import InputError, IntegrityViolated
from memory_fabric.vault.binding import KEY_BYTES, NONCE_BYTES
from memory_fabric.vault.keyring import Contents
from memory_fabric.vault.sitesecrets import Secrets

MAGIC = b"MFK1"
"""How an escrow begins."""

_LENGTH_BYTES = 4
_CHECK_BYTES = 3  # makes it 35 bytes, which base32 writes without padding
_GROUP = 4


@dataclass(frozen=True)
class Escrow:
    """An opened escrow.

    Attributes:
        site_id: whose keys they are.
        made_at: when it was written.
        log_size: receipts in the site's log then.
        contents: the keys.
    """

    site_id: str
    made_at: datetime
    log_size: int
    contents: Contents


def seal_escrow(escrow: Escrow) -> tuple[bytes, str]:
    """The sealed bytes, and the one key that opens them, for people to write down."""
    envelope = canonical(
        {
            "epoch": escrow.contents.epoch,
            "log_size": escrow.log_size,
            "made_at": escrow.made_at.isoformat(),
            "site": escrow.site_id,
        }
    )
    clear = MAGIC + _sized(envelope)
    content = b"".join(map(_sized, (escrow.contents.secrets.to_bytes(), *escrow.contents.packs)))
    key, nonce = secrets.token_bytes(KEY_BYTES), secrets.token_bytes(NONCE_BYTES)
    return clear + nonce + AESGCM(key).encrypt(nonce, content, clear), _written(key)


def open_escrow(sealed: bytes, key: str) -> Escrow:
    """The inverse of ``seal_escrow``.

    Args:
        key: as it was shown; case, spaces and dashes do not matter.

    Raises:
        InputError: ``escrow-key-malformed``: it was not copied right.
        IntegrityViolated: ``escrow-damaged``: it is no escrow, was changed, or is of another key.
    """
    cipher = AESGCM(_read(key))
    end = len(MAGIC) + _LENGTH_BYTES
    end += int.from_bytes(sealed[len(MAGIC) : end], "big")
    clear, nonce, rest = sealed[:end], sealed[end : end + NONCE_BYTES], sealed[end + NONCE_BYTES :]
    try:
        if not clear.startswith(MAGIC):
            raise ValueError("no escrow")
        content = cipher.decrypt(nonce, rest, clear)
    except (InvalidTag, ValueError):
        raise IntegrityViolated(
            "escrow-damaged",
            "This key does not open the escrow: it is another one's, or the escrow was changed.",
            "Bring the key that was shown when this escrow was written.",
            {"damaged": ["escrow"]},
        ) from None
    told = json.loads(clear[len(MAGIC) + _LENGTH_BYTES :])
    own, *packs = _parts(content)
    return Escrow(
        told["site"],
        datetime.fromisoformat(told["made_at"]),
        told["log_size"],
        Contents(Secrets.from_bytes(own), tuple(packs), told["epoch"]),
    )


def _sized(part: bytes) -> bytes:
    return len(part).to_bytes(_LENGTH_BYTES, "big") + part


def _parts(content: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(content):
        start = at + _LENGTH_BYTES
        at = start + int.from_bytes(content[at:start], "big")
        yield content[start:at]


def _written(key: bytes) -> str:
    text = base64.b32encode(key + _check(key)).decode()
    return "-".join(text[at : at + _GROUP] for at in range(0, len(text), _GROUP))


def _read(text: str) -> bytes:
    plain = "".join(text.split()).replace("-", "").upper()
    try:
        raw = base64.b32decode(plain)
    except ValueError:
        raw = b""
    key, check = raw[:KEY_BYTES], raw[KEY_BYTES:]
    if len(key) != KEY_BYTES or check != _check(key):
        raise InputError(
            "escrow-key-malformed",
            "That is no escrow key: a letter is missing or wrong.",
            "Copy it once more: 14 groups of 4 letters and digits.",
        )
    return key


def _check(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:_CHECK_BYTES]
