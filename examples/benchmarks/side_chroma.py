"""Plaintext peer: chromadb, in process, kept on the disk."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import chromadb
from chromadb.api.shared_system_client import SharedSystemClient
from chromadb.config import Settings
from corpus import CLASSES, TOP, Corpus
from side import Side, seconds

BATCH = 5000


class Chroma(Side):
    """One collection: a graph of 16 links, searched as widely as recall asks for."""

    def __init__(self, place: Path, corpus: Corpus) -> None:
        super().__init__(place, corpus)
        graph = {"space": "ip", "max_neighbors": 16, "ef_construction": 100, "ef_search": 40}
        self._rows: Any = self._client().create_collection(
            "memories", configuration={"hnsw": graph}, embedding_function=None
        )

    def version(self) -> str:
        return f"chromadb {version('chromadb')}"

    def fill(self) -> float:
        """All rows and their graph; seconds."""
        corpus = self.corpus

        def run() -> None:
            for start in range(0, len(corpus), BATCH):
                stop = min(start + BATCH, len(corpus))
                self._rows.add(
                    ids=[str(row) for row in range(start, stop)],
                    embeddings=corpus.vectors[start:stop],
                    metadatas=[{"class": int(one)} for one in corpus.classes[start:stop]],
                )

        return seconds(run)

    def ladder(self, share: float) -> list[Any]:
        return [10, 16, 32, 64, 128, 256] if share == 1.0 else [64]

    def use(self, setting: Any) -> None:
        """A collection that is open goes on with the width that it was opened with."""
        if setting not in (None, self.setting):
            self._rows.modify(configuration={"hnsw": {"ef_search": setting}})
            SharedSystemClient.clear_system_cache()
            self._rows = self._client().get_collection("memories", embedding_function=None)
            self.setting = setting

    def find(self, kind: str, number: int, share: float) -> list[Any]:
        permitted = list(range(0, CLASSES, round(1 / share)))
        found = self._rows.query(
            query_embeddings=self.corpus.asked[number : number + 1],
            n_results=TOP,
            where=None if share == 1.0 else {"class": {"$in": permitted}},
            include=[],
        )
        return [int(row) for row in found["ids"][0]]

    def _client(self) -> Any:
        return chromadb.PersistentClient(str(self.place), Settings(anonymized_telemetry=False))


def side(place: Path, corpus: Corpus) -> Chroma:
    return Chroma(place, corpus)
