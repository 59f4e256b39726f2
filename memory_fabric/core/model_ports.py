"""Ports to models: what embeds, what answers, what trains. Adapters implement them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from memory_fabric.core.memory import Vector
from memory_fabric.core.training import Adapter, Lesson, Task


class Embedder(Protocol):
    """Texts to vectors."""

    @property
    def id(self) -> str:
        """Hash of source weights, tokenizer, pooling and precision, hexadecimal."""
        ...

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def dim(self) -> int:
        """Length of a vector."""
        ...

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One vector a text (see ``core.memory.Vector``), in order."""
        ...


@dataclass(frozen=True)
class Turn:
    """One turn of a conversation with a language model: ``system``, ``user`` or ``assistant``."""

    role: str
    text: str


@dataclass(frozen=True)
class Generated:
    """What a language model wrote, and what it read and wrote in tokens."""

    text: str
    tokens_in: int
    tokens_out: int


class Generator(Protocol):
    """A language model that answers. It is handed released data only, and keeps none of it."""

    @property
    def id(self) -> str:
        """Hash of the weights' file and of what runs them, hexadecimal."""
        ...

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def context(self) -> int:
        """Tokens that prompt and answer may have together."""
        ...

    def count(self, text: str) -> int:
        """Tokens of a text, without any frame."""
        ...

    def measure(self, turns: Sequence[Turn]) -> int:
        """Tokens of a whole prompt, the model's own frame around its turns included."""
        ...

    def generate(
        self, turns: Sequence[Turn], max_tokens: int, *, temperature: float = 0.0, seed: int = 0
    ) -> Generated:
        """The next turn; the same for the same input, seed and machine.

        Raises:
            InputError: ``prompt-too-long``, prompt and answer do not fit the context.
            Unavailable: ``model-not-runnable``, the model's process does not run.
        """
        ...

    def close(self) -> None:
        """End the model's process, if there is one. The next call starts it again."""
        ...


class Trainer(Protocol):
    """Trains adapters of one base model. Adapters are safetensors bytes, by name of layer."""

    @property
    def model(self) -> str:
        """What people call the base model."""
        ...

    @property
    def model_id(self) -> str:
        """Hash of its weights and tokenizer, hexadecimal.

        Raises:
            Unavailable: ``model-missing``.
        """
        ...

    def initial(self, adapter: Adapter, seed: int) -> bytes:
        """A new adapter of that shape, which changes nothing yet.

        Raises:
            Unavailable: ``training-not-installed``, ``trainer-lost``.
        """
        ...

    def train(
        self, task: Task, arrays: bytes, texts: Sequence[str], heldout: Sequence[str]
    ) -> Lesson:
        """Measure the loss of an adapter on ``heldout``, then train it on ``texts``.

        Raises:
            InputError: ``adapter-misshaped``.
            Unavailable: ``training-not-installed``, ``trainer-lost``, ``training-late``.
        """
        ...
