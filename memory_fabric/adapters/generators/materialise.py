"""A GGUF file in Hugging Face's layout, once: what transformers and training read.

Needs ``memory-fabric[train]``.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

from memory_fabric.adapters.embedders.files import sha256
from memory_fabric.adapters.generators.models import Weights
from memory_fabric.adapters.generators.transformers import tools_missing
from memory_fabric.core.errors import Unavailable

MANIFEST = "memory-fabric.json"
Progress = Callable[[int, int], None]
"""Called with steps done and steps in all."""
STEPS = 4
"""Read the words, read the weights, write both, name them."""


def materialised(weights: Weights, model_dir: Path) -> Path | None:
    """Where the weights lie in Hugging Face's layout, if they were written out whole and unaltered.

    A folder that is in that layout already is its own answer.
    """
    if not weights.is_gguf:
        return weights.path
    folder = _folder(weights, model_dir)
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        whole = manifest["source"] == weights.sha256 and all(
            sha256(folder / name) == digest for name, digest in manifest["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return folder if whole else None


def materialise(weights: Weights, model_dir: Path, progress: Progress | None = None) -> Path:
    """Write the weights out unless that is done; the folder, which appears whole or not at all.

    Takes a minute and half a gigabyte for 135 million parameters in float32.

    Args:
        progress: told of the steps; where left out, transformers draws its own bars on a terminal.

    Raises:
        Unavailable: ``model-tools-missing``, ``model-not-runnable``.
    """
    if found := materialised(weights, model_dir):
        return found
    folder = _folder(weights, model_dir)
    model_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=model_dir) as beside:
        draft = Path(beside) / "model"
        if progress is None and sys.stderr.isatty():
            _write(weights, draft, _silent)
        else:
            with redirect_stderr(io.StringIO()):
                _write(weights, draft, progress or _silent)
        files = {path.name: sha256(path) for path in sorted(draft.iterdir())}
        manifest = {"name": weights.name, "source": weights.sha256, "files": files}
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=1))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(draft, folder)
    if progress:
        progress(STEPS, STEPS)
    return folder


def _silent(_: int, __: int) -> None:
    """Nobody asked."""


def _folder(weights: Weights, model_dir: Path) -> Path:
    return model_dir / f"{weights.name}-{weights.sha256[:12]}"


def _write(weights: Weights, draft: Path, progress: Progress) -> None:
    try:
        import gguf  # noqa: F401 - transformers reads GGUF by it, and says so late
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    except ImportError as error:
        raise tools_missing(error) from None
    place, file = weights.path.parent, weights.path.name
    try:
        progress(0, STEPS)
        tokenizer = AutoTokenizer.from_pretrained(place, gguf_file=file, local_files_only=True)
        progress(1, STEPS)
        model = AutoModelForCausalLM.from_pretrained(
            place,
            gguf_file=file,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
            local_files_only=True,
        )
        progress(2, STEPS)
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        progress(3, STEPS)
    except (OSError, ValueError, RuntimeError) as error:
        raise Unavailable(
            "model-not-runnable",
            f"The language model cannot be written out: {type(error).__name__}.",
            "Look whether its file is whole and the disk has room.",
        ) from None
