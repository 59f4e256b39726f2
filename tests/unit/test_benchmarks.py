"""What `make bench` says of its own figures: a number is only as good as its judge."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from memory_fabric import wiring

BENCHMARKS = Path(__file__).parents[2] / "examples" / "benchmarks"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a module of the benchmarks, which are scripts and no package."""
    monkeypatch.syspath_prepend(BENCHMARKS)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


def searched(sealed: float, qdrant: float, recall: float) -> dict[str, Any]:
    sides = {"sealed": (sealed, 1.0), "lancedb": (5.0, 1.0), "qdrant": (qdrant, recall)}
    turns = {name: {"ms": [ms, ms], "recall": at} for name, (ms, at) in sides.items()}
    return {"20k": {"search": {"result": dict.fromkeys(("1.0", "0.5", "0.01"), turns)}}}


def verdict(bench: Any, parts: dict[str, Any]) -> Any:
    targets = bench("targets")
    return targets.judged(targets.Measured(parts), targets.USUAL)[0]


def test_the_fastest_peer_is_the_measure(bench: Any) -> None:
    assert verdict(bench, searched(sealed=0.4, qdrant=1.0, recall=1.0)).met is True
    assert verdict(bench, searched(sealed=0.6, qdrant=1.0, recall=1.0)).met is False


def test_a_peer_that_finds_too_little_is_no_measure(bench: Any) -> None:
    assert verdict(bench, searched(sealed=0.6, qdrant=1.0, recall=0.9)).met is True


def test_what_was_not_measured_or_failed_is_said_and_never_met(bench: Any) -> None:
    targets = bench("targets")
    failed = {"20k": {"search": {"failed": "SideFailed: gone"}}}
    for parts, said in (({}, "not measured"), (failed, "SideFailed: gone")):
        first, *_ = found = targets.judged(targets.Measured(parts), targets.USUAL)
        assert said in first.ours
        assert len(found) >= 20
        assert all(one.met is None for one in found)


def test_recall_is_counted_against_all_rows_in_the_filter(bench: Any, tmp_path: Path) -> None:
    corpus = bench("corpus")
    vectors = np.eye(40, dtype=np.float32)
    vectors[:, 0] += np.linspace(2.0, 0.1, 40, dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    np.save(tmp_path / "vectors.npy", vectors)
    np.save(tmp_path / "asked.npy", vectors[:1])
    np.save(tmp_path / "classes.npy", np.arange(40) % 2)
    (tmp_path / "about.json").write_text(json.dumps({"name": "t", "questions": ["q"]}))
    found = corpus.Corpus(tmp_path, 40)
    near = np.argsort(-(vectors @ vectors[0])).tolist()
    even = [row for row in near if row % 2 == 0]
    assert found.recall([near[:10]], 1.0) == 1.0
    assert found.recall([near[:5] + near[20:25]], 1.0) == 0.5
    assert found.recall([even[:10]], 0.5) == 1.0
    assert found.recall([even[:9] + even[:1]], 0.5) == 0.9  # a row twice counts once
    with pytest.raises(ValueError, match="outside the filter"):
        found.recall([near[:10]], 0.5)


def test_a_plot_draws_each_curve_over_its_own_sizes(bench: Any) -> None:
    plot = bench("plot")
    whole = plot.Curve("ours", "search", True, [(10, 1.0), (100, 2.0)])
    short = plot.Curve("theirs", "search", False, [(100, 3.0)])
    drawn = plot.lines([whole, short], "ms")
    assert drawn.count("<circle") == 3
    assert drawn.count("ours") == drawn.count("theirs") == 1


def test_a_matrix_is_measured_cell_by_cell(bench: Any) -> None:
    plain = wiring.PlainPolicies(BENCHMARKS.parents[1] / "policies")
    forms, seconds = bench("policy_matrix").measured(plain, 20, 3)
    assert sum(forms.values()) == 60
    assert len(forms) > 1
    assert seconds > 0
