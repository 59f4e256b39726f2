"""Which language model a site answers with, and what it refuses to run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
import tomlkit

from memory_fabric.adapters.generators import (
    FirstThatRuns,
    LlamaGenerator,
    Weights,
    choose,
    materialised,
    models,
    tiny_generator,
    write_tiny,
)
from memory_fabric.config import ModelSettings, Settings, Tenant, load_settings, new_document
from memory_fabric.core.errors import HomeError, IntegrityViolated, MemoryFabricError, Unavailable
from memory_fabric.core.model_ports import Generated, Turn
from memory_fabric.core.places import Region, Tier
from tests.fakes.generator import ScriptedGenerator

ASKED = [Turn("user", "hello")]
SETTINGS = Settings("fra-1", Region("DE"), Tier.EDGE, {"acme": Tenant("acme", "care")})


class Broken(ScriptedGenerator):
    def generate(
        self, turns: Sequence[Turn], max_tokens: int, *, temperature: float = 0.0, seed: int = 0
    ) -> Generated:
        raise Unavailable("model-not-runnable", "It crashed.", "Try another.")


def test_what_does_not_run_gives_way_to_the_next() -> None:
    broken, sound = Broken(), ScriptedGenerator(lambda _: "hello there")
    generator = FirstThatRuns([broken, sound])
    assert generator.generate(ASKED, 4).text == "hello there"
    assert broken.closed == 1


def test_where_nothing_runs_the_last_reason_is_told() -> None:
    with pytest.raises(Unavailable) as caught:
        FirstThatRuns([Broken(), Broken()]).generate(ASKED, 4)
    assert caught.value.code == "model-not-runnable"


def test_nothing_installed_and_nothing_named_is_no_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "PACKAGE", "no_such_package_at_all")
    assert choose(ModelSettings(), tmp_path) is None


def test_a_folder_in_hugging_face_s_layout_plugs_in(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="needs memory-fabric[train]")
    folder = write_tiny(tmp_path / "mine")
    generator = choose(ModelSettings(path=str(folder), context=256), tmp_path)
    assert generator is not None
    assert generator.name == "mine (transformers)"
    assert generator.generate(ASKED, 8) == tiny_generator(context=256).generate(ASKED, 8)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("paht", "x"), ("path", "models/mine.gguf"), ("path", 7), ("context", 0), ("threads", "two")],
)
def test_a_setting_that_cannot_be_is_an_error(tmp_path: Path, setting: str, value: object) -> None:
    path = tmp_path / "site.toml"
    document = tomlkit.parse(new_document(SETTINGS))
    document["model"] = {"context": 512, setting: value}
    path.write_text(tomlkit.dumps(document))
    with pytest.raises(HomeError) as caught:
        load_settings(path)
    assert caught.value.code == "settings-invalid"
    del document["model"][setting]
    document["model"]["context"] = 512
    path.write_text(tomlkit.dumps(document))
    assert load_settings(path).model == ModelSettings(context=512)


@pytest.mark.parametrize("content", [None, b"not these weights"])
def test_a_file_that_lacks_or_differs_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "model.gguf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MemoryFabricError) as caught:
        choose(ModelSettings(path=str(path), sha256="0" * 64), tmp_path)
    if content is None:
        assert caught.value.code == "model-missing"
    else:
        assert caught.value.code == "model-altered"
        assert isinstance(caught.value, IntegrityViolated)
        assert caught.value.details["damaged"] == [str(path)]


def test_altered_default_weights_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "changed_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise SystemExit('this code must not run')")
    (package / models.FILE).write_bytes(b"changed")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(models, "PACKAGE", "changed_weights")
    with pytest.raises(IntegrityViolated) as caught:
        choose(ModelSettings(), tmp_path)
    assert caught.value.code == "model-altered"


def test_a_file_that_is_no_model_is_told_and_takes_only_its_own_process(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="llama.cpp is not installed: make model")
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"GGUF" + bytes(100))
    generator = LlamaGenerator(Weights("broken", path, "0" * 64), 256, 1)
    with pytest.raises(Unavailable) as caught:
        generator.start()
    assert caught.value.code == "model-not-runnable"
    generator.close()


def test_an_unfinished_or_altered_copy_counts_as_none(tmp_path: Path) -> None:
    weights = Weights("m", tmp_path / "m.gguf", "ab" * 32)
    weights.path.write_bytes(b"weights")
    folder = tmp_path / f"m-{'ab' * 6}"
    folder.mkdir()
    assert materialised(weights, tmp_path) is None
    (folder / "config.json").write_text("{}")
    manifest = {"source": weights.sha256, "files": {"config.json": "00" * 32}}
    (folder / "memory-fabric.json").write_text(json.dumps(manifest))
    assert materialised(weights, tmp_path) is None


@pytest.mark.slow
def test_the_model_has_a_process_that_dies_alone_and_is_replaced() -> None:
    weights = models.packaged()
    if weights is None:
        pytest.skip("the language model is not installed: make model")
    pytest.importorskip("xllamacpp")
    generator = LlamaGenerator(weights, 256, 2)
    try:
        assert generator.generate(ASKED, 4).tokens_out
        (child,) = children()
        os.kill(child, signal.SIGSEGV)
        until = time.monotonic() + 5
        while children() and time.monotonic() < until:
            time.sleep(0.05)
        assert generator.generate(ASKED, 4).tokens_out
    finally:
        generator.close()
    assert not children()


@pytest.mark.slow
def test_no_process_and_no_file_outlives_a_killed_site() -> None:
    if models.packaged() is None:
        pytest.skip("the language model is not installed: make model")
    pytest.importorskip("xllamacpp")
    code = (
        "import time\n"
        "from memory_fabric.adapters.generators import LlamaGenerator, packaged\n"
        "generator = LlamaGenerator(packaged(), 256, 1)\n"
        "generator.start()\n"
        "print(generator._server._process.pid, generator._server._folder, flush=True)\n"
        "time.sleep(60)\n"
    )
    site = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    pid, folder = site.stdout.readline().split()
    site.kill()
    site.communicate()
    until = time.monotonic() + 10
    while (Path(folder).exists() or alive(int(pid))) and time.monotonic() < until:
        time.sleep(0.05)
    assert not Path(folder).exists()
    assert not alive(int(pid))


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody buried does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children() -> list[int]:
    """Worker processes of this one that are not yet dead."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
            words = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if int(fields[1]) == os.getpid() and fields[0] != "Z" and b"llama_worker" in words:
            found.append(int(status.parent.name))
    return found
