"""Models that come inside installed packages, and the names that their content gives them."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from memory_fabric.core.errors import Unavailable
from memory_fabric.core.memory import Vector


def package_directory(package: str) -> Path:
    """Where an installed package lies, without running any of its code.

    Raises:
        Unavailable: ``embedder-not-installed``.
    """
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable(
            "embedder-not-installed",
            f"The package {package} that holds an embedder's weights is not installed.",
            f"Install {package.replace('_', '-')}.",
        )
    return Path(spec.submodule_search_locations[0])


def sha256(path: Path) -> str:
    """SHA-256 of a file, hexadecimal; read again only when the file changed."""
    facts = path.stat()
    return _sha256(path, facts.st_size, facts.st_mtime_ns, facts.st_ino)


@cache
def _sha256(path: Path, *_: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def name_of(*parts: str) -> str:
    """An embedder's id: SHA-256 over the hashes and words that define its vectors."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def as_vector(pooled: npt.NDArray[np.floating]) -> Vector:
    """A pooled embedding, shape (dim,), at unit length.

    A text without any token has no direction; it gets the first axis, so that every vector has
    length 1.
    """
    wide = pooled.astype(np.float64)
    length = float(np.linalg.norm(wide))
    if not length:
        wide[0] = length = 1.0
    return (wide / length).astype("<f4").tobytes()
