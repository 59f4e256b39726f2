"""What another site wrote, read strictly: of the right kind, bounded, and nothing besides.

A letter's seal says who wrote it, not that it is well meant. What is read here goes into searches,
receipts and answers; so a wrong word is an error at once (``ValueError``, ``TypeError``,
``KeyError``, ``InputError``), which whoever reads the letter turns into ``letter-malformed``.
"""

from __future__ import annotations

import base64
import json
import math
import re
import struct
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from memory_fabric.core.access import Form, Rule
from memory_fabric.core.labels import LabelClass
from memory_fabric.core.memory import MAX_NAME, MemoryType, Vector
from memory_fabric.core.places import check_name
from memory_fabric.gate.permits import Shown

_RECEIPT = re.compile(r"[0-9a-f]{24}")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_SENTENCE = 2_000


def receipt_id(value: Any) -> str:
    """The id of a receipt in the other site's log."""
    return _matching(_RECEIPT, value)


def moment(value: Any) -> datetime | None:
    """A moment with its time zone, or nothing."""
    if value is None:
        return None
    parsed = datetime.fromisoformat(value)
    if parsed.tzinfo is None:
        raise ValueError("a time without a zone")
    return parsed


def number(value: Any) -> float:
    """A finite number, or text that is one."""
    read = float(value)
    if not math.isfinite(read):
        raise ValueError("not a finite number")
    return read


def count(value: Any) -> int:
    """A whole number from 0."""
    if type(value) is not int or value < 0:
        raise ValueError("not a count")
    return value


def rule(value: Mapping[str, Any]) -> Rule:
    """A rule that the other site names."""
    title, basis = (_line(value[name], _SENTENCE) for name in ("title", "basis"))
    return Rule(_matching(_WORD, value["id"]), title, basis)


def label_class(value: Mapping[str, Any]) -> LabelClass:
    """A label class in words that could be ours; whether we know them is for policy to say."""
    if not all(type(value[name]) is bool for name in ("personal", "legal_hold")):
        raise TypeError("a flag is true or false")
    words = [word for name in ("special", "purposes") for word in _listed(value[name])]
    check_name(value["tenant"], "tenant")
    if not all(_matching(_WORD, word) for word in words):
        raise ValueError("not a word")
    return LabelClass.from_json(value)


def shown(item: Mapping[str, Any]) -> Shown:
    """A released item."""
    text, score = item["memory"], item["score"]
    if text is not None:
        text.encode()
    return Shown(
        id=_line(item["id"], MAX_NAME),
        form=Form(item["form"]),
        label_class=label_class(item["class"]),
        memory=None if text is None else str(text),
        vector=_vector(item["vector"]),
        embedder=_line(item["embedder"], MAX_NAME),
        score=None if score is None else min(max(number(score), 0.0), 1.0),
        rules=tuple(_matching(_WORD, name) for name in _listed(item["rules"])),
        facts=_facts(item["facts"]),
    )


def _facts(value: Mapping[str, Any]) -> dict[str, Any]:
    """Those facts that this version knows."""
    facts = {name: read(value[name]) for name, read in _FACTS.items() if name in value}
    json.dumps(facts, allow_nan=False, ensure_ascii=False).encode()
    return facts


def _metadata(value: Any) -> dict[str, Any]:
    return dict(value)


def _written(value: Any) -> str | None:
    return value if moment(value) else None


def _subjects(value: Any) -> list[str]:
    return [_line(name, MAX_NAME) for name in _listed(value)]


_FACTS = {
    "memory_type": lambda value: str(MemoryType(value)),
    "subjects": _subjects,
    "metadata": _metadata,
    "created_at": _written,
    "valid_at": _written,
}


def _vector(value: Any) -> Vector | None:
    if value is None:
        return None
    vector = base64.b64decode(value, validate=True)
    if len(vector) % 4:
        raise ValueError("a torn vector")
    if not all(map(math.isfinite, struct.unpack(f"<{len(vector) // 4}f", vector))):
        raise ValueError("a vector that is not finite")
    return vector


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _line(value: Any, longest: int) -> str:
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise ValueError("not a line of text")
    return value


def _matching(pattern: re.Pattern[str], value: Any) -> str:
    if not pattern.fullmatch(value):
        raise ValueError("not a word")
    return str(value)
