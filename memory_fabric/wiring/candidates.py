"""Candidate bundles that officers propose: kept by digest until somebody decides on them."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Hashable, Mapping
from datetime import UTC, date, datetime, time
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from memory_fabric.adapters.cedar.bundle import SCHEMA, read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.cedar.findings import Finding, invalid
from memory_fabric.adapters.cedar.lint import check
from memory_fabric.adapters.files import sync
from memory_fabric.core.errors import IntegrityViolated, NotFound, PolicyInvalid
from memory_fabric.core.ports import PolicyEngine
from memory_fabric.wiring.written import Written, read_written

_PLAIN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,80}")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MOST_FILES, _MOST_BYTES = 500, 8_000_000
_INCOMING = "incoming"
_FEW = 8


class Candidates:
    """A folder with one folder for each candidate, under the bundle's digest.

    Args:
        folder: made with the first candidate.

    Attributes:
        impacts: what was found of some, in this process: asking all over takes a second and more.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._one = threading.Lock()
        self.impacts: dict[Hashable, dict[str, Any]] = {}

    def where(self, digest: str) -> Path:
        """The folder of a candidate."""
        return self._folder / digest

    def keep(self, files: Mapping[str, bytes]) -> str:
        """Keep a bundle that passes its checks, cases and proofs; its digest.

        Args:
            files: by path, under whatever folder they were sent; hidden ones are left out.

        Raises:
            PolicyInvalid: ``policy-invalid``, with what is wrong; nothing is kept.
        """
        incoming = self._folder / _INCOMING
        with self._one:
            shutil.rmtree(incoming, ignore_errors=True)
            try:
                return self._take(_within(files), incoming)
            finally:
                shutil.rmtree(incoming, ignore_errors=True)

    def _take(self, files: Mapping[str, bytes], incoming: Path) -> str:
        for name, content in files.items():
            path = incoming / name
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.write_bytes(content)
        digest = _checked(incoming)
        kept = self.where(digest)
        if not kept.exists():
            for path in (*incoming.rglob("*"), incoming):
                sync(path)
            incoming.rename(kept)
            sync(self._folder)
        return digest

    def drop(self, digest: str) -> None:
        """Forget a candidate."""
        if _DIGEST.fullmatch(digest):
            shutil.rmtree(self.where(digest), ignore_errors=True)

    def written(self, digest: str) -> Written:
        """A candidate for readers.

        Raises:
            NotFound, IntegrityViolated: as ``engine`` does.
        """
        self._check(digest)
        return read_written(self.where(digest), digest)

    def warnings(self, digest: str) -> list[Finding]:
        """What an officer should think about before approving a candidate.

        Raises:
            NotFound, IntegrityViolated: as ``engine`` does.
        """
        self._check(digest)
        return _findings(self.where(digest), datetime.now(UTC).date())

    def engine(self, digest: str) -> PolicyEngine:
        """A candidate's rules.

        Raises:
            NotFound: ``candidate-unknown``.
            IntegrityViolated: ``candidate-changed``: the files are not what their digest says.
        """
        self._check(digest)
        return CedarEngine(read_bundle(self.where(digest)))

    def _check(self, digest: str) -> None:
        if not _DIGEST.fullmatch(digest) or not self.where(digest).is_dir():
            raise NotFound(
                "candidate-unknown", "There is no such candidate.", "See the list of candidates."
            )
        if read_bundle(self.where(digest)).digest != digest:
            raise IntegrityViolated(
                "candidate-changed",
                "The candidate's files are not those that were proposed.",
                "Find out who changed them, and propose the bundle anew.",
                {"damaged": [f"candidates/{digest}"]},
            )


@lru_cache(_FEW)
def _findings(folder: Path, day: date) -> list[Finding]:
    """What the check finds on one day; the folder is named by what is in it."""
    return check(folder, datetime.combine(day, time(), UTC))


def _within(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The bundle's files by their paths inside it. A browser sends the folder's name as well."""
    roots = [PurePosixPath(name).parent for name in files if PurePosixPath(name).name == SCHEMA]
    if len(roots) != 1:
        raise invalid(
            [Finding(SCHEMA, 0, "", "It stands in the folder not once.", "Send one bundle.")]
        )
    found: dict[str, bytes] = {}
    for name, content in files.items():
        path = PurePosixPath(name)
        if not path.is_relative_to(roots[0]):
            continue
        parts = path.relative_to(roots[0]).parts
        if any(part.startswith(".") and part not in (".", "..") for part in parts):
            continue
        if not all(_PLAIN.fullmatch(part) for part in parts) or not 1 <= len(parts) <= 3:
            raise _odd()
        found["/".join(parts)] = content
    if any(str(folder) in found for name in found for folder in PurePosixPath(name).parents):
        raise _odd()  # a file where a folder is
    if len(found) > _MOST_FILES or sum(map(len, found.values())) > _MOST_BYTES:
        raise invalid(
            [Finding(SCHEMA, 0, "", "The bundle is too large.", "Send the bundle alone.")]
        )
    return found


def _odd() -> PolicyInvalid:
    return invalid([Finding(SCHEMA, 0, "", "A file beside it has an odd name.", "Rename it.")])


def _checked(folder: Path) -> str:
    """The digest of a bundle that could be installed."""
    from memory_fabric.wiring.proofs import check_whole  # the prover: only where one is proposed

    check_whole(folder)
    return read_bundle(folder).digest
