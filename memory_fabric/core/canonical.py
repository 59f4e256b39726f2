"""Canonical JSON: one value, one sequence of bytes, so that it can be hashed and signed.

A subset of RFC 8785 (JCS): objects with sorted string keys, arrays, strings, integers, booleans
and null. Floats are refused rather than rounded: numbers that matter here are whole or text.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any


def canonical(value: Any) -> bytes:
    """The canonical UTF-8 bytes of a JSON value.

    Raises:
        TypeError: the value holds a float, a non-string key or anything that is not JSON.
    """
    _check(value)
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical bytes, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical(value)).hexdigest()


def _check(value: Any) -> None:
    match value:
        case None | bool() | int() | str():
            return
        case list() | tuple():
            for item in value:
                _check(item)
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    raise TypeError(f"a canonical object has string keys, not {type(key).__name__}")
                _check(item)
        case _:
            raise TypeError(f"{type(value).__name__} has no canonical form")
