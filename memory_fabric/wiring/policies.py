"""Policy bundles in a home: which one is in force, and which one is only installed."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.cases import CaseReport, run_cases
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.files import sync
from memory_fabric.wiring.paths import Paths


def starter_policies() -> Path:
    """The bundle that comes along: in a wheel beside the package, in a checkout at its root."""
    package = Path(__file__).resolve().parent.parent
    packaged = package / "starter_policies"
    return packaged if packaged.is_dir() else package.parent / "policies"


def installed_policies(home: Path) -> Path:
    """The bundle installed in a home, or ``home-missing``."""
    paths = Paths(home)
    paths.check_complete()
    return paths.policies


def test_policies(directory: Path) -> CaseReport:
    """The bundle's decision cases, run.

    Raises:
        PolicyInvalid: the bundle does not pass its checks.
    """
    return run_cases(directory)


def install_policies(source: Path, paths: Paths) -> CedarEngine:
    """Copy a bundle that passes every check into a home as the installed and validated one.

    Raises:
        PolicyInvalid: with what is wrong; nothing was copied.
    """
    engine = CedarEngine(read_bundle(source))
    for target in (paths.policies, paths.validated):
        copy_whole(source, target)
    return engine


def copy_whole(source: Path, target: Path) -> None:
    """Replace a directory by a copy; a crash leaves the old one, the new one, or none."""
    fresh, old = target.with_name(f"{target.name}.new"), target.with_name(f"{target.name}.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    shutil.copytree(source, fresh)
    for path in (*fresh.rglob("*"), fresh):
        sync(path)
    if target.exists():
        os.rename(target, old)
    os.rename(fresh, target)
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)
