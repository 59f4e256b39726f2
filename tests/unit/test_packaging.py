"""What is installed, what is not, and what a wheel carries."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
CONSTRAINTS = (ROOT / "constraints.txt").read_text()
PACKAGES = ("memory_fabric", "memory_fabric_api", "memory_fabric_federation")


def pins() -> dict[str, str]:
    """Name to version, for every line of the lock."""
    lines = re.findall(r"^([\w.-]+)==([^\s;]+)", CONSTRAINTS, re.MULTILINE)
    return {canonicalize_name(name): version for name, version in lines}


def declared() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    named = (Requirement(text) for text in sum(extras, start=PROJECT["dependencies"]))
    return [needed for needed in named if needed.name != PROJECT["name"]]


def closure(name: str) -> set[str]:
    """Every distribution that a plain install of ``name`` brings, as installed here."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        for text in metadata.requires(waiting.pop()) or ():
            needed = Requirement(text)
            key = canonicalize_name(needed.name)
            if key not in seen and (not needed.marker or needed.marker.evaluate({"extra": ""})):
                seen.add(key)
                waiting.append(key)
    return seen


@pytest.mark.parametrize("requirement", declared(), ids=lambda needed: needed.name)
def test_each_dependency_of_each_extra_is_pinned_within_its_range(requirement: Requirement) -> None:
    pinned = pins()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(pinned), "run `make lock`"


def test_the_lock_names_no_address() -> None:
    assert not re.search(r"://|--(extra-)?index-url|--find-links", CONSTRAINTS)


def test_a_plain_install_brings_neither_torch_nor_an_installer() -> None:
    brought = closure("memory-fabric")
    assert "cedarpy" in brought
    assert not brought & {"torch", "transformers", "flwr", "uv", "pip"}


def test_core_imports_nothing_but_the_standard_library() -> None:
    script = (
        "import pkgutil, importlib, sys\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "import memory_fabric.core as core\n"
        "for module in pkgutil.iter_modules(core.__path__, core.__name__ + '.'):\n"
        "    importlib.import_module(module.name)\n"
    )
    # -S leaves site-packages out, so a third-party import has nowhere to be found.
    subprocess.run([sys.executable, "-I", "-S", "-c", script], check=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_wheel_stands_on_its_own(tmp_path: Path) -> None:
    """It carries types, console files and starter policies, no tests, and its program starts."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()

    tops = {name.split("/")[0] for name in names}
    assert tops == {*PACKAGES, f"memory_fabric-{metadata.version('memory-fabric')}.dist-info"}
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(names)
    console = ROOT / "api" / "memory_fabric_api" / "console"
    pages = [path for kind in ("templates", "static") for path in (console / kind).iterdir()]
    assert {str(path.relative_to(ROOT / "api")) for path in pages} <= set(names)
    policies = [path for path in (ROOT / "policies").rglob("*") if path.is_file()]
    carried = {
        f"memory_fabric/starter_policies/{p.relative_to(ROOT / 'policies')}" for p in policies
    }
    assert carried
    assert carried <= set(names)

    # The dependencies are those of this environment; the three packages come from the wheel.
    fresh = tmp_path / "fresh"
    zipfile.ZipFile(wheel).extractall(fresh)
    script = (
        f"import sys; sys.path.insert(0, {str(fresh)!r})\n"
        f"import {', '.join(PACKAGES)}\n"
        f"assert memory_fabric.__file__.startswith({str(fresh)!r})\n"
        "from memory_fabric.cli import main\n"
        "sys.argv = ['memory-fabric', '--help']\n"
        "main()\n"
    )
    started = subprocess.run(
        [sys.executable, "-I", "-c", script], cwd=tmp_path, capture_output=True, text=True
    )
    assert started.returncode == 0, started.stderr
    assert "recall" in started.stdout
