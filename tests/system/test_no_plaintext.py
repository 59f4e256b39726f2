"""Guarantee 1: no file on disk holds a text, a name, an id, metadata or a vector in the clear.

Markers are random, so that no compression hides them. Every file under the homes and the temporary
directory is read after each step, whole: live ones, orphans, journals, old versions.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import struct
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from memory_fabric.core.errors import MemoryFabricError
from memory_fabric.flows.snapshot import take
from memory_fabric.wiring import Home
from tests.system.homes import ask, cli, files_of, recalled, remember, reopened, site

ROOT = Path(__file__).parents[2]


_WORD = re.compile(rb"zq[0-9a-f]{20}")


@dataclass
class Markers:
    """What must not be found, each under a name that may be shown."""

    words: dict[bytes, str] = field(default_factory=dict)
    vectors: list[bytes] = field(default_factory=list)

    def word(self, kind: str) -> str:
        """A random word; in an import file and an answer it stands in the clear, on disk never."""
        made = f"zq{secrets.token_hex(10)}"
        self.words[made.encode()] = kind
        return made

    def vector(self, numbers: list[float]) -> list[float]:
        """A vector's float32 bytes, in pieces, as they would stand in an index."""
        raw = struct.pack(f"<{len(numbers)}f", *numbers)
        self.vectors += [raw[at : at + 16] for at in range(0, len(raw) - 16, 200)]
        return numbers

    def seen_in(self, *folders: Path) -> list[str]:
        """Where any of them stands: file and kind."""
        seen = []
        for file in files_of(*folders):
            with suppress(FileNotFoundError):  # a running site makes and removes files
                content = file.read_bytes()
                found = {self.words.get(word) for word in _WORD.findall(content.lower())}
                found |= {"vector" for piece in self.vectors if piece in content}
                seen += [f"{kind} in {file}" for kind in found if kind]
        return seen


@dataclass
class Places:
    """Two sites in two countries, a folder of import files, and the temporary directory."""

    home: Path
    other: Path
    temporary: Path
    inbox: Path
    markers: Markers

    def check(self) -> None:
        assert self.markers.seen_in(self.home, self.other, self.temporary) == []


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    temporary, inbox = tmp_path / "tmp", tmp_path / "inbox"
    temporary.mkdir()
    inbox.mkdir()
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.setenv(name, str(temporary))
    monkeypatch.setattr("tempfile.tempdir", None)
    home, other = site(tmp_path, "fra-1", "DE"), site(tmp_path, "par-1", "FR")
    assert cli(home, "site", "link", str(other)).code == 0
    return Places(home, other, temporary, inbox, Markers())


def fields(markers: Markers, **more: object) -> dict[str, object]:
    """A memory full of markers."""
    return {
        "memory": f"The {markers.word('text')} blooms near {markers.word('text')} in the garden.",
        "subjects": [f"Name{markers.word('subject')}"],
        "id": f"id-{markers.word('id')}",
        "metadata": {markers.word("metadata key"): markers.word("metadata value")},
        **more,
    }


def everything_about(home: Home, markers: Markers) -> None:
    """Take every vector of the home's answers into the markers."""
    for _, memory in _texts(home):
        raw = home.node.embedder.embed([memory])[0]
        markers.vector(list(struct.unpack(f"<{len(raw) // 4}f", raw)))


def _texts(home: Home) -> list[tuple[str, str]]:
    found = recalled(home, "garden", top_k=1000)["results"]
    return [(item["id"], item["memory"]) for item in found]


