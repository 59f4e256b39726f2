"""Arrays as named parts of bytes and back; the first part says what the others are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_FORMAT = "memory-fabric/search-copy/2"
_ABOUT = "about"
Arrays = dict[str, npt.NDArray[Any]]


def frozen(dim: int, arrays: Mapping[str, npt.NDArray[Any]]) -> Iterator[tuple[str, memoryview]]:
    """The part that says what follows, then the arrays, without a copy where they lie in order."""
    shapes = {name: [array.dtype.str, *array.shape] for name, array in arrays.items()}
    about = json.dumps({"format": _FORMAT, "dim": dim, "arrays": shapes})
    yield _ABOUT, memoryview(about.encode())
    for name, array in arrays.items():
        yield name, as_bytes(array)


def as_bytes(array: npt.NDArray[Any]) -> memoryview:
    """The bytes of an array, in its own memory where it lies there in order."""
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    return memoryview(flat)  # type: ignore[arg-type]  # NumPy's types leave the buffer out


def thawed(dim: int, parts: Iterator[tuple[str, bytes | bytearray | memoryview]]) -> Arrays:
    """The arrays that ``frozen`` gave, from the front of the parts.

    Raises:
        ValueError: they are not those, or of vectors of another length.
    """
    name, block = next(parts, ("", b""))
    about = json.loads(bytes(block)) if name == _ABOUT else {}
    if about.get("format") != _FORMAT or about["dim"] != dim:
        raise ValueError("not a frozen search copy of this format and dimension")
    arrays: Arrays = {}
    for expected, (dtype, *shape) in about["arrays"].items():
        name, block = next(parts, ("", b""))
        if name != expected:
            raise ValueError("a part of the frozen search copy is missing")
        arrays[name] = np.frombuffer(block, dtype).reshape(shape)
    return arrays


def chosen(arrays: Mapping[str, npt.NDArray[Any]], prefix: str) -> Arrays:
    """The arrays whose names begin so, without it."""
    return {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }


def vector_parts(
    blocks: Iterable[npt.NDArray[np.float32]], held: npt.NDArray[np.bool_]
) -> Iterator[tuple[str, memoryview]]:
    """Vectors of the slots that are held, in parts as long as the blocks."""
    start = number = 0
    size, left = 0, list[npt.NDArray[np.float32]]()
    for block in blocks:
        size = size or len(block)
        kept = held[start : start + len(block)]
        start += len(block)
        left.append(block if kept.all() else block[kept])
        if sum(map(len, left)) >= size:
            rows = left[0] if len(left) == 1 else np.concatenate(left)
            yield f"vectors-{number}", as_bytes(rows[:size])
            number, left = number + 1, [rows[size:]] if len(rows) > size else []
    if left:
        yield f"vectors-{number}", as_bytes(np.concatenate(left))
