"""Makes corpora: a synthetic one of any size, and one from real texts multiplied to any size."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq
from corpus import CLASSES, Floats, TextWriter

from memory_fabric.core.memory import Vector
from memory_fabric.core.model_ports import Embedder

Numbers = npt.NDArray[np.int64]
Part = tuple[Floats, list[str]]
"""Vectors and texts of some rows."""

PART = 50_000
"""Rows made at once, so that a million take no more memory than these."""
WINDOWS = 20_000
"""Windows of real texts that are embedded by the model itself; the rest are mixtures of them."""
SHORTEST = 20
"""Characters of a window."""


def synthetic(folder: Path, rows: int, queries: int, dim: int = 384) -> None:
    """Clustered vectors of low intrinsic dimension, as embeddings are, and Zipf texts.

    A vector is one of 2,000 centres in 48 dimensions, moved, mapped into ``dim`` dimensions, with
    noise in all of them. Words follow Zipf's law (exponent 1.1 over 20,000 words), 8 to 40 a text.
    A query is a vector from the same distribution, and four words of one of the first texts.
    """
    random = np.random.default_rng(20261123)
    inner = 48
    spread = random.standard_normal((inner, dim), np.float32)
    centres = random.standard_normal((2000, inner), np.float32)

    def vectors(count: int) -> Floats:
        moved = centres[random.integers(0, len(centres), count)]
        moved += 0.7 * random.standard_normal((count, inner), np.float32)
        noise = 0.15 * inner**0.5 * random.standard_normal((count, dim), np.float32)
        return _unit(moved @ spread + noise)

    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = np.array(["".join(random.choice(letters, random.integers(3, 10)))
                      for _ in range(20_000)])  # fmt: skip
    weights = np.cumsum(1 / np.arange(1, len(words) + 1) ** 1.1)

    def texts(count: int) -> list[str]:
        lengths = random.integers(8, 41, count)
        drawn = words[np.searchsorted(weights, random.random(lengths.sum()) * weights[-1])]
        return [" ".join(part) for part in np.split(drawn, np.cumsum(lengths)[:-1])]

    first = texts(min(rows, 10_000))
    asked = vectors(queries)
    questions = [" ".join(random.choice(first[row].split(), 4))
                 for row in random.integers(0, len(first), queries)]  # fmt: skip

    def parts() -> Iterator[Part]:
        yield vectors(len(first)), first
        for start in range(len(first), rows, PART):
            count = min(PART, rows - start)
            yield vectors(count), texts(count)

    _write(folder, "synthetic", rows, parts(), asked, questions)


def real(folder: Path, data: Path, embedder: Embedder, rows: int, queries: int) -> None:
    """MedQuAD's answers in windows of one to three sentences, and Banking77's queries.

    Up to 20,000 of these texts are embedded by the model. Where more rows are asked for, the rest
    are pairs of windows, half of the same answer and half of the same source, each with the text
    of both and a mixture of both vectors in a random proportion. That is the vector that a model
    which takes the mean over its tokens gives the joined text, but for what attention changes.
    Asked are MedQuAD's held-out questions.
    """
    random = np.random.default_rng(20261125)
    windows, answers, sources, held = _windows(data)
    if len(windows) > WINDOWS:
        kept = np.sort(random.choice(len(windows), WINDOWS, replace=False))
        windows = [windows[at] for at in kept]
        answers, sources = answers[kept], sources[kept]
    base = _floats(embedder.embed(windows), embedder.dim)
    questions = held[:: max(1, len(held) // queries)][:queries]
    asked = _floats(embedder.embed(questions), embedder.dim)
    order = random.permutation(len(windows))

    def parts() -> Iterator[Part]:
        alone = order[:rows]
        yield base[alone], [windows[at] for at in alone]
        for start in range(len(windows), rows, PART):
            count = min(PART, rows - start)
            one = random.integers(0, len(windows), count)
            near, far = _mate(random, answers, one), _mate(random, sources, one)
            other = np.where(random.random(count) < 0.5, near, far)
            share = random.uniform(0.2, 0.8, (count, 1)).astype(np.float32)
            mixed = _unit(share * base[one] + (1 - share) * base[other])
            yield mixed, [f"{windows[a]} {windows[b]}" for a, b in zip(one, other, strict=True)]

    _write(folder, f"real texts by {embedder.name}", rows, parts(), asked, questions)


def _windows(data: Path) -> tuple[list[str], Numbers, Numbers, list[str]]:
    """Texts, the answer and the source each is from, and the held-out questions.

    A query of Banking77 has its category for an answer, and Banking77 for a source.
    """
    found: dict[str, tuple[int, int]] = {}
    held: list[str] = []
    answer = 0
    files = sorted((data / "medquad").glob("*.parquet"))
    for source, file in enumerate(files):
        for pair in pq.read_table(file, columns=["question", "answer", "split"]).to_pylist():
            answer += 1
            if pair["split"] == "heldout":
                held.append(pair["question"])
            sentences = re.split(r"(?<=[.!?])\s+|\n+", pair["answer"].strip())
            for length in (1, 2, 3):
                for at in range(len(sentences) - length + 1):
                    text = " ".join(sentences[at : at + length]).strip()
                    if len(text) >= SHORTEST:
                        found.setdefault(text, (answer, source))
    categories: dict[str, int] = {}
    for part in ("train", "test"):
        for row in pq.read_table(data / "banking77" / f"{part}.parquet").to_pylist():
            number = categories.setdefault(row["category"], answer + 1 + len(categories))
            found.setdefault(row["text"], (number, len(files)))
    answers, sources = zip(*found.values(), strict=True)
    return list(found), np.array(answers), np.array(sources), list(dict.fromkeys(held))


def _mate(random: np.random.Generator, groups: Numbers, rows: Numbers) -> Numbers:
    """For each row another (or the same) one of its group."""
    order = np.argsort(groups, kind="stable")
    ranked = groups[order]
    first = np.searchsorted(ranked, groups[rows], "left")
    size = np.searchsorted(ranked, groups[rows], "right") - first
    mates: Numbers = order[first + (random.random(len(rows)) * size).astype(np.int64)]
    return mates


def _unit(vectors: Floats) -> Floats:
    unit: Floats = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit.astype(np.float32)


def _floats(vectors: Sequence[Vector], dim: int) -> Floats:
    return np.frombuffer(b"".join(vectors), "<f4").reshape(-1, dim)


def _write(
    folder: Path, name: str, rows: int, parts: Iterator[Part], asked: Floats,
    questions: Sequence[str],
) -> None:  # fmt: skip
    folder.mkdir(parents=True)
    shape = (rows, asked.shape[1])
    vectors = np.lib.format.open_memmap(folder / "vectors.npy", "w+", np.float32, shape)
    with TextWriter(folder, "texts") as texts:
        start = 0
        for found, said in parts:
            vectors[start : start + len(said)] = found
            texts.write(said)
            start += len(said)
    np.save(folder / "classes.npy", np.random.default_rng(CLASSES).integers(0, CLASSES, rows))
    np.save(folder / "asked.npy", np.ascontiguousarray(asked, np.float32))
    about = {"name": name, "questions": list(questions)}
    (folder / "about.json").write_text(json.dumps(about), "utf-8")
