"""An embedder without a model: words hashed into a few dimensions."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from memory_fabric.core.memory import Vector


class HashEmbedder:
    """The port ``Embedder``: each word adds its own direction; no words give the first axis."""

    def __init__(self, dim: int = 16) -> None:
        self._dim = dim

    @property
    def id(self) -> str:
        return hashlib.sha256(f"hash-embedder {self._dim}".encode()).hexdigest()

    @property
    def dim(self) -> int:
        return self._dim

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        return [self._one(text) for text in texts]

    def _one(self, text: str) -> Vector:
        total = np.zeros(self._dim)
        for word in text.lower().split():
            seed = int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")
            total += np.random.default_rng(seed).standard_normal(self._dim)
        if not total.any():
            total[0] = 1.0
        return (total / np.linalg.norm(total)).astype("<f4").tobytes()
