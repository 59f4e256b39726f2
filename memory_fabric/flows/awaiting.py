"""Training tasks that are out, and what their answers must fit."""

from __future__ import annotations

from dataclasses import dataclass, field

from memory_fabric.core.training import Task
from memory_fabric.flows.arrays import Arrays
from memory_fabric.vault.letters import SealedLetter


@dataclass(frozen=True)
class Awaited:
    """A task that is out at one site, and the adapter whose shape the answer must have."""

    letter: SealedLetter
    task: Task
    shape: Arrays = field(repr=False)
