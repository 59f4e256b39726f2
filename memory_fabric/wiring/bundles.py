"""Policy bundles that were in force, kept by their digests: recorded requests name them."""

from __future__ import annotations

import shutil
from pathlib import Path

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.files import sync
from memory_fabric.core.errors import IntegrityViolated, PolicyInvalid
from memory_fabric.core.ports import PolicyEngine


def candidate(folder: Path) -> PolicyEngine:
    """The rules of a bundle that is not installed.

    Raises:
        PolicyInvalid: it does not pass its checks.
    """
    return CedarEngine(read_bundle(folder))


class BundleHistory:
    """A folder with one folder for each bundle, under the bundle's digest.

    Args:
        folder: made with the first bundle.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, bundle: Path, digest: str) -> None:
        """Keep a bundle, unless it is there; a crash leaves it or nothing."""
        kept = self._folder / digest
        if kept.exists():
            return
        fresh = kept.with_name(f"{digest}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(bundle, fresh)
        for path in (*fresh.rglob("*"), fresh):
            sync(path)
        fresh.rename(kept)
        sync(self._folder)

    def engine(self, digest: str) -> PolicyEngine | None:
        """The rules of a bundle that was in force; ``None`` where it is not kept, or where this
        version no longer takes it.

        Raises:
            IntegrityViolated: ``bundle-changed``: it is not what its digest says.
        """
        kept = self._folder / digest
        if not kept.is_dir():
            return None
        try:
            bundle = read_bundle(kept)
        except PolicyInvalid:
            bundle = None
        if bundle is None or bundle.digest != digest:
            raise IntegrityViolated(
                "bundle-changed",
                f"The bundle kept as {digest[:12]} is not the one that was in force.",
                "Find out who changed it, and bring it back from a backup.",
                {"damaged": [f"bundle/history/{digest}"]},
            )
        try:
            return CedarEngine(bundle)
        except PolicyInvalid:
            return None

    def where(self, digest: str) -> Path:
        """The folder of a bundle that was in force."""
        return self._folder / digest
