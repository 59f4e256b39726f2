"""A memory: what a site remembers, in plaintext only inside the vault and what the vault opened."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from json.encoder import encode_basestring
from typing import Any

from memory_fabric.core.errors import InputError
from memory_fabric.core.labels import Label

_to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode
MAX_TEXT = 32_768
"""Characters of a memory's text at most."""
MAX_SUBJECTS = 64
"""Subjects of one memory at most."""
MAX_NAME = 256
"""Characters of a subject or an id at most."""


class MemoryType(StrEnum):
    """The layers of a site's memory."""

    EPISODIC = "episodic"
    SEMANTIC = "semantic"
    PROCEDURAL = "procedural"
    WORKING = "working"


Vector = bytes
"""An embedding: ``dim`` float32, little-endian, of unit length. Opaque to the core."""


@dataclass(frozen=True)
class Leased:
    """Where a leased memory comes from: it belongs to another site, and this one must give it up.

    Attributes:
        origin: ``site_id`` of its home.
        lease, row: ids by which the home knows it.
        form: what it left its home in; it is never shown in a fuller one.
    """

    origin: str
    lease: str
    row: str
    form: str

    def to_json(self) -> dict[str, str]:
        """JSON-ready and canonical."""
        return {"origin": self.origin, "lease": self.lease, "row": self.row, "form": self.form}


@dataclass(frozen=True)
class Memory:
    """One memory, complete.

    Attributes:
        id: the name its users know, unique within a tenant at a site.
        text: what is remembered.
        vector: embedding of the text by ``embedder``.
        label: what the law needs to know.
        created_at: when it was stored (UTC).
        valid_at: since when it is true, where that differs.
        metadata: the app's own JSON object.
        leased: where it comes from, if it is another site's; ``None`` for the site's own.
    """

    id: str
    text: str
    vector: Vector
    embedder: str
    label: Label
    memory_type: MemoryType
    created_at: datetime
    valid_at: datetime | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    leased: Leased | None = None

    def json_text(self) -> str:
        """As JSON text, without the vector, which is sealed beside it as raw bytes.

        Written out by hand: this is done for every memory, and several times as fast.
        """
        shared = _shared(self.embedder, self.memory_type, self.created_at, self.valid_at)
        metadata = _to_json(dict(self.metadata)) if self.metadata else "{}"
        leased = f',"leased":{_to_json(self.leased.to_json())}' if self.leased else ""
        return (
            f'{{"id":{encode_basestring(self.id)},"text":{encode_basestring(self.text)},'
            f'"label":{self.label.json_text()},{shared},"metadata":{metadata}{leased}}}'
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any], vector: Vector) -> Memory:
        """The inverse of ``json_text``, parsed."""
        valid_at = value["valid_at"]
        return cls(
            id=value["id"],
            text=value["text"],
            vector=vector,
            embedder=value["embedder"],
            label=Label.from_json(value["label"]),
            memory_type=MemoryType(value["memory_type"]),
            created_at=datetime.fromisoformat(value["created_at"]),
            valid_at=datetime.fromisoformat(valid_at) if valid_at else None,
            metadata=value["metadata"],
            leased=Leased(**value["leased"]) if "leased" in value else None,
        )


@lru_cache(maxsize=64)
def _shared(
    embedder: str, memory_type: MemoryType, created_at: datetime, valid_at: datetime | None
) -> str:
    """The part of the JSON text that memories stored together mostly have in common."""
    since = f'"{valid_at.isoformat()}"' if valid_at else "null"
    return (
        f'"embedder":{encode_basestring(embedder)},"memory_type":"{memory_type.value}",'
        f'"created_at":"{created_at.isoformat()}","valid_at":{since}'
    )


def check_text(text: str, what: str = "memory") -> str:
    """The text with surrounding space removed, or ``text-empty``, ``text-too-long``."""
    stripped = text.strip()
    if not stripped:
        raise InputError("text-empty", f"The {what} is empty.", "Give it some text.")
    if len(stripped) > MAX_TEXT:
        raise InputError(
            "text-too-long",
            f"The {what} has {len(stripped):,} characters; {MAX_TEXT:,} fit.",
            "Split it into several.",
        )
    if not _is_unicode(stripped):
        raise InputError(
            "text-not-unicode", f"The {what} holds half a surrogate pair.", "Send valid Unicode."
        )
    return stripped


def subject_name(given: str) -> str:
    """A subject as it is stored and looked up, so that nobody is missed because of how a name was
    typed: in Unicode's composed form (NFC), without invisible characters, with single spaces.
    Capitals count.
    """
    visible = "".join(char for char in given if unicodedata.category(char) != "Cf")
    return " ".join(unicodedata.normalize("NFC", visible).split())


def check_subjects(subjects: tuple[str, ...]) -> tuple[str, ...]:
    """The subjects, trimmed, each once, in order; or ``subject-invalid``, ``subjects-too-many``."""
    trimmed = tuple(dict.fromkeys(subject_name(subject) for subject in subjects))
    if not all(0 < len(name) <= MAX_NAME and _is_unicode(name) for name in trimmed):
        raise InputError(
            "subject-invalid",
            "A subject is empty, too long, or not valid Unicode.",
            f"Name each subject in 1 to {MAX_NAME} characters.",
        )
    if len(trimmed) > MAX_SUBJECTS:
        raise InputError(
            "subjects-too-many",
            f"A memory can be about {MAX_SUBJECTS} subjects, not {len(trimmed)}.",
            "Split it into several.",
        )
    return trimmed


def _is_unicode(text: str) -> bool:
    """Whether the text can be written as UTF-8: it holds no half of a surrogate pair."""
    return not any(0xD800 <= ord(char) <= 0xDFFF for char in text)
