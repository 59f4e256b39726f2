"""A kind of root key as another package would bring it: kept by a service, here in memory."""

from __future__ import annotations

from memory_fabric.core.errors import HomeError
from memory_fabric.core.key_ports import KeyPlace, KeyProvider
from tests.fakes.keystore import MemoryKeyProvider

SERVICE: dict[str, MemoryKeyProvider] = {}


class CloudRootKeys:
    """``RootKeyKind`` over a dictionary."""

    closes_copies = True

    def __init__(self, place: KeyPlace) -> None:
        place.check_settings("vault", ("region",))

    def create(self, root_id: str) -> None:
        if root_id in SERVICE:
            raise HomeError("root-key-exists", "The service has it already.")
        SERVICE[root_id] = MemoryKeyProvider()

    def open(self, root_id: str) -> KeyProvider:
        if root_id not in SERVICE:
            raise HomeError("root-key-missing", "The service has no such key.")
        return SERVICE[root_id]

    def destroy(self, root_id: str) -> None:
        SERVICE.pop(root_id, None)