def test_no_file_holds_plaintext_through_a_site_s_life(places: Places) -> None:
    markers = places.markers
    assert markers.seen_in(places.home) == []
    one, two = fields(markers), fields(markers, consent="given")
    for memory in (one, two):
        shown = cli(
            places.home, "remember", str(memory["memory"]), "--subject", memory["subjects"][0],
            "--id", str(memory["id"]),
        )  # fmt: skip
        assert shown.code == 0
    places.check()

    with reopened(places.home) as home:
        for number in range(66):  # past the point where the stack tidies itself up
            ask(home, "add", memories=[fields(markers, consent=("none", "given")[number % 2])])
        places.check()
        raw = home.node.embedder.embed([str(fields(markers)["memory"])])[0]
        given = list(struct.unpack(f"<{len(raw) // 4}f", raw))
        embedder = home.node.embedder.id
        ask(home, "add", memories=[fields(markers, embedding=given, embedder=embedder)])
        markers.vector(given)
        everything_about(home, markers)
        places.check()

    lines = [fields(markers) for _ in range(20)] + [{"memory": "", "id": markers.word("bad row")}]
    imported = places.inbox / "rows.jsonl"
    imported.write_text("\n".join(map(json.dumps, lines)))
    assert cli(places.home, "remember", "--from", str(imported)).code == 1
    table = places.inbox / "rows.parquet"
    rows = [fields(markers) | {"metadata": "{}"} for _ in range(5)]
    pq.write_table(pa.Table.from_pylist([{**row, "metadata": None} for row in rows]), table)
    assert cli(places.home, "remember", "--from", str(table)).code == 0
    comma = places.inbox / "rows.csv"
    comma.write_text(f"memory,subject\n{markers.word('text')} garden,{markers.word('subject')}\n")
    assert cli(places.home, "remember", "--from", str(comma), "--strict").code == 0
    places.check()

    query = f"garden {markers.word('query')}"
    subject = str(one["subjects"][0])
    for scope in (["--all-subjects"], ["--subject", subject]):
        asked = cli(places.home, "recall", query, "--purpose", "care", "--reach", "grid", *scope)
        assert asked.code == 0
        assert asked.json["results"]
    with reopened(places.other) as other:
        remember(other, f"The {markers.word('text')} of the other garden.", markers.word("subject"))
        elsewhere = recalled(other, query, reach="grid", top_k=100)
        assert {item["site"] for item in elsewhere["results"]} == {"fra-1", "par-1"}
    places.check()

    with reopened(places.home) as home:
        ask(home, "label_set", subject=subject, change={"consent": "withdrawn"})
        ask(home, "label_set", id=two["id"], change={"data_class": "secret"})
        everything_about(home, markers)
        assert take(home.node)
        places.check()
        ask(home, "forget", subject=subject)
        ask(home, "forget", id=two["id"])
        with pytest.raises(MemoryFabricError):
            ask(home, "get", id=two["id"], purpose="care")
        assert take(home.node)
    places.check()
    assert cli(places.home, "site", "verify").code == 0
    assert cli(places.home, "receipts", "list", "--limit", "500").code == 0
    places.check()


def test_the_scan_finds_what_it_looks_for(places: Places) -> None:
    """A scan that finds nothing proves nothing, unless it can find."""
    word = places.markers.word("text")
    numbers = places.markers.vector([0.25 + index / 1000 for index in range(64)])
    (places.temporary / "spill").write_bytes(b"x" * 5000 + word.upper().encode())
    (places.home / "stack" / "leak").write_bytes(struct.pack("<64f", *numbers))
    kinds = {
        line.split(" in ")[0] for line in places.markers.seen_in(places.home, places.temporary)
    }
    assert kinds == {"text", "vector"}


WRITER = """
import json, os, sys
from pathlib import Path
from memory_fabric.flows.snapshot import take
from memory_fabric.wiring import open_home
from tests.system.homes import ask
with open_home(Path(sys.argv[1])) as home:
    os.write(1, b"ready\\n")
    for number, line in enumerate(sys.stdin):
        memory = json.loads(line)
        ask(home, "add", memories=[memory])
        if number % 4 == 1:
            ask(home, "label_set", id=memory["id"], change={"data_class": "secret"})
        if number % 2:
            take(home.node)
        if number % 4 == 3:
            ask(home, "forget", subject=memory["subjects"][0])
        os.write(1, b"kept\\n")
"""


