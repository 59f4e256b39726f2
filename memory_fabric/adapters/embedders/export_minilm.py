"""Export MiniLM to ONNX, once: ``python -m memory_fabric.adapters.embedders.export_minilm DIR``.

Needs ``memory-fabric[minilm-export]`` (torch, transformers). What it writes is needed by
``MiniLmEmbedder``; torch is not.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from memory_fabric.adapters.embedders.files import package_directory, sha256
from memory_fabric.adapters.embedders.minilm import GRAPH, MANIFEST, PACKAGE, source_hashes
from memory_fabric.core.errors import MemoryFabricError, Unavailable


def export(model_dir: Path) -> None:
    """Write graph and manifest into a directory, the manifest last: half an export is none.

    Raises:
        Unavailable: ``embedder-not-installed``, ``export-tools-missing``.
    """
    sources = source_hashes()
    model_dir.mkdir(parents=True, exist_ok=True)
    (model_dir / MANIFEST).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=model_dir) as beside:
        graph = Path(beside) / GRAPH
        _write_graph(package_directory(PACKAGE) / "model", graph)
        manifest = Path(beside) / MANIFEST
        manifest.write_text(
            json.dumps({"sources": sources, "graph": sha256(graph), "precision": "float32"})
        )
        os.replace(graph, model_dir / GRAPH)
        os.replace(manifest, model_dir / MANIFEST)


def _write_graph(source: Path, graph: Path) -> None:
    try:
        import torch
        from transformers import AutoModel
    except ImportError as error:
        raise Unavailable(
            "export-tools-missing",
            f"The export needs {error.name}, which is not installed.",
            "Install memory-fabric[minilm-export]; it is needed for the export only.",
        ) from None

    model = AutoModel.from_pretrained(
        source, local_files_only=True, dtype=torch.float32, attn_implementation="eager"
    ).eval()

    class Hidden(torch.nn.Module):  # type: ignore[misc]  # torch is typed as Any where absent
        """The last hidden states and nothing else."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            found = self.model(input_ids=input_ids, attention_mask=attention_mask)
            return found.last_hidden_state

    names = ["input_ids", "attention_mask"]
    torch.onnx.export(
        Hidden(),
        (torch.ones(2, 8, dtype=torch.int64), torch.ones(2, 8, dtype=torch.int64)),
        str(graph),
        input_names=names,
        output_names=["hidden"],
        dynamic_axes={name: {0: "texts", 1: "tokens"} for name in [*names, "hidden"]},
        opset_version=17,
        dynamo=False,
    )


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    try:
        export(parser.parse_args().directory)
    except MemoryFabricError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
