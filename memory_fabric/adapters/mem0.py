"""Reading what mem0 keeps on a disk by default: points of Qdrant's local mode in SQLite.

Each point is a pickle, and a pickle may run code when it is loaded. This one is loaded without any:
no class is looked up by name, and only the data models of the client become plain values.
"""

from __future__ import annotations

import io
import pickle
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from memory_fabric.adapters.rows import Row
from memory_fabric.core.errors import InputError

DEFAULT_STORE = Path("/tmp/qdrant")  # noqa: S108 - where mem0 puts it, not where anything is written
"""mem0's own default."""

_MODELS = "qdrant_client.http.models.models"
_OWN = {"data", "hash", "text_lemmatized", "user_id", "created_at", "updated_at", "expiration_date",
        "memory_type", "label", "subjects"}  # fmt: skip
_TYPES = {"procedural_memory": "procedural", "episodic_memory": "episodic"}


class _Point:
    """Whatever model of the client stands in a pickle: its fields, nothing else."""

    def __setstate__(self, state: Any) -> None:
        self.fields = state.get("__dict__", {}) if isinstance(state, dict) else {}


class _Values(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        """Models become plain fields; everything else, above all functions, is refused."""
        if module == _MODELS and name.isidentifier():
            return _Point
        raise pickle.UnpicklingError("not a value")


def mem0_rows(store: Path) -> Iterator[Row]:
    """The memories of a mem0 store, as ``remember --from`` takes them.

    ``user_id`` becomes the subject; ``agent_id``, ``run_id`` and the memory's own metadata go into
    ``metadata``. Vectors are left out: they come from another embedder.

    Raises:
        InputError: ``file-unreadable``: it is no such store.
    """
    line = 0
    for file in _files(store):
        for blob in _points(file):
            line += 1
            try:
                point = _Values(io.BytesIO(blob)).load()
                yield Row(line, _fields(point.fields))
            except (pickle.UnpicklingError, EOFError, AttributeError, KeyError, TypeError,
                    ValueError, IndexError):  # fmt: skip
                yield Row(line, {}, "The point is not one that mem0 writes.")


def count_mem0(store: Path) -> int:
    """How many points there are, for a progress bar."""
    total = 0
    for file in _files(store):
        with closing(_opened(file)) as database:
            total += int(database.execute("SELECT count(*) FROM points").fetchone()[0])
    return total


def _files(store: Path) -> list[Path]:
    """A database for each collection; mem0's own notes about itself are none of the user's."""
    files = sorted((store / "collection").glob("*/storage.sqlite"))
    files = [file for file in files if file.parent.name != "mem0migrations"]
    if not files:
        raise InputError(
            "file-unreadable",
            f"There is no mem0 store in {store}.",
            "Name the folder that mem0's vector store is configured with (Qdrant, local).",
        )
    return files


def _points(file: Path) -> Iterator[bytes]:
    with closing(_opened(file)) as database:
        try:
            for (blob,) in database.execute("SELECT point FROM points ORDER BY id"):
                yield blob
        except sqlite3.DatabaseError:
            raise _unreadable(file) from None


def _opened(file: Path) -> sqlite3.Connection:
    try:
        database = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
        database.execute("SELECT count(*) FROM points").fetchone()
    except sqlite3.Error:
        raise _unreadable(file) from None
    return database


def _fields(point: dict[str, Any]) -> dict[str, Any]:
    payload = point["payload"]
    user = payload.get("user_id")
    expires = payload.get("expiration_date")
    return {
        "id": str(point["id"]),
        "memory": payload["data"],
        "memory_type": _TYPES.get(payload.get("memory_type"), "semantic"),
        "subjects": [user] if user else [],
        "valid_at": payload.get("created_at"),
        # A day without a time ends with the day.
        "expires_at": f"{expires}T23:59:59+00:00" if expires and len(expires) == 10 else expires,
        "metadata": {name: value for name, value in payload.items() if name not in _OWN},
    }


def _unreadable(file: Path) -> InputError:
    return InputError(
        "file-unreadable", f"{file} is not a store of Qdrant's local mode.", "Check the path."
    )
