"""Plaintext peer: chromadb, in process, kept on the disk."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import chromadb
from chromadb.config import Settings
from corpus import CLASSES, TOP, Corpus
from side import Side, seconds

BATCH = 5000


class Chroma(Side):
    """One collection: a graph of 16 links, searched as widely as recall asks for."""

    def __init__(self, place: Path, corpus: Corpus) -> None:
        super().__init__(place, corpus)
        client = chromadb.PersistentClient(str(place), Settings(anonymized_telemetry=False))
        graph = {"space": "ip", "max_neighbors": 16, "ef_construction": 100, "ef_search": 40}
        self._rows: Any = client.create_collection(
            "memories", configuration={"hnsw": graph}, embedding_function=None
        )
        self._width = 0

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
        return [16, 32, 64, 128] if share == 1.0 else [64]

    def find(self, kind: str, number: int, share: float) -> list[Any]:
        if self._width != self.setting:
            self._width = self.setting
            self._rows.modify(configuration={"hnsw": {"ef_search": self._width}})
        permitted = list(range(0, CLASSES, round(1 / share)))
        found = self._rows.query(
            query_embeddings=self.corpus.asked[number : number + 1],
            n_results=TOP,
            where=None if share == 1.0 else {"class": {"$in": permitted}},
            include=[],
        )
        return [int(row) for row in found["ids"][0]]


def side(place: Path, corpus: Corpus) -> Chroma:
    return Chroma(place, corpus)
