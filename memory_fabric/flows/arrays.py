"""Adapters as named float32 arrays in safetensors bytes: difference, length, checks. No pickle."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from memory_fabric.core.training import update_refused

Arrays = Mapping[str, NDArray[np.float32]]
"""Arrays by the name of their layer."""

_HEADER = 1 << 20
"""Bytes that names and shapes may take beside the numbers."""


def unpacked(data: bytes) -> dict[str, NDArray[np.float32]]:
    """Arrays from safetensors bytes.

    Raises:
        InputError: ``update-malformed``: it is something else, or not float32.
    """
    try:
        # The format's own reader trusts the types that the header names.
        size = int.from_bytes(data[:8], "little")
        if size > _HEADER:
            raise ValueError
        json.loads(data[8 : 8 + size])
        arrays: dict[str, NDArray[np.float32]] = load(data)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError):
        raise update_refused("update-malformed", "is not in the format of adapters") from None
    if any(array.dtype != np.float32 for array in arrays.values()):
        raise update_refused("update-malformed", "is not of 32 bit numbers")
    return arrays


def packed(arrays: Arrays) -> bytes:
    """The inverse of ``unpacked``; the same arrays always give the same bytes."""
    ordered = {name: np.ascontiguousarray(arrays[name]) for name in sorted(arrays)}
    data: bytes = save(ordered)
    return data


def check(update: bytes, reference: Arrays, norm: float | None = None) -> Arrays:
    """An update's arrays, if each is finite and shaped as the adapter it changes.

    Args:
        update: safetensors bytes.
        reference: the adapter.
        norm: its Euclidean length at most; ``None`` for any.

    Raises:
        InputError: ``update-malformed``, ``update-oversized``, ``update-misshaped``,
            ``update-not-finite``, ``update-too-long``.
    """
    expected = sum(array.nbytes for array in reference.values())
    if len(update) > expected + _HEADER:
        raise update_refused("update-oversized", "is larger than the adapter it would change")
    arrays = unpacked(update)
    if {name: array.shape for name, array in arrays.items()} != {
        name: array.shape for name, array in reference.items()
    }:
        raise update_refused("update-misshaped", "has other layers or shapes than the adapter")
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise update_refused("update-not-finite", "holds NaN or infinity")
    # A hair of room for rounding to 32 bits.
    if norm is not None and length(arrays) > norm * 1.001:
        raise update_refused("update-too-long", "is longer than the task allows")
    return arrays


def length(arrays: Arrays) -> float:
    """Euclidean length over all numbers."""
    squares = (float(np.sum(np.square(array, dtype=np.float64))) for array in arrays.values())
    return math.sqrt(sum(squares))


def clipped_change(before: bytes, after: bytes, norm: float) -> tuple[bytes, float]:
    """What training changed, cut to a length; and its length before that.

    Raises:
        InputError: as ``check``: the training went wrong.
    """
    old = unpacked(before)
    new = check(after, old)
    change = {name: new[name] - old[name] for name in old}
    long = length(change)
    scale = np.float32(min(1.0, norm / long) if long else 1.0)
    update = packed({name: array * scale for name, array in change.items()})
    check(update, old, norm)
    return update, long


def changed(before: Arrays, change: Arrays) -> dict[str, NDArray[np.float32]]:
    """An adapter with an update added."""
    return {name: (before[name] + change[name]).astype(np.float32) for name in before}


def digest(data: bytes) -> str:
    """SHA-256 of an update's bytes, hexadecimal."""
    return hashlib.sha256(data).hexdigest()
