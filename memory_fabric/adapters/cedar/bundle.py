"""A policy bundle as it was read: every file once, and a digest over exactly what was read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

from memory_fabric.adapters.cedar.findings import BundleError, Finding, invalid
from memory_fabric.core.canonical import digest

SCHEMA = "schema.cedarschema"
REGISTER = "register/regions.yaml"

_KNOWN = re.compile(
    r"README\.md|SOURCES\.md|schema\.cedarschema|register/regions\.yaml"
    r"|packs/[a-z0-9._-]+\.cedar|cases/[a-z0-9._-]+\.yaml|properties/[a-z0-9._-]+"
)
_MAX_BYTES = 1_000_000


@dataclass(frozen=True)
class Bundle:
    """An immutable policy bundle: paths inside it, and their text."""

    files: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all paths and contents, hexadecimal: the bundle's name in receipts."""
        return digest(
            {path: hashlib.sha256(text.encode()).hexdigest() for path, text in self.files.items()}
        )

    def under(self, folder: str) -> dict[str, str]:
        """The files of one folder, by path, sorted."""
        return {path: self.files[path] for path in sorted(self.files) if path.startswith(folder)}


def belongs(name: str) -> bool:
    """Whether a file of this name, a path with slashes, has a place in a bundle."""
    return _KNOWN.fullmatch(name) is not None


def read_bundle(directory: Path) -> Bundle:
    """Read a bundle directory, whole.

    A file with a name that the program would not read is refused: a pack saved as
    ``guards.ceder`` would otherwise be missing without a word.

    Raises:
        PolicyInvalid: a file is missing, unreadable, too large, not UTF-8 or not known.
    """
    findings: list[Finding] = []
    files: dict[str, str] = {}
    paths = sorted(directory.rglob("*")) if directory.is_dir() else []
    for path in paths:
        name = path.relative_to(directory).as_posix()
        if path.is_dir() and not path.is_symlink():
            continue
        try:
            files[name] = _read(path, name)
        except BundleError as error:
            findings.append(error.finding)
    for needed in (SCHEMA, REGISTER):
        if needed not in files:
            findings.append(Finding(needed, 0, "", "This file is missing.", "Put it there."))
    if not any(name.startswith("packs/") for name in files):
        findings.append(Finding("packs", 0, "", "There are no rules.", "Add packs/NAME.cedar."))
    if findings:
        raise invalid(findings)
    return Bundle(MappingProxyType(files))


def _read(path: Path, name: str) -> str:
    def wrong(message: str, fix: str) -> BundleError:
        return BundleError(Finding(name, 0, "", message, fix))

    if path.is_symlink() or not path.is_file() or not belongs(name):
        raise wrong("This file has no place in a bundle.", "Rename it, or take it out.")
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise wrong(f"The file cannot be read ({error.strerror}).", "Check its rights.") from error
    if len(content) > _MAX_BYTES:
        raise wrong("The file is larger than 1 MB.", "Split it.")
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n")  # some editors write a mark
    except UnicodeDecodeError as error:
        raise wrong("The file is not UTF-8 text.", "Save it as UTF-8.") from error
