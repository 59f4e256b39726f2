"""Stretches of a text, what they are, and the text with a mask in the place of each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

Span = tuple[int, int, str]
"""Start, end and kind of a stretch: its mask is the kind in brackets."""

KINDS = (
    "EMAIL", "URL", "IBAN", "CARD", "IP", "DATE", "NATIONAL_ID", "DOCUMENT", "PHONE", "HANDLE",
    "PERSON", "NUMBER",
)  # fmt: skip
"""In the order in which they win where they overlap."""

_MASK = re.compile(rf"(\[(?:{'|'.join(KINDS)})\])")
_NEIGHBOURS = re.compile(r"\[PERSON\](?:[\s.,'-]{0,3}\[PERSON\])+")


def masked(text: str, finders: Iterable[Callable[[str], list[Span]]]) -> str:
    """The text with everything found masked; masks that it holds already stay as they are."""
    parts = _MASK.split(text)
    for at in range(0, len(parts), 2):
        found = [span for finder in finders for span in finder(parts[at])]
        parts[at] = _cover(parts[at], found)
    return _NEIGHBOURS.sub("[PERSON]", "".join(parts))


def _cover(text: str, spans: list[Span]) -> str:
    covered: list[Span] = []
    for start, end, kind in sorted(spans):
        if covered and start < covered[-1][1]:
            first, last, other = covered[-1]
            covered[-1] = (first, max(last, end), min(kind, other, key=KINDS.index))
        else:
            covered.append((start, end, kind))
    pieces, at = [], 0
    for start, end, kind in covered:
        pieces += [text[at:start], f"[{kind}]"]
        at = end
    return "".join([*pieces, text[at:]])
