"""A trainer whose work is done by a warm process of its own."""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from memory_fabric.adapters.training.base import DEFAULT_MODEL, TINY_MODEL, Source, source_of
from memory_fabric.adapters.training.frames import receive, send
from memory_fabric.core.errors import Unavailable
from memory_fabric.core.training import Adapter, Lesson, Task, update_refused

_PARTS = ("torch", "transformers", "peft")
_LOADING = 300.0
"""Seconds that the first unpacking and loading of a base model may take."""


class WorkerTrainer:
    """Trains adapters in a worker process, one task at a time. Starts it when first needed.

    Args:
        model: name or path of the base model, see ``base.source_of``.
        model_dir: where models are unpacked.
        step: called after each step and each batch measured.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        model_dir: Path = Path(),
        step: Callable[[], None] | None = None,
    ) -> None:
        self._named = model
        self._model_dir = model_dir
        self._step = step
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    @cached_property
    def _source(self) -> Source:
        return source_of(self._named, self._model_dir)

    @property
    def model(self) -> str:
        """What people call the base model."""
        return self._source.name

    @property
    def model_id(self) -> str:
        """Hash of its weights and tokenizer, hexadecimal."""
        return self._source.id

    @property
    def alive(self) -> bool:
        """Whether the worker runs now."""
        return self._process is not None and self._process.poll() is None

    def initial(self, adapter: Adapter, seed: int) -> bytes:
        """A new adapter of that shape, which changes nothing yet."""
        shape = {"rank": adapter.rank, "alpha": adapter.alpha, "targets": list(adapter.targets)}
        return self._ask({"op": "initial", "adapter": shape, "seed": seed}, b"", _LOADING)[1]

    def train(
        self, task: Task, arrays: bytes, texts: Sequence[str], heldout: Sequence[str]
    ) -> Lesson:
        """Measure the loss of an adapter on ``heldout``, then train it on ``texts``."""
        asked = {
            "op": "train", "task": task.to_json(), "texts": list(texts), "heldout": list(heldout)
        }  # fmt: skip
        told, made = self._ask(asked, arrays, task.seconds + (0 if self.alive else _LOADING))
        return Lesson(made, told["blocks"], tuple(told["losses"]), told["heldout"], told["loss"])

    def close(self) -> None:
        """End the worker."""
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                with contextlib.suppress(OSError):
                    pipe.close()

    def _ask(self, asked: dict[str, Any], data: bytes, seconds: float) -> tuple[Any, bytes]:
        with self._lock:
            process = self._started()
            late = threading.Event()

            def give_up() -> None:
                late.set()
                process.kill()

            timer = threading.Timer(seconds, give_up)
            timer.daemon = True
            timer.start()
            try:
                told, made = self._exchange(process, asked, data)
            except (OSError, EOFError):
                self.close()
                raise _late() if late.is_set() else _lost() from None
            finally:
                timer.cancel()
        return self._checked(told), made

    def _exchange(
        self, process: subprocess.Popen[bytes], asked: dict[str, Any], data: bytes
    ) -> tuple[dict[str, Any], bytes]:
        requests, replies = process.stdin, process.stdout
        if requests is None or replies is None:
            raise EOFError
        source = self._source
        where = {
            "name": source.name, "id": source.id,
            "folder": str(source.folder) if source.folder else None,
            "gguf": str(source.gguf) if source.gguf else None,
        }  # fmt: skip
        precision = "float32" if self._named == TINY_MODEL else "bfloat16"
        send(requests, {**asked, "source": where, "precision": precision}, data)
        while True:
            told, made = receive(replies)
            if told["kind"] != "step":
                return told, made
            if self._step:
                self._step()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.close()
        missing = [part for part in _PARTS if importlib.util.find_spec(part) is None]
        if missing:
            raise _not_installed(missing[0])
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "memory_fabric.adapters.training.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        return self._process

    def _checked(self, told: dict[str, Any]) -> dict[str, Any]:
        match told["kind"]:
            case "done":
                return told
            case "misshaped":
                raise update_refused("adapter-misshaped", "is not of the shape that its task names")
            case "not-installed":
                raise _not_installed(told["name"])
        raise Unavailable(
            "trainer-failed",
            f"Training failed: a {told['error']} in {told['place']}; nothing was released.",
            "Report it as a defect.",
        )


def _not_installed(name: str) -> Unavailable:
    return Unavailable(
        "training-not-installed",
        f"Training needs {name}, which is not installed.",
        "Install memory-fabric[train].",
    )


def _lost() -> Unavailable:
    return Unavailable(
        "trainer-lost",
        "The training worker ended in the middle of its work; nothing was released.",
        "The next task starts a new one; look whether the machine has memory enough.",
    )


def _late() -> Unavailable:
    return Unavailable(
        "training-late",
        "Training took longer than its task allows; it was ended and nothing was released.",
        "Ask for fewer steps, or allow more time.",
    )
