"""Generators: which language model a site answers with, and what runs it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from memory_fabric.adapters.generators.first import FirstThatRuns
from memory_fabric.adapters.generators.llama import LlamaGenerator
from memory_fabric.adapters.generators.materialise import materialise, materialised
from memory_fabric.adapters.generators.models import Weights, packaged, weights_of
from memory_fabric.adapters.generators.tiny import tiny_generator, tiny_load, write_tiny
from memory_fabric.adapters.generators.transformers import TransformersGenerator, load_folder
from memory_fabric.config import ModelSettings
from memory_fabric.core.model_ports import Generator

__all__ = [
    "FirstThatRuns",
    "LlamaGenerator",
    "TransformersGenerator",
    "Weights",
    "choose",
    "materialise",
    "materialised",
    "packaged",
    "tiny_generator",
    "tiny_load",
    "weights_of",
    "write_tiny",
]


def choose(settings: ModelSettings, model_dir: Path) -> Generator | None:
    """What a site answers with, started with its first question; ``None`` where nothing is there.

    llama.cpp where the weights are a GGUF file and the bindings are installed; transformers where
    they are not, or where llama.cpp turns out not to run here.

    Raises:
        Unavailable: ``model-missing``.
        IntegrityViolated: ``model-altered``.
    """
    weights = weights_of(settings)
    if weights is None:
        return None
    runners: list[Generator] = []
    if weights.is_gguf and _installed("xllamacpp"):
        runners.append(LlamaGenerator(weights, settings.context, settings.threads))
    if _installed("torch", "transformers"):
        runners.append(
            TransformersGenerator(
                weights.name,
                weights.sha256,
                settings.context,
                lambda: load_folder(materialise(weights, model_dir)),
            )
        )
    return FirstThatRuns(runners) if runners else None


def _installed(*packages: str) -> bool:
    return all(importlib.util.find_spec(package) is not None for package in packages)
