"""Taking published rules from a folder, by the TUF client workflow, without a network."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    DownloadHTTPError,
    ExpiredMetadataError,
)
from tuf.api.metadata import Metadata, Targets
from tuf.ngclient import FetcherInterface, Updater, UpdaterConfig

from memory_fabric.adapters.cedar.bundle import belongs
from memory_fabric.adapters.files import sync
from memory_fabric.adapters.signing.metadata import (
    BROKEN,
    Trusted,
    fingerprint,
    read_trusted,
    roots_in,
)
from memory_fabric.core.errors import InputError, IntegrityViolated, PolicyInvalid

_CHUNK = 1 << 16
_FIRST_ROOT = "metadata/1.root.json"


@dataclass(frozen=True)
class Fetched:
    """Published rules, verified and copied.

    Attributes:
        trusted: what their metadata says.
        policies: the folder of their files.
        trust: the folder of their metadata.
    """

    trusted: Trusted
    policies: Path
    trust: Path


def first_root(folder: Path, told: str | None) -> bytes:
    """The first root in a publication folder, if it is the one that the officers told of.

    Args:
        told: its fingerprint, as the officers gave it by another way.

    Raises:
        InputError: ``publication-missing``; ``fingerprint-missing``, ``fingerprint-differs``.
        IntegrityViolated: ``bundle-forged``: it is a link, no plain file, or too long for a root.
    """
    try:
        root = _Folder(folder).download_bytes(_FIRST_ROOT, UpdaterConfig().root_max_length)
    except DownloadHTTPError:
        raise InputError(
            "publication-missing",
            "There is no signed officers' root in this folder.",
            "Name a folder that `memory-fabric policy publish` wrote, whole.",
        ) from None
    except DownloadError as error:
        raise _forged(str(error)) from None
    found = fingerprint(root)
    if told is None:
        raise InputError(
            "fingerprint-missing",
            f"This site does not know these officers yet. Their root has the fingerprint {found}.",
            "Ask an officer for it by another way, and give it as --root-fingerprint.",
        )
    if told.replace(":", "").strip().lower() != found:
        raise InputError(
            "fingerprint-differs",
            f"The officers' root in this folder has the fingerprint {found}, not the one given.",
            "Do not install it; ask the officers.",
        )
    return root


def fetch(
    folder: Path, installed: Path | None, bootstrap: bytes, into: Path, now: datetime
) -> Fetched:
    """Verify the newest rules in a publication folder and copy them.

    Args:
        folder: from ``policy publish``.
        installed: this site's own metadata of the same root: nothing older is taken. ``None``
            where it had none.
        bootstrap: the first root that is believed.
        into: an empty folder; gets ``policies`` and ``trust``.
        now: the site's clock, which is never behind what it showed before.

    Raises:
        IntegrityViolated: ``bundle-forged``, ``bundle-rolled-back``.
        PolicyInvalid: ``bundle-expired``.
        InputError: ``publication-missing``: files lack.
    """
    work = into / "client"
    work.mkdir()
    if installed:
        (work / "root_history").mkdir()
        for number, content in enumerate(roots_in(installed), start=1):
            (work / "root_history" / f"{number}.root.json").write_bytes(content)
        for role in ("timestamp", "snapshot", "targets"):
            (work / f"{role}.json").write_bytes((installed / f"{role}.json").read_bytes())
    try:
        updater = Updater(
            str(work), "metadata", target_base_url="targets", fetcher=_Folder(folder),
            bootstrap=bootstrap,
        )  # fmt: skip
        updater.refresh()
        targets = Metadata[Targets].from_file(str(work / "targets.json")).signed
        for name in targets.targets:
            target = updater.get_targetinfo(name)
            if target is None or not belongs(name):
                raise _forged(f"a file named {name!r} has no place in a bundle")
            updater.download_target(target, str(into / "policies" / name))
    except ExpiredMetadataError as error:
        raise _expired(str(error)) from None
    except BadVersionNumberError:
        raise rolled_back(str(folder)) from None
    except DownloadHTTPError as error:
        raise InputError(
            "publication-missing",
            f"The publication folder lacks a file ({error}).",
            "Copy it whole, and try again.",
        ) from None
    except (*BROKEN, DownloadError, OSError) as error:
        raise _forged(f"{type(error).__name__}: {error}") from None
    trust = into / "trust"
    trust.mkdir()
    for role in ("timestamp", "snapshot", "targets"):
        (work / f"{role}.json").rename(trust / f"{role}.json")
    for path in (work / "root_history").glob("*.root.json"):
        path.rename(trust / path.name)
    trusted = read_trusted(trust, self_signed=False)
    if trusted.mandate.expires <= now:
        raise _expired(f"at {now:%Y-%m-%d %H:%M} UTC, by this site's clock")
    shutil.rmtree(work)
    for path in (*into.rglob("*"), into):
        sync(path)
    return Fetched(trusted, into / "policies", trust)


class _Folder(FetcherInterface):
    """Reads plain files below a folder, and nothing that a link leads to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _fetch(self, url: str) -> Iterator[bytes]:
        parts = PurePosixPath(url).parts
        if not parts or ".." in parts or url.startswith("/"):
            raise DownloadError(f"{url} leads out of the folder")
        try:
            descriptor = _opened(self._folder, parts)
        except FileNotFoundError:
            raise DownloadHTTPError(url, 404) from None
        except OSError as error:
            raise DownloadError(f"{url}: {error.strerror}") from None
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise DownloadError(f"{url} is no plain file")
            while chunk := file.read(_CHUNK):
                yield chunk


def _opened(folder: Path, parts: tuple[str, ...]) -> int:
    """A descriptor of a file below a folder; no part of the way there may be a link."""
    at = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner = os.open(part, flags, dir_fd=at)
            os.close(at)
            at = inner
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        return os.open(parts[-1], flags, dir_fd=at)
    finally:
        os.close(at)


def rolled_back(where: str) -> IntegrityViolated:
    """The error of rules that are older than those that were installed."""
    return IntegrityViolated(
        "bundle-rolled-back",
        f"The rules in {where} are older than those that were installed.",
        "Ask the officers for the newest publication; somebody may have put an old one there.",
        {"damaged": [where]},
    )


def _expired(what: str) -> PolicyInvalid:
    return PolicyInvalid(
        "bundle-expired",
        f"The publication is out of date: {what}.",
        "Have it published again; officers sign again where their signatures ended.",
    )


def _forged(why: str) -> IntegrityViolated:
    return IntegrityViolated(
        "bundle-forged",
        f"The publication is not as its officers signed it: {why}.",
        "Do not install it; ask the officers, and find out who changed it.",
        {"damaged": ["publication"]},
    )
