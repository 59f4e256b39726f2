"""A trainer without torch: an adapter of two arrays, a change that depends on the seed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from safetensors.numpy import load, save

from memory_fabric.core.training import Adapter, Lesson, Task

_LAYER = "base.layers.0.q_proj.lora_{}.default.weight"


class FakeTrainer:
    """Learns nothing, and returns what a trainer returns."""

    model = "fake"
    model_id = hashlib.sha256(b"fake").hexdigest()

    def initial(self, adapter: Adapter, seed: int) -> bytes:
        drawn = np.random.default_rng(seed).normal(size=(adapter.rank, 12))
        return bytes(
            save(
                {
                    _LAYER.format("A"): drawn.astype(np.float32),
                    _LAYER.format("B"): np.zeros((12, adapter.rank), np.float32),
                }
            )
        )

    def train(
        self, task: Task, arrays: bytes, texts: Sequence[str], heldout: Sequence[str]
    ) -> Lesson:
        before = load(arrays)
        learned = float(np.abs(before[_LAYER.format("B")]).mean())
        loss = 5.0 - learned if heldout else None
        if not task.steps:
            return Lesson(b"", 0, (), len(heldout), loss)
        drawn = np.random.default_rng(task.seed)
        after = {
            name: (array + drawn.uniform(0.01, 0.1, array.shape)).astype(np.float32)
            for name, array in sorted(before.items())
        }
        losses = tuple(5.0 - 0.1 * step for step in range(task.steps))
        return Lesson(bytes(save(after)), len(texts), losses, len(heldout), loss)