@pytest.mark.parametrize("kept", [pytest.param(1, marks=pytest.mark.slow), 9])
def test_no_file_holds_plaintext_after_a_kill(places: Places, kept: int) -> None:
    lines = [json.dumps(fields(places.markers)) + "\n" for _ in range(60)]
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(places.home)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "ready\n"
            process.stdin.write("".join(lines))
            process.stdin.flush()
            for _ in range(kept):
                assert process.stdout.readline() == "kept\n"
            places.check()  # while it is being written to
        finally:
            process.kill()
    places.check()
    with reopened(places.home) as home:
        everything_about(home, places.markers)
    places.check()
    assert cli(places.home, "site", "verify").code == 0


def test_no_failing_command_quotes_what_it_was_given(places: Places) -> None:
    markers = places.markers
    text, subject = f"A {markers.word('text')} garden.", markers.word("subject")
    name, query = markers.word("id"), markers.word("query")
    assert cli(places.home, "remember", text, "--subject", subject, "--id", name).code == 0
    rows = [
        {"memory": markers.word("text") * 2000, "subjects": ["A"]},
        {"memory": markers.word("text"), "subjects": [markers.word("subject")], "metadata": 3},
        {"memory": markers.word("text"), "subjects": [markers.word("subject")], "id": name},
        {"memory": markers.word("text"), "special": [markers.word("special")], "subjects": ["A"]},
        {"memory": markers.word("text"), "purposes": [markers.word("purpose")], "subjects": ["A"]},
        {"memory": markers.word("text"), "data_class": markers.word("class"), "subjects": ["A"]},
        {"memory": markers.word("text"), "embedding": [markers.word("number")], "subjects": ["A"]},
        {"memory": markers.word("text"), "valid_at": markers.word("time"), "subjects": ["A"]},
        {"memory": markers.word("text"), "consent": markers.word("consent"), "subjects": ["A"]},
        {"memory": markers.word("text"), f"{markers.word('field')} of": 1, "subjects": ["A"]},
        {"memory": markers.word("text")},
    ]
    broken = [f'{{"memory": "{markers.word("text")}"', f'["{markers.word("text")}"]']
    imported = places.inbox / "bad.jsonl"
    imported.write_text("\n".join([*map(json.dumps, rows), *broken]))
    comma = places.inbox / "bad.csv"
    comma.write_text(f"memory,subject\n{markers.word('text')},a,{markers.word('cell')}\n")
    headless = places.inbox / "headless.csv"
    headless.write_text(f"{markers.word('text')} in a line,{markers.word('subject')} b\nc,d\n")
    commands: list[tuple[str, ...]] = [
        ("remember", text, "--subject", subject, "--id", name),
        ("remember", text, "--purpose", "nonsense"),
        ("remember", text),
        ("remember", text, "--subject", subject, "--data-class", "odd"),
        ("remember", text, "--subject", subject, "--special", "odd"),
        ("remember", text, "--subject", subject, "--expires-at", "tomorrow"),
        ("remember", text, "--subject", subject, "--purpose", "care", "--purpose", "research"),
        ("remember", "--from", str(imported)),
        ("remember", "--from", str(imported), "--strict"),
        ("remember", "--from", str(comma)),
        ("remember", "--from", str(headless)),
        ("recall", query),
        ("recall", query, "--purpose", "care"),
        ("recall", query, "--purpose", "nonsense", "--subject", subject),
        ("recall", query, "--purpose", "care", "--subject", subject, "--all-subjects"),
        ("recall", query, "--purpose", "care", "--subject", subject, "--reach", "moon"),
        ("recall", query, "--purpose", "care", "--subject", subject, "--special", "odd"),
        ("label", "set", "--subject", subject, "--consent", "given"),
        ("label", "set", "--id", name, "--data-class", "public"),
        ("label", "set", "--subject", markers.word("subject"), "--consent", "withdrawn"),
        ("forget", "--subject", subject, "--id", name),
        ("forget", "--id", markers.word("id")),
    ]
    told = places.temporary / "told"
    for number, words in enumerate(commands):
        run = cli(places.home, *words, plain=number % 3 == 0)
        assert run.code != 0, words
        told.write_text(run.out + run.err)
        assert markers.seen_in(places.temporary) == [], words
    places.check()
