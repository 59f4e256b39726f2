"""The other runtime: transformers on torch, for what llama.cpp does not run here.

Slower and heavier (figures: ``docs/adr/0018-language-model.md``), and able to read what is in
Hugging Face's layout, such as a model that was trained further.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from memory_fabric.adapters.embedders.files import name_of
from memory_fabric.adapters.generators.frames import Messages, check_room, framed
from memory_fabric.core.errors import Unavailable
from memory_fabric.core.model_ports import Generated, Turn

Load = Callable[[], tuple[Any, Any]]
"""Makes the model and its tokenizer, of ``transformers``."""


class TransformersGenerator:
    """The port ``Generator`` over a causal language model of ``transformers``.

    Args:
        name: what people call the model.
        weights: a hash that names its weights.
        context: tokens of prompt and answer together.
        load: called with the first question.
    """

    def __init__(self, name: str, weights: str, context: int, load: Load) -> None:
        self._name = name
        self._weights = weights
        self._context = context
        self._load = load
        self._parts: tuple[Any, Any] | None = None
        self._lock = threading.Lock()

    @property
    def id(self) -> str:
        """Hash of weights and runtime."""
        return name_of(self._weights, "transformers")

    @property
    def name(self) -> str:
        """What people call it."""
        return f"{self._name} (transformers)"

    @property
    def context(self) -> int:
        """Tokens of prompt and answer together."""
        return self._context

    def count(self, text: str) -> int:
        """Tokens of a text."""
        return len(self._tokens(text, False))

    def measure(self, turns: Sequence[Turn]) -> int:
        """Tokens of a prompt with its frame."""
        return len(framed(self._template, self._tokens, turns))

    def generate(
        self, turns: Sequence[Turn], max_tokens: int, *, temperature: float = 0.0, seed: int = 0
    ) -> Generated:
        """The next turn."""
        import torch

        prompt = framed(self._template, self._tokens, turns)
        check_room(len(prompt), max_tokens, self._context)
        model, tokenizer = self._loaded()
        how = {"do_sample": True, "temperature": temperature} if temperature else {}
        asked = torch.tensor([prompt])
        with self._lock, torch.inference_mode(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            written = model.generate(
                asked,
                attention_mask=torch.ones_like(asked),
                max_new_tokens=max_tokens,
                pad_token_id=tokenizer.eos_token_id,
                **({"do_sample": False} | how),
            )[0][len(prompt) :]
        text = tokenizer.decode(written, skip_special_tokens=True)
        return Generated(str(text).strip(), len(prompt), len(written))

    def close(self) -> None:
        """Give the model up; the next question loads it again."""
        with self._lock:
            self._parts = None

    def _template(self, messages: Messages) -> str:
        _, tokenizer = self._loaded()
        written = tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        return str(written)

    def _tokens(self, text: str, control: bool) -> list[int]:
        _, tokenizer = self._loaded()
        read = tokenizer(text, add_special_tokens=False, split_special_tokens=not control)
        return [int(token) for token in read["input_ids"]]

    def _loaded(self) -> tuple[Any, Any]:
        with self._lock:
            if self._parts is None:
                self._parts = self._load()
            return self._parts


def load_folder(folder: Path) -> tuple[Any, Any]:
    """Model and tokenizer from a folder in Hugging Face's layout; its code is never run.

    Raises:
        Unavailable: ``model-tools-missing``, ``model-not-runnable``.
    """
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer
    except ImportError as error:
        raise tools_missing(error) from None
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForCausalLM.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise Unavailable(
            "model-not-runnable",
            f"The language model cannot be loaded: {type(error).__name__}.",
            "Look whether its folder is whole, or name another in site.toml.",
        ) from None
    return model.eval(), tokenizer


def tools_missing(error: ImportError) -> Unavailable:
    """What is said where torch or its companions are not installed."""
    return Unavailable(
        "model-tools-missing",
        f"This needs {error.name}, which is not installed.",
        "Install memory-fabric[train].",
    )
