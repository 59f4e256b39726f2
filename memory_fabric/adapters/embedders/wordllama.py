"""A light embedder: the mean of static token vectors, on any machine at 10,000 texts a second.

The weights are those of the package ``wordllama`` (MIT; Miller, 2024: token embeddings of large
language models, compressed). Only its two data files are read; its code, which configures logging
and knows how to download, is never run, so nothing is fetched and nothing is written.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from memory_fabric.adapters.embedders.files import as_vector, name_of, package_directory, sha256
from memory_fabric.core.memory import Vector


class StaticEmbedder:
    """The port ``Embedder`` over wordllama's 256-dimensional table.

    A text may be of any length: every token counts alike.
    """

    def __init__(self) -> None:
        home = package_directory("wordllama")
        weights = home / "weights" / "l2_supercat_256.safetensors"
        tokenizer = home / "tokenizers" / "l2_supercat_tokenizer_config.json"
        self._table = load_file(weights)["embedding.weight"].astype(np.float32)
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._id = name_of(sha256(weights), sha256(tokenizer), "mean", "float32")

    @property
    def id(self) -> str:
        """Hash of weights, tokenizer, pooling and precision."""
        return self._id

    @property
    def name(self) -> str:
        """What people call it."""
        return "wordllama (static)"

    @property
    def dim(self) -> int:
        """256."""
        return int(self._table.shape[1])

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One unit vector a text, in order."""
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [as_vector(self._table[one.ids].sum(axis=0)) for one in encoded]
