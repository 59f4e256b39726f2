"""The byte scan: what was remembered is looked for in every byte of every file."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

SHORTEST = 8
"""Bytes of a pattern at least: anything shorter turns up by chance."""

_CHUNK = 1 << 22
_OVERLAP = 1 << 10
_WORD = re.compile(r"[^\W_][\w@.+-]{6,}[^\W_]")
_DIGIT = re.compile(r"\d")
_LONG = 12
_WORDS_A_TEXT = 3
_PIECE = 24
_SLICE = 32


@dataclass(frozen=True)
class Scanned:
    """What a scan read (``size`` in bytes), and where it met patterns: one file for each."""

    files: int
    size: int
    patterns: int
    found: dict[bytes, Path]


def scan(roots: Iterable[Path], patterns: Iterable[bytes]) -> Scanned:
    """Look for all patterns at once in all files below some folders.

    Each 8-byte window of a file is looked up among the patterns' beginnings, and a hit is then
    compared in full; so the time hardly depends on how many patterns there are.
    """
    wanted: dict[int, list[bytes]] = {}
    for pattern in set(patterns):
        wanted.setdefault(int.from_bytes(pattern[:SHORTEST], "little"), []).append(pattern)
    heads = np.array(sorted(wanted), dtype="<u8")
    found: dict[bytes, Path] = {}
    files = total = 0
    for path in _files(roots):
        files += 1
        for chunk, fresh in _chunks(path):
            total += fresh
            for offset in range(SHORTEST):
                windows = np.frombuffer(chunk, "<u8", (len(chunk) - offset) // SHORTEST, offset)
                for hit in np.flatnonzero(np.isin(windows, heads)):
                    start = offset + SHORTEST * int(hit)
                    for pattern in wanted[int(windows[hit])]:
                        if chunk.startswith(pattern, start):
                            found.setdefault(pattern, path)
    return Scanned(files, total, sum(map(len, wanted.values())), found)


def text_patterns(texts: Iterable[str]) -> set[bytes]:
    """Pieces of each text that cannot stand in a file by chance, in every spelling.

    These are its opening, its middle and its end, and its longest words among those that hold a
    digit or are long: a log and a database have ordinary words of their own.
    """
    tokens: set[str] = set()
    for text in texts:
        rare = {word for word in _WORD.findall(text) if len(word) >= _LONG or _DIGIT.search(word)}
        tokens.update(sorted(rare, key=lambda word: (-len(word), word))[:_WORDS_A_TEXT])
        middle = max(0, len(text) // 2 - _PIECE // 2)
        tokens |= {text[:_PIECE], text[middle : middle + _PIECE], text[-_PIECE:]}
    return spelled(tokens)


def spelled(tokens: Iterable[str]) -> set[bytes]:
    """Tokens as they could stand in a file: UTF-8, UTF-16, small letters, Base64.

    What is shorter than ``SHORTEST`` in a spelling is left out.
    """
    raw: set[bytes] = set()
    for token in tokens:
        for word in (token, token.lower()):
            plain = word.encode()
            raw |= {plain, word.encode("utf-16-le"), *_base64(plain)}
    return {pattern for pattern in raw if len(pattern) >= SHORTEST}


def slices(blobs: Iterable[bytes]) -> set[bytes]:
    """Beginning, middle and end of each blob: vectors as float32, or sealed records."""
    return {
        blob[start : start + _SLICE]
        for blob in blobs
        for start in (0, len(blob) // 2, len(blob) - _SLICE)
    }


def _base64(plain: bytes) -> Iterator[bytes]:
    """What Base64 makes of some bytes at each of three places, without what depends on
    their neighbours.
    """
    for before in range(3):
        whole = len(plain) - (before + len(plain)) % 3
        coded = base64.b64encode(b"\0" * before + plain[:whole])
        yield coded[4 if before else 0 :]


def _files(roots: Iterable[Path]) -> Iterator[Path]:
    for root in roots:
        yield from sorted(path for path in root.rglob("*") if path.is_file())


def _chunks(path: Path) -> Iterator[tuple[bytes, int]]:
    """A file in pieces that overlap, each with the number of its bytes not seen before."""
    tail = b""
    with path.open("rb") as file:
        while piece := file.read(_CHUNK):
            chunk = tail + piece
            # Padded, so that the windows cover its last bytes too.
            yield chunk + b"\0" * SHORTEST, len(piece)
            tail = chunk[-_OVERLAP:]
