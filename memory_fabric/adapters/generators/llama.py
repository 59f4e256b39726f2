"""The usual runtime: llama.cpp (``xllamacpp``, MIT), in a process of its own.

Native code that reads a model's file can crash, and here it takes only its own process along. The
process starts with the first question, stays warm, and ends with the site.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx

from memory_fabric.adapters.embedders.files import name_of
from memory_fabric.adapters.generators.frames import Messages, check_room, framed
from memory_fabric.adapters.generators.models import Weights
from memory_fabric.adapters.transport import bindable
from memory_fabric.core.errors import Unavailable
from memory_fabric.core.model_ports import Generated, Turn

_WORKER = Path(__file__).with_name("llama_worker.py")
_START = 120.0
"""Seconds that a model may take to load."""
_TIMEOUT = httpx.Timeout(600.0, connect=5.0)


class LlamaGenerator:
    """The port ``Generator`` over a llama.cpp server.

    Args:
        weights: a GGUF file.
        context: tokens of prompt and answer together.
        threads: of the process.
    """

    def __init__(self, weights: Weights, context: int, threads: int) -> None:
        self._weights = weights
        self._context = context
        self._threads = threads
        self._server: _Server | None = None
        self._lock = threading.Lock()

    @property
    def id(self) -> str:
        """Hash of weights and runtime."""
        return name_of(self._weights.sha256, "llama.cpp")

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self._weights.name} (llama.cpp)"

    @property
    def context(self) -> int:
        """Tokens of prompt and answer together."""
        return self._context

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self._tokens(text, False))

    def measure(self, turns: Sequence[Turn]) -> int:
        """Tokens of a prompt with its frame."""
        return len(self._prompt(turns))

    def generate(
        self, turns: Sequence[Turn], max_tokens: int, *, temperature: float = 0.0, seed: int = 0
    ) -> Generated:
        """The next turn."""
        prompt = self._prompt(turns)
        check_room(len(prompt), max_tokens, self._context)
        reply = self._post("/completion", {
            "prompt": prompt, "n_predict": max_tokens, "temperature": temperature, "seed": seed,
            "cache_prompt": False,
        })  # fmt: skip
        return Generated(str(reply["content"]).strip(), len(prompt), int(reply["tokens_predicted"]))

    def close(self) -> None:
        """End the process; the next question starts it again."""
        with self._lock:
            if self._server:
                self._server.end()
            self._server = None

    def start(self) -> None:
        """Start the process now, for whoever wants to know whether it runs.

        Raises:
            Unavailable: ``model-not-runnable``.
        """
        self._running()

    def _prompt(self, turns: Sequence[Turn]) -> list[int]:
        return framed(self._template, self._tokens, turns)

    def _template(self, messages: Messages) -> str:
        return str(self._post("/apply-template", {"messages": messages})["prompt"])

    def _tokens(self, text: str, control: bool) -> list[int]:
        asked = {"content": text, "add_special": False, "parse_special": control}
        return [int(token) for token in self._post("/tokenize", asked)["tokens"]]

    def _post(self, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """One call; a process that is found dead is replaced once."""
        for _ in range(2):
            try:
                return self._running().post(path, asked)
            except httpx.HTTPError:
                self.close()
        raise _not_runnable("stopped in the middle of a question")

    def _running(self) -> _Server:
        with self._lock:
            if self._server is None or not self._server.alive:
                if self._server:
                    self._server.end()
                self._server = _Server(self._weights.path, self._context, self._threads)
            return self._server


class _Server:
    """One run of the worker, ready to answer once made."""

    def __init__(self, model: Path, context: int, threads: int) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="memory-fabric-model-"))
        self._key = secrets.token_urlsafe(32)
        order = {
            "model": str(model.resolve()), "context": context, "threads": threads,
            "folder": str(self._folder), "key": self._key,
        }  # fmt: skip
        self._process = subprocess.Popen(  # noqa: S603 - our own file, by our own interpreter
            [sys.executable, "-P", str(_WORKER)],
            env=_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            # An interrupt at the terminal is for the site, which finishes its answers first.
            start_new_session=True,
        )
        self._bound = bindable(self._folder / "model.sock")
        transport = httpx.HTTPTransport(uds=self._bound.__enter__())
        self._client = httpx.Client(
            transport=transport,
            base_url="http://model",
            timeout=_TIMEOUT,
            headers={"authorization": f"Bearer {self._key}"},
        )
        try:
            self._order(order)
            self._wait()
        except BaseException:
            self.end()
            raise

    @property
    def alive(self) -> bool:
        """Whether the process still runs."""
        return self._process.poll() is None

    def post(self, path: str, asked: Mapping[str, Any]) -> dict[str, Any]:
        """One call. Raises ``httpx.HTTPError``."""
        reply = self._client.post(path, json=asked)
        reply.raise_for_status()
        answered: dict[str, Any] = reply.json()
        return answered

    def end(self) -> None:
        """End the process and remove its socket."""
        self._client.close()
        self._bound.__exit__(None, None, None)
        if self._process.stdin:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
        try:
            self._process.wait(2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _order(self, order: Mapping[str, Any]) -> None:
        if self._process.stdin is None:
            raise _not_runnable("has no standard input")
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()

    def _wait(self) -> None:
        until = time.monotonic() + _START
        while time.monotonic() < until:
            if not self.alive:
                raise _not_runnable(f"ended with code {self._process.returncode} while it loaded")
            with suppress(httpx.TransportError):
                if self._client.get("/health").is_success:
                    return
            time.sleep(0.05)
        raise _not_runnable(f"was not ready after {_START:.0f} s")


def _environment() -> dict[str, str]:
    """Ours without what the model's process has no business to know."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("MEMORY_FABRIC_") and name != "DATABASE_URL"
    }
    # Threads that spin while they wait take the machine from everything else.
    return {**kept, "OMP_WAIT_POLICY": "PASSIVE"}


def _not_runnable(how: str) -> Unavailable:
    return Unavailable(
        "model-not-runnable",
        f"The language model's process {how}.",
        "Look whether the model's file is whole and fits into memory, or name another in "
        "site.toml.",
    )
