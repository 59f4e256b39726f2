"""What a site and its training worker say to each other: JSON and bytes, through pipes only.

frame = length of the JSON (4 bytes, big-endian) | length of the bytes (8) | JSON | bytes
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

_LONGEST = 1 << 31


def send(pipe: IO[bytes], message: Mapping[str, Any], data: bytes = b"") -> None:
    """Write one frame.

    Raises:
        OSError: the other end is gone.
    """
    head = json.dumps(message).encode()
    pipe.write(len(head).to_bytes(4, "big") + len(data).to_bytes(8, "big") + head + data)
    pipe.flush()


def receive(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read one frame.

    Raises:
        EOFError: the other end is gone.
    """
    sizes = _exactly(pipe, 12)
    head = _exactly(pipe, int.from_bytes(sizes[:4], "big"))
    message: dict[str, Any] = json.loads(head)
    return message, _exactly(pipe, int.from_bytes(sizes[4:], "big"))


def _exactly(pipe: IO[bytes], size: int) -> bytes:
    if size > _LONGEST:
        raise EOFError
    data = pipe.read(size)
    if len(data) != size:
        raise EOFError
    return data
