"""A receipt's audit path, climbed from its leaf to the signed root: the proof as a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from memory_fabric.core.merkle import node_hash


@dataclass(frozen=True)
class Step:
    """One level up.

    Attributes:
        sibling: the hash that the proof brings, hexadecimal.
        from_left: on which side it stands.
        reached: the hash of both.
        y: of the pair; ``above`` is the level it leads to.
    """

    sibling: str
    from_left: bool
    reached: str
    y: int
    above: int


@dataclass(frozen=True)
class Climb:
    """The whole way.

    Attributes:
        holds: whether it ends at the checkpoint's root.
        height: of the picture; ``top`` is where the root stands in it.
    """

    leaf: str
    steps: tuple[Step, ...]
    root: str
    holds: bool
    height: int
    top: int


_STEP, _TOP, _FOOT = 46, 40, 36


def climb(proof: Mapping[str, Any]) -> Climb:
    """Verify as RFC 9162, 2.1.3.2 does, and keep each step for the eye."""
    index, last = int(proof["index"]), int(proof["checkpoint"]["size"]) - 1
    path = [bytes.fromhex(sibling) for sibling in proof["path"]]
    height = _TOP + len(path) * _STEP + _FOOT
    reached = bytes.fromhex(proof["leaf"])
    steps, y = [], height - _FOOT
    for sibling in path:
        from_left = bool(index % 2) or index == last
        reached = node_hash(sibling, reached) if from_left else node_hash(reached, sibling)
        steps.append(Step(sibling.hex(), from_left, reached.hex(), y, y - _STEP))
        y -= _STEP
        while from_left and index % 2 == 0 and index:
            index, last = index >> 1, last >> 1
        index, last = index >> 1, last >> 1
    root = proof["checkpoint"]["root"]
    return Climb(proof["leaf"], tuple(steps), root, last == 0 and reached.hex() == root, height, y)
