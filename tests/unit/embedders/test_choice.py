"""Which embedder is taken, and what happens when the wrong one, or none, is there."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from memory_fabric.adapters.embedders import (
    MiniLmEmbedder,
    StaticEmbedder,
    default_embedder,
    embedder_by_id,
    minilm,
)
from memory_fabric.core.errors import EmbedderMismatch, Unavailable


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the package of MiniLM's weights; the folder for its export."""
    model = tmp_path / "packages" / minilm.PACKAGE / "model"
    model.mkdir(parents=True)
    (model.parent / "__init__.py").write_text("raise RuntimeError('the package must not be run')")
    (model / "model.safetensors").write_bytes(b"weights")
    (model / "tokenizer.json").write_bytes(b"{}")
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.delitem(sys.modules, minilm.PACKAGE, raising=False)
    export = tmp_path / "export"
    export.mkdir()
    return export


def write_export(folder: Path, **changed: object) -> None:
    (folder / minilm.GRAPH).write_bytes(b"graph")
    graph = minilm.sha256(folder / minilm.GRAPH)
    manifest = {"sources": minilm.source_hashes(), "graph": graph, **changed}
    (folder / minilm.MANIFEST).write_text(json.dumps(manifest))


def test_without_an_export_a_new_site_takes_the_static_embedder(tmp_path):
    assert default_embedder(tmp_path).id == StaticEmbedder().id


def test_a_site_finds_the_embedder_that_it_was_made_with(tmp_path):
    assert embedder_by_id(StaticEmbedder().id, tmp_path).id == StaticEmbedder().id


def test_an_embedder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(EmbedderMismatch) as raised:
        embedder_by_id("0" * 64, tmp_path)
    assert raised.value.code == "embedder-unknown"


def test_minilm_without_an_export_says_how_to_make_one(packaged):
    with pytest.raises(Unavailable) as raised:
        MiniLmEmbedder(packaged)
    assert raised.value.code == "embedder-not-exported"
    assert "export_minilm" in raised.value.do


@pytest.mark.parametrize(
    "changed", [{"graph": "0" * 64}, {"sources": {"model.safetensors": "0" * 64}}]
)
def test_an_export_of_something_else_is_refused_and_not_passed_over(packaged, changed):
    write_export(packaged, **changed)
    for make in (MiniLmEmbedder, default_embedder):
        with pytest.raises(Unavailable) as raised:
            make(packaged)
        assert raised.value.code == "embedder-export-foreign"


def test_a_torn_manifest_is_refused(packaged):
    write_export(packaged)
    (packaged / minilm.MANIFEST).write_text("{")
    with pytest.raises(Unavailable) as raised:
        MiniLmEmbedder(packaged)
    assert raised.value.code == "embedder-export-foreign"


def test_the_static_embedder_makes_the_vectors_of_its_package(monkeypatch):
    """Same numbers as wordllama's own code, which is run here and nowhere else."""
    import wordllama

    home = Path(wordllama.__file__).parent
    theirs = wordllama.WordLlama.load(cache_dir=home, disable_download=True)
    texts = ["The cat sat on the mat.", "naïve café 我喜欢猫", "a", "word " * 500]
    ours = np.stack([np.frombuffer(vector, "<f4") for vector in StaticEmbedder().embed(texts)])
    assert np.abs(ours - theirs.embed(texts, norm=True)).max() < 1e-6


def test_the_static_embedder_asks_no_network(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert StaticEmbedder().embed(["hello"])
