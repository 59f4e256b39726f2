"""Which of a tenant's subjects a text may speak of: a question across subjects names them too."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

_VARIANTS = re.compile("([aou])e|(a)a")


def mentioned(text: str, subjects: Iterable[str]) -> tuple[str, ...]:
    """Subjects, and parts of their names, that the text seems to hold: rather too many than few.

    It only chooses what a redactor looks for: where a name stands is for the redactor to say. A
    part that thousands share comes once.
    """
    squeezed = _squeezed(text)
    found: dict[str, None] = {}
    seen: dict[str, bool] = {}
    for subject in subjects:
        parts = [part for part in re.findall(r"\w+", subject) if sum(map(str.isalpha, part)) > 1]
        for name in (subject, *parts):
            if name not in seen:
                letters = _squeezed(name)
                seen[name] = bool(letters) and letters in squeezed
            if seen[name]:
                found[name] = None
    return tuple(found)


def _squeezed(text: str) -> str:
    """Letters and digits alone, without case and accents, Müller and Mueller being one."""
    folded = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    return _VARIANTS.sub(r"\1\2", "".join(char for char in folded if char.isalnum()))
