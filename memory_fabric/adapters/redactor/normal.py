"""One spelling for one text, so that nothing hides in how it is encoded."""

from __future__ import annotations

import re
import unicodedata

from memory_fabric.core.errors import Unavailable

_INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0"
    "\U000e0000-\U000e0fff]"
)
"""Default-ignorable code points that are not of the category Cf."""
_SPACES = {"\t", "\n", "\r", "\x0b", "\x0c", "\x85"}
_NEW_EMOJI = range(0x1F000, 0x20000)
"""Pictures that the Unicode tables in use may not know yet; none of them is a letter."""


def normal(text: str) -> str:
    """Compatibility-composed text without invisible characters; digits, dashes, spaces as ASCII.

    Raises:
        Unavailable: ``redaction-impossible``.
    """
    previous = None
    while text != previous:  # removing a character may let its neighbours compose
        previous = text
        text = "".join(map(_plain, unicodedata.normalize("NFKC", _INVISIBLE.sub("", text))))
    return text


def _plain(char: str) -> str:
    if char.isascii() and char.isprintable():
        return char
    match unicodedata.category(char):
        case "Nd":
            return str(unicodedata.decimal(char))
        case "Pd":
            return "-"
        case "Zs":
            return " "
        case "Zl" | "Zp":
            return "\n"
        case "Cf":
            return ""
        case "Cc" if char in _SPACES:
            return char
        case "Cn" if ord(char) in _NEW_EMOJI:
            return char
        case "Cc" | "Cs" | "Co" | "Cn":
            raise impossible()
        case _:
            if char == "\ufffd":
                raise impossible()
            return char


def impossible() -> Unavailable:
    """The error for a text, or a name, that cannot be read for certain."""
    return Unavailable(
        "redaction-impossible",
        "A text or a name cannot be read for certain, so that a person in it may go unmasked.",
        "Store it as plain Unicode text, without control or private-use characters.",
    )
