"""A language model that says what a test tells it to, and remembers what it was asked."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from memory_fabric.core.errors import InputError
from memory_fabric.core.model_ports import Generated, Turn


def top_note(prompt: str) -> str:
    """What the best note says, and its number."""
    lines = [line for line in prompt.splitlines() if line.startswith("[1] ")]
    return f"{lines[0].removeprefix('[1] ')} [1]" if lines else "I don't know."


class ScriptedGenerator:
    """The port ``Generator``: a token is a word, a frame takes two for each turn.

    Args:
        say: the answer to a prompt; the best note where left out.
    """

    def __init__(self, say: Callable[[str], str] = top_note, context: int = 1024) -> None:
        self.say = say
        self._context = context
        self.prompts: list[str] = []
        self.closed = 0

    @property
    def id(self) -> str:
        return hashlib.sha256(b"scripted").hexdigest()

    @property
    def name(self) -> str:
        return "scripted"

    @property
    def context(self) -> int:
        return self._context

    def count(self, text: str) -> int:
        return len(text.split())

    def measure(self, turns: Sequence[Turn]) -> int:
        return sum(2 + self.count(turn.text) for turn in turns)

    def generate(
        self, turns: Sequence[Turn], max_tokens: int, *, temperature: float = 0.0, seed: int = 0
    ) -> Generated:
        size = self.measure(turns)
        if size + max_tokens > self._context:
            raise InputError("prompt-too-long", "The prompt does not fit.", "Ask for less.")
        prompt = "\n".join(turn.text for turn in turns)
        self.prompts.append(prompt)
        said = " ".join(self.say(prompt).split()[:max_tokens])
        return Generated(said, size, self.count(said))

    def close(self) -> None:
        self.closed += 1
