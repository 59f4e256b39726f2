"""What is measured on: rows with a vector, a text, a subject and a class, and queries for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from memory_fabric.core.memory import Vector
from memory_fabric.core.model_ports import Embedder

Floats = npt.NDArray[np.float32]

SUBJECTS = 1000
CLASSES = 100
TOP = 10


@dataclass(frozen=True)
class Corpus:
    """Rows and queries.

    Attributes:
        vectors: of the rows, unit length, shape (rows, dim).
        texts, subjects, classes: of the rows; subjects and classes as numbers.
        asked: vectors of the queries.
        questions: texts of the queries.
        tenth: cosine of the tenth nearest row of each query, found by comparing all rows.
    """

    name: str
    vectors: Floats
    texts: Sequence[str]
    subjects: npt.NDArray[np.int64]
    classes: npt.NDArray[np.int64]
    asked: Floats
    questions: Sequence[str]
    tenth: Floats

    def __len__(self) -> int:
        return len(self.texts)

    def recall(self, found: Sequence[Sequence[int]]) -> float:
        """Recall@10: the share of the ten nearest rows that were found, mean over the queries.

        Where rows are equally near, as copies of one text are, any of them will do.
        """
        near = [
            np.count_nonzero(self.vectors[rows] @ query >= tenth - 1e-6)
            for rows, query, tenth in zip(found, self.asked, self.tenth, strict=True)
        ]
        return float(np.mean(near)) / TOP

    def first(self, rows: int) -> Corpus:
        """The first so many rows, with the same queries."""
        vectors = self.vectors[:rows]
        return Corpus(
            self.name, vectors, self.texts[:rows], self.subjects[:rows], self.classes[:rows],
            self.asked, self.questions, tenth_best(vectors, self.asked),
        )  # fmt: skip


def synthetic(rows: int, queries: int, dim: int = 384) -> Corpus:
    """Clustered vectors of low intrinsic dimension, as embeddings are, and Zipf texts.

    A vector is one of 2,000 centres in 48 dimensions, moved, mapped into ``dim`` dimensions, with
    noise in all of them. Words follow Zipf's law (exponent 1.1 over 20,000 words), 8 to 40 a text.
    A query is a vector from the same distribution, and four words of one of the rows.
    """
    random = np.random.default_rng(20261123)
    inner = 48
    spread = random.standard_normal((inner, dim), np.float32)
    centres = random.standard_normal((2000, inner), np.float32)

    def vectors(count: int) -> Floats:
        moved = centres[random.integers(0, len(centres), count)]
        moved += 0.7 * random.standard_normal((count, inner), np.float32)
        noise = 0.15 * inner**0.5 * random.standard_normal((count, dim), np.float32)
        found = moved @ spread + noise
        unit: Floats = found / np.linalg.norm(found, axis=1, keepdims=True)
        return unit

    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = np.array(["".join(random.choice(letters, random.integers(3, 10)))
                      for _ in range(20_000)])  # fmt: skip
    weights = 1 / np.arange(1, len(words) + 1) ** 1.1
    lengths = random.integers(8, 41, rows)
    drawn = words[random.choice(len(words), int(lengths.sum()), p=weights / weights.sum())]
    texts = [" ".join(part) for part in np.split(drawn, np.cumsum(lengths)[:-1])]
    rows_asked = random.integers(0, min(rows, 10_000), queries)
    questions = [" ".join(random.choice(texts[row].split(), 4)) for row in rows_asked]
    return _corpus("synthetic", vectors(rows), texts, vectors(queries), questions)


def real(folder: Path, embedder: Embedder, queries: int) -> Corpus:
    """MedQuAD's answers and Banking77's queries; asked are MedQuAD's held-out questions."""
    pairs = [
        pair
        for source in sorted((folder / "medquad").glob("*.parquet"))
        for pair in pq.read_table(source, columns=["question", "answer", "split"]).to_pylist()
    ]
    texts = [pair["answer"] for pair in pairs]
    for part in ("train", "test"):
        texts += pq.read_table(folder / "banking77" / f"{part}.parquet")["text"].to_pylist()
    held = [pair["question"] for pair in pairs if pair["split"] == "heldout"]
    questions = held[:: max(1, len(held) // queries)][:queries]
    return _corpus(
        "MedQuAD and Banking77", floats(embedder.embed(texts), embedder.dim), texts,
        floats(embedder.embed(questions), embedder.dim), questions,
    )  # fmt: skip


def floats(vectors: Sequence[Vector], dim: int) -> Floats:
    """Vectors of the port ``Embedder`` as one array."""
    return np.frombuffer(b"".join(vectors), "<f4").reshape(-1, dim)


def tenth_best(vectors: Floats, asked: Floats) -> Floats:
    """For each query the tenth highest cosine of all rows."""
    found = [
        np.partition(some @ vectors.T, -TOP, axis=1)[:, -TOP]
        for some in np.array_split(asked, max(1, len(asked) // 50))
    ]
    return np.concatenate(found)


def _corpus(
    name: str, vectors: Floats, texts: Sequence[str], asked: Floats, questions: Sequence[str]
) -> Corpus:
    random = np.random.default_rng(len(texts))
    return Corpus(
        name=name,
        vectors=np.ascontiguousarray(vectors, np.float32),
        texts=texts,
        subjects=random.integers(0, SUBJECTS, len(texts)),
        classes=random.integers(0, CLASSES, len(texts)),
        asked=np.ascontiguousarray(asked, np.float32),
        questions=questions,
        tenth=tenth_best(vectors, asked),
    )
