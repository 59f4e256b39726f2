"""The first of several runtimes that works on this machine."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from memory_fabric.core.errors import Unavailable
from memory_fabric.core.model_ports import Generated, Generator, Turn

_PROBE = [Turn("user", "Hello")]


class FirstThatRuns:
    """The port ``Generator`` over the first of its runners that answers a first token.

    Which one that is shows with the first question: a runner whose native code is missing, or
    crashes, says so as ``Unavailable``, and the next one is tried.

    Args:
        runners: at least one, best first.
    """

    def __init__(self, runners: Sequence[Generator]) -> None:
        self._runners = list(runners)
        self._chosen: Generator | None = None
        self._lock = threading.Lock()

    @property
    def id(self) -> str:
        """Of the runner that works."""
        return self._runner().id

    @property
    def name(self) -> str:
        """Of the runner that works."""
        return self._runner().name

    @property
    def context(self) -> int:
        """Tokens of prompt and answer together."""
        return self._runners[0].context

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return self._runner().count(text)

    def measure(self, turns: Sequence[Turn]) -> int:
        """Tokens of a prompt with its frame."""
        return self._runner().measure(turns)

    def generate(
        self, turns: Sequence[Turn], max_tokens: int, *, temperature: float = 0.0, seed: int = 0
    ) -> Generated:
        """The next turn."""
        return self._runner().generate(turns, max_tokens, temperature=temperature, seed=seed)

    def close(self) -> None:
        """End what was started."""
        for runner in self._runners:
            runner.close()

    def _runner(self) -> Generator:
        with self._lock:
            if self._chosen is None:
                self._chosen = self._probed()
            return self._chosen

    def _probed(self) -> Generator:
        for number, runner in enumerate(self._runners, 1):
            try:
                runner.generate(_PROBE, 1)
            except Unavailable:
                runner.close()
                if number == len(self._runners):
                    raise
            else:
                return runner
        raise TypeError("no runner was given")
