"""The training worker: ``python -m memory_fabric.adapters.training.worker``, started by a site.

It stays warm between rounds: the base model is loaded once. Texts reach it through its standard
input and are written nowhere; its standard error leads nowhere, and errors go back as a type and a
place, never as a text that could quote what it failed on.
"""

from __future__ import annotations

import os
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from memory_fabric.adapters.training.base import Base, Source, blocks, load_base
from memory_fabric.adapters.training.frames import receive, send
from memory_fabric.core.training import ANSWER

_MASKED = -100
_BATCH = 8


class Learner:
    """A base model with the adapter that is being trained on it."""

    def __init__(self, source: Source, precision: str) -> None:
        import torch

        torch.set_num_threads(min(2, os.cpu_count() or 1))
        self._torch = torch
        self._base: Base = load_base(source, precision)
        self._shape: dict[str, Any] | None = None
        self._model: Any = None

    def initial(self, shape: dict[str, Any], seed: int) -> bytes:
        """A new adapter: random in one factor, zero in the other."""
        self._torch.manual_seed(seed)
        self._shape = None
        self._take(shape)
        return self._arrays()

    def train(
        self,
        task: dict[str, Any],
        arrays: bytes,
        texts: Sequence[str],
        heldout: Sequence[str],
        step: Callable[[], None],
    ) -> tuple[dict[str, Any], bytes]:
        """Measure, then train; what came of it, and the adapter."""
        self._take(task["adapter"])
        self._put(arrays)
        loss = self._loss(heldout, task["tokens"], step) if heldout else None
        if not task["steps"]:
            return {"blocks": 0, "losses": [], "heldout": len(heldout), "loss": loss}, b""
        lesson = blocks(self._base, texts, task["tokens"])
        if not lesson:
            lesson = blocks(self._base, list(texts) * task["tokens"], task["tokens"])
        losses = list(self._steps(lesson, task, step))
        told = {"blocks": len(lesson), "losses": losses, "heldout": len(heldout), "loss": loss}
        return told, self._arrays()

    def _take(self, shape: dict[str, Any]) -> None:
        """Put an adapter of this shape on the model, in place of another shape."""
        from peft import LoraConfig, get_peft_model

        if shape == self._shape:
            return
        bare = self._model.unload() if self._model is not None else self._base.model
        config = LoraConfig(
            r=shape["rank"], lora_alpha=shape["alpha"], target_modules=list(shape["targets"]),
            lora_dropout=0.0, task_type="CAUSAL_LM",
        )  # fmt: skip
        self._model = get_peft_model(bare, config)
        for _, weight in self._weights():
            weight.data = weight.data.float()
        self._shape = shape

    def _weights(self) -> list[tuple[str, Any]]:
        named = self._model.named_parameters()
        return [(name, weight) for name, weight in named if weight.requires_grad]

    def _arrays(self) -> bytes:
        from safetensors.torch import save

        data: bytes = save({name: weight.detach().clone() for name, weight in self._weights()})
        return data

    def _put(self, arrays: bytes) -> None:
        from safetensors.torch import load

        given, weights = load(arrays), dict(self._weights())
        if {name: item.shape for name, item in given.items()} != {
            name: item.shape for name, item in weights.items()
        }:
            raise Misshaped
        with self._torch.no_grad():
            for name, weight in weights.items():
                weight.copy_(given[name])

    def _steps(
        self, lesson: list[list[int]], task: dict[str, Any], step: Callable[[], None]
    ) -> Iterator[float]:
        torch = self._torch
        torch.manual_seed(task["seed"])
        order = random.Random(task["seed"])  # noqa: S311 - an order, not a secret
        weights = [weight for _, weight in self._weights()]
        optimizer = torch.optim.AdamW(weights, lr=float(task["learning_rate"]), weight_decay=0.0)
        self._model.train()
        waiting: list[list[int]] = []
        for _ in range(task["steps"]):
            while len(waiting) < task["batch"]:
                waiting += order.sample(lesson, len(lesson))
            batch = torch.tensor([waiting.pop() for _ in range(task["batch"])])
            loss = self._model(input_ids=batch, labels=batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            yield float(loss.item())
            step()

    def _loss(self, texts: Sequence[str], size: int, step: Callable[[], None]) -> float:
        """Mean over texts of the loss per token, in nats: on the answer alone where a text holds a
        question and its answer. Texts are cut to ``size`` tokens.
        """
        torch = self._torch
        self._model.eval()
        rows = sorted((self._row(text, size) for text in texts), key=lambda row: len(row[0]))
        total = 0.0
        with torch.no_grad():
            for start in range(0, len(rows), _BATCH):
                batch = rows[start : start + _BATCH]
                width = max(len(ids) for ids, _ in batch)
                ids = torch.tensor(
                    [ids + [self._base.end] * (width - len(ids)) for ids, _ in batch]
                )
                labels = torch.tensor(
                    [
                        [_MASKED] * at + ids[at:] + [_MASKED] * (width - len(ids))
                        for ids, at in batch
                    ]
                )
                logits = self._model(input_ids=ids).logits[:, :-1].float()
                losses = torch.nn.functional.cross_entropy(
                    logits.transpose(1, 2), labels[:, 1:], ignore_index=_MASKED, reduction="none"
                )
                counted = (labels[:, 1:] != _MASKED).sum(1).clamp(min=1)
                total += float((losses.sum(1) / counted).sum())
                step()
        return total / len(rows)

    def _row(self, text: str, size: int) -> tuple[list[int], int]:
        """A text's tokens, and where the part that counts begins."""
        question, mark, answer = text.partition(ANSWER)
        if not mark:
            return [*self._base.encode(text), self._base.end][:size], 0
        head = self._base.encode(question + mark)
        ids = [*head, *self._base.encode(answer), self._base.end][:size]
        return ids, min(len(head), len(ids) - 1)


class Misshaped(Exception):
    """An adapter that is not of the task's shape."""


def main() -> int:
    """Answer requests until the site is gone."""
    os.environ.update(
        HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", HF_HUB_DISABLE_TELEMETRY="1",
        HF_HUB_DISABLE_PROGRESS_BARS="1", TOKENIZERS_PARALLELISM="false",
        OMP_WAIT_POLICY="passive",
    )  # fmt: skip
    # Whatever a library prints must not stand between the frames.
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    requests = sys.stdin.buffer
    learner: Learner | None = None
    while True:
        try:
            asked, data = receive(requests)
        except EOFError:
            return 0
        try:
            if learner is None:
                learner = Learner(_source(asked["source"]), asked["precision"])
            told, made = _answer(learner, asked, data, replies)
            send(replies, {"kind": "done", **told}, made)
        except Misshaped:
            send(replies, {"kind": "misshaped"})
        except ImportError as error:
            send(replies, {"kind": "not-installed", "name": error.name or "a part of it"})
        except Exception as error:  # noqa: BLE001 - told by type and place; its text may quote
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{place.name}:{place.lineno}"
            send(replies, {"kind": "failed", "error": type(error).__name__, "place": where})


def _answer(
    learner: Learner, asked: dict[str, Any], data: bytes, replies: BinaryIO
) -> tuple[dict[str, Any], bytes]:
    if asked["op"] == "initial":
        return {}, learner.initial(asked["adapter"], asked["seed"])
    return learner.train(
        asked["task"], data, asked["texts"], asked["heldout"],
        lambda: send(replies, {"kind": "step"}),
    )  # fmt: skip


def _source(told: dict[str, Any]) -> Source:
    folder, gguf = told["folder"], told["gguf"]
    return Source(
        told["name"], told["id"], Path(folder) if folder else None, Path(gguf) if gguf else None
    )


if __name__ == "__main__":
    raise SystemExit(main())
