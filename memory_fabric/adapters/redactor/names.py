"""Finding given names in a text: whole and in parts, whatever their case, accents or spelling."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from itertools import pairwise

from memory_fabric.adapters.redactor.normal import impossible
from memory_fabric.adapters.redactor.spans import Span

_EXPANDED = {"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae", "œ": "oe",
             "þ": "th"}  # fmt: skip
_OPTIONAL = {("a", "e"), ("o", "e"), ("u", "e"), ("a", "a")}
_BARE = {"ø": "o", "ł": "l", "đ": "d", "ð": "d", "æ": "ae", "œ": "oe", "þ": "th", "\u0131": "i"}
_LOOKALIKES = dict(
    zip(
        "\u0430\u0432\u0435\u043a\u043c\u043d\u043e\u0440\u0441\u0442\u0443\u0445\u0456\u0458\u0455"
        "\u0501\u051b\u03b1\u03b5\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7"
        "\u1d00\u0299\u1d04\u1d05\u1d07\ua730\u0262\u029c\u026a\u1d0a\u1d0b\u029f\u1d0d\u0274\u1d0f"
        "\u1d18\u0280\ua731\u1d1b\u1d1c\u1d20\u1d21\u028f\u1d22\u0251\u0261",
        "abekmhopctyxijsdqaeikvoptuxabcdefghijklmnoprstuvwyzag",
        strict=True,
    )
)
"""Letters that look like Latin ones (Cyrillic, Greek, small capitals, phonetic), as Latin: in text
and name alike.
"""

_LINE_END = r"(?:-?[ \t]*\n[ \t]*)?"
"""A word may go on in the next line, with a hyphen or, where that was a soft one, without."""
_SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u11ff\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
    "\U00020000-\U0003134f]"
)
_COMMON = frozenset(
    "a al am an and are as at be by can da das de del den der des di die do dos du el en et for "
    "from had has have he her his i if in is it la le los may me mr mrs ms my no not of on or our "
    "so the to und us van von was we were will with you".split()
)
"""Words that are part of names and of every text: masked only where written with a capital."""


def name_spans(names: Sequence[str]) -> Callable[[str], list[Span]]:
    """A finder of these names, which are in normal form.

    Raises:
        Unavailable: ``redaction-impossible``, a name has nothing that could be recognised.
    """
    patterns: set[str] = set()
    capitals: set[str] = set()
    for name in names:
        whole = _words(name)
        patterns.add(_pattern(whole) if whole else _literal(name))
        for part in whole:
            if sum(map(str.isalpha, part)) < 2:
                continue
            (capitals if len(whole) > 1 and _fold(part) in _COMMON else patterns).add(
                _pattern([part])
            )
            patterns.update(_pattern([piece]) for piece in _given_names(part))
    always, sometimes = _compiled(patterns), _compiled(capitals)

    def find(text: str) -> list[Span]:
        folded, places = _folded(text)
        found = [_span(match, text, places) for match in always.finditer(folded)]
        return found + [
            span
            for match in sometimes.finditer(folded)
            if text[(span := _span(match, text, places))[0]].isupper()
        ]

    return find


def _words(name: str) -> list[str]:
    """Runs of letters, marks and digits that hold more than marks."""
    kept = (char if unicodedata.category(char)[0] in "LMN" else " " for char in name)
    return [word for word in "".join(kept).split() if _fold(word)]


def _literal(name: str) -> str:
    """A name without any letter is looked for as it stands; one of marks alone cannot be."""
    folded = _fold(name).strip()
    if not folded:
        raise impossible()
    return re.escape(folded)


def _given_names(part: str) -> list[str]:
    """The halves of a name written without a space: 王小明 is 小明 to friends."""
    if len(part) < 3 or not all(map(_SPACELESS.match, part)):
        return []
    return [part[1:]] if len(part) == 3 else [part[:2], part[2:]]


def _pattern(words: Sequence[str]) -> str:
    """A regular expression over folded text for these words in a row."""
    spelled = [_fold("".join(_EXPANDED.get(char, char) for char in word.casefold()))
               for word in words]  # fmt: skip
    close = r"[\W_]{0,3}".join(_letters(word, _LINE_END) for word in spelled)
    letters = "".join(spelled)
    if _SPACELESS.search(letters):
        return close
    apart = "" if len(letters) < 4 else "|" + _letters(letters, r"[\W_]{1,2}")
    before = r"(?<!\d)" if letters[:1].isdigit() else r"(?<![^\W\d_])"
    after = r"(?!\d)" if letters[-1:].isdigit() else r"s?(?![^\W\d_])"
    return f"{before}(?:{close}{apart}){after}"


def _letters(word: str, between: str) -> str:
    """Müller, Mueller and Muller are one: an e after a, o or u may be missing."""
    parts = [re.escape(word[0])]
    for pair in pairwise(word):
        letter = between + re.escape(pair[1])
        parts.append(f"(?:{letter})?" if pair in _OPTIONAL else letter)
    return "".join(parts)


def _fold(text: str) -> str:
    return _folded(text)[0]


def _folded(text: str) -> tuple[str, list[int]]:
    """Text without case and accents, and for each of its characters the place it came from."""
    letters: list[str] = []
    places: list[int] = []
    for place, char in enumerate(text):
        for piece in unicodedata.normalize("NFKD", char).casefold():
            if unicodedata.category(piece)[0] != "M":
                bare = _LOOKALIKES.get(piece) or _BARE.get(piece, piece)
                letters.append(bare)
                places += [place] * len(bare)
    return "".join(letters), places


def _span(match: re.Match[str], text: str, places: list[int]) -> Span:
    end = places[match.end() - 1] + 1
    while end < len(text) and unicodedata.category(text[end])[0] == "M":
        end += 1
    return places[match.start()], end, "PERSON"


def _compiled(patterns: set[str]) -> re.Pattern[str]:
    longest_first = sorted(patterns, key=lambda pattern: (-len(pattern), pattern))
    return re.compile("|".join(longest_first) or r"(?!)")
