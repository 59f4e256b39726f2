"""Checkpoints and proofs as others read them: C2SP signed notes, log proofs, verifier keys.

Plain text, so that anybody's tools for transparency logs read it. Sources: c2sp.org/signed-note,
tlog-checkpoint, tlog-proof, and tlog-witness for the lines of a consistency proof. Signatures are
only carried here; whoever believes a note checks them (``flows.proofs``).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from memory_fabric.core.merkle import HASH_BYTES
from memory_fabric.core.receipt import Checkpoint

_ED25519 = b"\x01"
_KEY_BYTES, _ID_BYTES = 32, 4
_DASH = "\N{EM DASH} "
_PROOF, _EXTRA, _INDEX, _OLD = "c2sp.org/tlog-proof@v1", "extra ", "index ", "old "


@dataclass(frozen=True)
class VerifierKey:
    """The public key of a log, with its name.

    Attributes:
        name: the log's origin.
        public: raw Ed25519 key.
    """

    name: str
    public: bytes

    @property
    def id(self) -> bytes:
        """Four bytes that say which key signed."""
        told = self.name.encode() + b"\n" + _ED25519 + self.public
        return hashlib.sha256(told).digest()[:_ID_BYTES]

    def __str__(self) -> str:
        return f"{self.name}+{self.id.hex()}+{_base64(_ED25519 + self.public)}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of ``str``.

        Raises:
            ValueError: it is none, or not of an Ed25519 key.
        """
        parts = text.strip().split("+", 2)
        if len(parts) != 3 or not parts[0] or any(map(str.isspace, parts[0])):
            raise ValueError("no verifier key")
        name, known, encoded = parts
        raw = _bytes(encoded, len(_ED25519) + _KEY_BYTES)
        key = cls(name, raw[1:])
        if raw[:1] != _ED25519 or key.id.hex() != known:
            raise ValueError("no verifier key of Ed25519")
        return key


def to_note(checkpoint: Checkpoint, public: bytes) -> str:
    """A checkpoint as a signed note.

    Args:
        public: raw key that signed it.
    """
    signed = VerifierKey(checkpoint.origin, public).id + checkpoint.signature
    return f"{checkpoint.body.decode()}\n{_DASH}{checkpoint.origin} {_base64(signed)}\n"


def from_note(text: str, key: VerifierKey | None = None) -> Checkpoint:
    """The checkpoint in a signed note, with the signature that this key would have made; with none
    where the note bears none of it, or no key is given.

    Raises:
        ValueError: it is no signed note, or not of a checkpoint of three lines.
    """
    if any(letter < " " and letter != "\n" for letter in text):
        raise ValueError("a note has no control characters")
    body, blank, signatures = text.rpartition("\n\n")
    lines = body.split("\n")
    if not blank or len(lines) != 3 or not lines[0] or not signatures.endswith("\n"):
        raise ValueError("no checkpoint of three lines, and signatures")
    found = b""
    for line in signatures[:-1].split("\n"):
        name, space, encoded = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not name or not space:
            raise ValueError("no signature line")
        signed = _bytes(encoded)
        if key and not found and (name, signed[:_ID_BYTES]) == (key.name, key.id):
            found = signed[_ID_BYTES:]
    origin, size, root = lines
    return Checkpoint(origin, _number(size), _bytes(root, HASH_BYTES), found)


@dataclass(frozen=True)
class LogProof:
    """That an entry stands in a log, as text (tlog-proof).

    Attributes:
        entry: the receipt's canonical bytes, which hash to the leaf.
        index: its place.
        path: audit path, nearest sibling first.
        note: the signed checkpoint that it leads to.
    """

    entry: bytes
    index: int
    path: Sequence[bytes]
    note: str

    def __str__(self) -> str:
        lines = [_PROOF, _EXTRA + _base64(self.entry), f"{_INDEX}{self.index}"]
        return _document([*lines, *map(_base64, self.path)], self.note)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of ``str``.

        Raises:
            ValueError: it is none, or carries no entry.
        """
        lines, note = _parts(text)
        told = [*lines[:3], "", "", ""]
        if told[0] != _PROOF or not told[1].startswith(_EXTRA) or not told[2].startswith(_INDEX):
            raise ValueError("no log proof with its entry")
        entry = _bytes(told[1].removeprefix(_EXTRA))
        index = _number(told[2].removeprefix(_INDEX))
        return cls(entry, index, [_bytes(line, HASH_BYTES) for line in lines[3:]], note)


@dataclass(frozen=True)
class ConsistencyProof:
    """That a log goes on from what it was, as text (as witnesses are sent it, tlog-witness).

    Attributes:
        old: the size it had.
        path: consistency proof.
        note: the signed checkpoint that it leads to.
    """

    old: int
    path: Sequence[bytes]
    note: str

    def __str__(self) -> str:
        return _document([f"{_OLD}{self.old}", *map(_base64, self.path)], self.note)

    @classmethod
    def parse(cls, text: str) -> Self:
        """The inverse of ``str``.

        Raises:
            ValueError: it is none.
        """
        lines, note = _parts(text)
        if not lines[0].startswith(_OLD):
            raise ValueError("no consistency proof")
        old = _number(lines[0].removeprefix(_OLD))
        return cls(old, [_bytes(line, HASH_BYTES) for line in lines[1:]], note)


def parse_proof(text: str) -> LogProof | ConsistencyProof:
    """Either proof.

    Raises:
        ValueError: it is neither.
    """
    kind = ConsistencyProof if text.startswith(_OLD) else LogProof
    return kind.parse(text)


def _document(lines: Sequence[str], note: str) -> str:
    return "\n".join(lines) + "\n\n" + note


def _parts(text: str) -> tuple[list[str], str]:
    head, blank, note = text.partition("\n\n")
    if not blank:
        raise ValueError("a proof ends with a signed note")
    return head.split("\n"), note


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str, length: int | None = None) -> bytes:
    """Of base64 in its one canonical spelling."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("no base64") from None
    if _base64(raw) != text or length not in (None, len(raw)):
        raise ValueError("no base64 of that length")
    return raw


def _number(text: str) -> int:
    if not text.isascii() or not text.isdigit() or (text[0] == "0" and text != "0"):
        raise ValueError("no whole number")
    if len(text) > 18:
        raise ValueError("a number beyond every log")
    return int(text)
