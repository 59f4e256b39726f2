"""The newest checkpoint, kept beside the database: how a ledger rolled back alone is seen."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from memory_fabric.adapters.files import replace_file
from memory_fabric.adapters.signatures import is_signed
from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import IntegrityViolated
from memory_fabric.core.merkle import Tree
from memory_fabric.core.receipt import Checkpoint, log_origin

_LENGTH = 512
"""Bytes that a disk writes whole or not at all; a checkpoint is shorter."""
_log = logging.getLogger(__name__)


class Anchor:
    """A file with one signed checkpoint.

    It is replaced after each commit and not synced: after a power loss it may be older than the
    ledger, or empty, and both are taken as they are. It is never newer.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Checkpoint | None:
        """The checkpoint, signature unchecked; ``None`` where a power loss left the file empty.

        Raises:
            IntegrityViolated: ``ledger-anchor-damaged``: the file is gone or not a checkpoint.
        """
        try:
            content = self.path.read_bytes().strip(b"\0")
            return Checkpoint.from_json(json.loads(content)) if content else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            raise self.damaged() from None

    def write(self, checkpoint: Checkpoint, *, durable: bool = False) -> None:
        """Replace the checkpoint: in place, padded to one length, since a renamed file would make
        the disk write its bytes out at once.

        An anchor that cannot be written stays older than the ledger. That weakens the watch until
        the next commit, and is no reason to fail an act that is already on stable storage.
        """
        try:
            content = canonical(checkpoint.to_json()).ljust(_LENGTH)
            if durable:
                replace_file(self.path, content, durable=True)
            else:
                _overwrite(self.path, content)
        except OSError as error:
            if durable:
                raise
            _log.warning("The ledger's anchor was not written: %s", error.strerror)

    def contradiction(self, tree: Tree, site_id: str, public_key: bytes) -> str | None:
        """How a log falls short of the anchored checkpoint; ``None`` where it goes on from it.

        Raises:
            IntegrityViolated: ``ledger-anchor-damaged``.
        """
        anchored = self.read()
        if anchored is None:
            return None
        signed = is_signed(public_key, anchored.body, anchored.signature)
        if anchored.origin != log_origin(site_id) or not signed:
            raise self.damaged()
        if anchored.size > tree.size:
            return f"it holds {tree.size} receipts, its anchor covers {anchored.size}."
        if anchored.root != tree.root(anchored.size):
            return "its receipts are not those that its anchor covers."
        return None

    def damaged(self) -> IntegrityViolated:
        """``ledger-anchor-damaged``, naming the file."""
        return IntegrityViolated(
            "ledger-anchor-damaged",
            f"The ledger's anchor {self.path.name} is gone or is not a checkpoint of this site.",
            "Find out who changed it; it shows whether the ledger was rolled back.",
            {"damaged": [self.path.name]},
        )


def _overwrite(path: Path, content: bytes) -> None:
    """One write over the whole of a file that is there."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        os.pwrite(descriptor, content, 0)
    finally:
        os.close(descriptor)
