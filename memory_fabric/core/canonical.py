"""Canonical JSON: one value, one sequence of bytes, so that it can be hashed and signed.

A subset of RFC 8785 (JCS): objects with sorted string keys, arrays, strings, integers, booleans
and null. Floats are refused rather than rounded: numbers that matter here are whole or text.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

_LEAVES = frozenset({str, int, bool, type(None)})
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def canonical(value: Any) -> bytes:
    """The canonical UTF-8 bytes of a JSON value.

    Raises:
        TypeError: the value holds a float, a non-string key or anything that is not JSON.
    """
    _check(value)
    return _ENCODER.encode(value).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _check(value: Any) -> None:
    # Receipts hold thousands of words: leaves are told by their type before anything is called.
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise TypeError(f"a canonical object has string keys, not {type(key).__name__}")
        value = value.values()
    elif not isinstance(value, (list, tuple)):
        if value is None or isinstance(value, (bool, int, str)):
            return
        raise TypeError(f"{type(value).__name__} has no canonical form")
    if not _LEAVES.issuperset(map(type, value)):
        for item in value:
            if type(item) not in _LEAVES:
                _check(item)
