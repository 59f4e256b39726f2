"""From a text to the terms it is found by.

Words are runs of letters, marks and digits: case-folded, accents folded, English stop words left
out, the rest stemmed (Snowball English; other languages lose little by it, and lose the same on
both sides). Scripts that write no spaces between words become overlapping pairs of characters,
as in Lucene's CJK analyser.
"""

from __future__ import annotations

import re
import threading
import unicodedata

import Stemmer

_SPACELESS = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u30ff\u3130-\u318f\u3400-\u4dbf"
    "\u4e00-\u9fff\uac00-\ud7af\U00020000-\U0003134f"
)
"""Thai, Lao, Burmese, Hangul, Khmer, kana and Han."""
_INDIC_MARKS = "\u0900-\u0963\u0966-\u0dff"
"""Vowel signs are not ``\\w`` to Python, and a word must not break at them."""
_TOKEN = re.compile(
    rf"(?P<pairs>[{_SPACELESS}]+)|(?P<word>(?:(?![{_SPACELESS}])[\w{_INDIC_MARKS}])+)"
)
_ASCII_WORD = re.compile(r"[a-z0-9]+")
"""What ``_TOKEN`` finds in folded ASCII, in a fraction of the time."""
_ACCENTS = re.compile("[\u0300-\u036f\u0640\u064b-\u065f]")
_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "æ": "ae", "œ": "oe",
                          "\u0131": "i", "_": " ", "\u2019": "'"})  # fmt: skip
_CLITIC = re.compile(r"(?<=\w)(?:n't|'(?:s|re|ve|ll|d|m))\b")

STOP_WORDS = frozenset(
    "a about all am an and any are as at be been but by can could did do does for from had has "
    "have he her him his how i if in into is it its me my no not of on or our she so such that "
    "the their them then there these they this to us was we were what when where which who why "
    "will with would you your".split()
)

_local = threading.local()


def words(text: str, query: bool = False) -> list[str]:
    """The terms of a text, in order, with repetitions.

    A single character of a spaceless script is a term of its own; a text has one for each of its
    characters besides the pairs, a query only where it asks for that character alone.
    """
    plain = _CLITIC.sub(" ", fold(text))
    if plain.isascii():
        return _stems([word for word in _ASCII_WORD.findall(plain) if word not in STOP_WORDS])
    found: list[str] = []
    for token in _TOKEN.finditer(plain):
        run = token["pairs"]
        if run is None:
            word = token["word"]
            if word not in STOP_WORDS:
                found += _stems([word])
            continue
        found += [run[at : at + 2] for at in range(len(run) - 1)]
        if len(run) == 1 or not query:
            found += run
    return found


def fold(text: str) -> str:
    """Compatibility forms, case and accents removed; other scripts keep their vowel signs."""
    if text.isascii():
        return text.lower().replace("_", " ")
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    bare = unicodedata.normalize("NFKC", _ACCENTS.sub("", decomposed))
    return bare.casefold().translate(_LETTERS)


def _stems(words: list[str]) -> list[str]:
    stemmer: Stemmer.Stemmer | None = getattr(_local, "stemmer", None)
    if stemmer is None:  # a stemmer must not be shared between threads
        stemmer = _local.stemmer = Stemmer.Stemmer("english")
    stems: list[str] = stemmer.stemWords(words)
    return stems
