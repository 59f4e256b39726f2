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
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import Stemmer

from memory_fabric.adapters.search.columns import Interned, Strings, taken

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
_END = "\n"
_ASCII_WORD_OR_END = re.compile(rf"[a-z0-9]+|{_END}")
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


class Analyser:
    """From texts to the numbers of their terms. One thread at a time may analyse."""

    def __init__(self) -> None:
        self._terms = Interned()
        self._seen: dict[str, int] = {}

    @property
    def nbytes(self) -> int:
        """Bytes of memory taken, those of words lately seen estimated."""
        return self._terms.nbytes + 100 * len(self._seen)

    def analysed(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """The numbers of the terms of texts, with repetitions, and for each of them the place of
        the text that holds it; new terms get the next numbers.

        Texts in ASCII are searched for words all at once: that is ten times as fast.
        """
        plain = [at for at, text in enumerate(texts) if text.isascii()]
        joined = _END.join([fold(texts[at]).replace(_END, " ") for at in plain])
        if "'" in joined:
            joined = _CLITIC.sub(" ", joined)
        found = _ASCII_WORD_OR_END.findall(joined)
        if len(self._seen) >= _SEEN:
            self._seen.clear()
        self._seen[_END] = -2
        if new := set(found).difference(self._seen):
            self._learn(list(new))
        numbers = np.fromiter(map(self._seen.__getitem__, found), np.int32, len(found))
        places = np.array(plain, np.int32)[np.cumsum(numbers == -2)] if plain else numbers
        kept = numbers >= 0
        numbers, places = numbers[kept], places[kept]
        if len(plain) == len(texts):
            return numbers, places
        others = [
            (self._terms.number(term.encode()), at)
            for at, text in enumerate(texts)
            if not text.isascii()
            for term in words(text)
        ]
        more = np.array(others, np.int32).reshape(-1, 2)
        return np.append(numbers, more[:, 0]), np.append(places, more[:, 1])

    def find(self, term: str) -> int | None:
        """The number of a term, or ``None`` where no text holds it."""
        return self._terms.find(term.encode())

    def named(
        self, numbers: npt.NDArray[np.int32]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
        """The terms with these numbers, ascending: one block, and where each ends in it."""
        strings = self._terms.strings
        return taken(strings.block, strings.ends, numbers.astype(np.int64))

    def known(
        self, block: npt.NDArray[np.uint8], ends: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.int32]:
        """Begin with these terms; their numbers."""
        self._terms = Interned(Strings.of(block, ends))
        return np.arange(len(ends), dtype=np.int32)

    def _learn(self, words: Sequence[str]) -> None:
        """Give words the numbers of the terms that they become, -1 to stop words."""
        for word, stem in zip(words, _stems(list(words)), strict=True):
            stop = word in STOP_WORDS
            self._seen[word] = -1 if stop else self._terms.number(stem.encode())


_SEEN = 200_000


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
