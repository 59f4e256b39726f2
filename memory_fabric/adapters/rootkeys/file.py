"""``file``: a root key in a file that only its owner can read."""

from __future__ import annotations

import secrets

from memory_fabric.adapters.rootkeys.files import RootFiles, wrong
from memory_fabric.adapters.rootkeys.wrapping import KEY_BYTES, HeldRootKey
from memory_fabric.core.key_ports import KeyPlace


class FileRootKeys:
    """32 random bytes in ``keys/root.key``."""

    closes_copies = False

    def __init__(self, place: KeyPlace) -> None:
        place.check_settings("file", ())
        self._files = RootFiles(place.folder, "key")

    def create(self, root_id: str) -> None:
        """A new root key, durable before this returns."""
        self._files.create(root_id, secrets.token_bytes(KEY_BYTES))

    def open(self, root_id: str) -> HeldRootKey:
        """The root key of that id."""
        key = self._files.read(root_id)
        if len(key) != KEY_BYTES:
            raise wrong()
        return HeldRootKey(key)

    def destroy(self, root_id: str) -> None:
        """Overwrite and remove it."""
        self._files.destroy(root_id)
