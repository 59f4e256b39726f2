"""Documentation is executed, and its links lead somewhere.

In ``README.md`` and ``docs/``, a ``console`` block is a session: each ``$ memory-fabric ...``,
``$ cp ...`` or ``$ export NAME=VALUE`` is run, in order, in one empty folder per file; a line
shown below a command must stand in what it printed, ``...`` standing for anything; ``# exit 3``
at the end of a command names the exit code it must have. A ``python`` block is executed, all of a
file's blocks in one namespace and in that same folder. A block that names a file behind its
language, as in ``yaml rules/cases/own.yaml``, is written there. ``sh`` blocks are for the reader.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from memory_fabric.cli import main

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*) *([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (.+?)(?:\s+# exit (\d+))?\n((?:(?!\$ ).*\n)*)", re.MULTILINE)
SHELL = re.compile(r"[|<>&;$`]")
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)

PAGES = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part == "dist" for part in path.relative_to(ROOT).parts)
)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """What a page wants executed: language, file to be written and text of each block, in order."""
    found = FENCE.findall(page.read_text())
    return [block for block in found if block[0] in ("console", "python") or block[1]]


RUN = [
    page
    for page in PAGES
    if (page == ROOT / "README.md" or ROOT / "docs" in page.parents) and blocks(page)
]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@dataclass
class Session:
    """One file's folder, environment and namespace."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    namespace: dict[str, Any] = field(default_factory=dict)

    def console(self, block: str) -> None:
        for command, code, shown in COMMAND.findall(block.replace("\\\n", " ")):
            words = shlex.split(command)
            if words[0] == "export":
                self.environment.update([words[1].split("=", 1)])
            elif words[0] in ("memory-fabric", "cp"):
                printed = self.run(command, int(code or 0))
                for line in filter(str.strip, shown.splitlines()):
                    assert loosely(line).search(printed), f"{line!r} is not what {command!r} says"

    def run(self, command: str, code: int) -> str:
        """What a command prints. Only what needs a shell starts a process of its own."""
        plain = command.startswith("memory-fabric ") and not SHELL.search(command)
        ended, printed = (self.program if plain else self.shell)(command)
        assert ended == code, f"{command}\n{printed}"
        return " ".join(printed.split())

    def shell(self, command: str) -> tuple[int, str]:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        return done.returncode, done.stdout + done.stderr

    def program(self, command: str) -> tuple[int, str]:
        printed = io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment, clear=True),
            contextlib.redirect_stdout(printed),
            contextlib.redirect_stderr(printed),
            pytest.raises(SystemExit) as ended,
        ):
            main(shlex.split(command)[1:])
        return int(ended.value.code or 0), printed.getvalue()

    def python(self, block: str, page: Path) -> None:
        exec(compile(block, named(page), "exec"), self.namespace)  # noqa: S102


def loosely(line: str) -> re.Pattern[str]:
    """The line with any spacing, and anything at all for ``...``."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in line.split("...")]
    return re.compile(".*?".join(parts))


@pytest.mark.parametrize("page", RUN, ids=named)
def test_what_a_page_shows_works(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = Path(sys.executable).parent
    session = Session(
        tmp_path, {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
    )
    session.environment.update(HOME=str(tmp_path), COLUMNS="200", NO_COLOR="1")
    monkeypatch.chdir(tmp_path)
    for language, file, block in blocks(page):
        if file:
            (tmp_path / file).write_text(block)
        elif language == "console":
            session.console(block)
        else:
            session.python(block, page)


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{target} leads nowhere"
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there), f"{target} names no heading"


def anchors(page: Path) -> set[str]:
    """A page's headings as anchors, as forges make them."""
    headings = HEADING.findall(FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
