"""What the program prints: tables for people, JSON for machines, errors that help."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from memory_fabric.core.errors import MemoryFabricError

_CONTROLS = dict.fromkeys([*range(0x20), *range(0x7F, 0xA0)], "\ufffd") | {9: "\t", 10: "\n"}


def harmless(text: str) -> str:
    """The text without controls: what an app or another site wrote must not steer a terminal."""
    return text.translate(_CONTROLS)


class Output:
    """Standard output and error of one run.

    Args:
        as_json: print one JSON document instead of tables.
    """

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self._out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
        self._err = Console(stderr=True, highlight=False, soft_wrap=True)

    def json(self, document: Any) -> None:
        """One JSON document."""
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")

    def document(self, document: Any, text: str) -> None:
        """A document that has a text of its own, as it is; for machines the JSON."""
        if self.as_json:
            self.json(document)
        else:
            sys.stdout.write(text)

    def say(self, text: str, style: str = "") -> None:
        """A line for people; nothing where machines read."""
        if not self.as_json:
            self._out.print(Text(harmless(text), style=style))

    def note(self, text: str) -> None:
        """A line on standard error."""
        self._err.print(Text(text, style="dim"))

    def table(self, title: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A table for people."""
        if self.as_json:
            return
        table = Table(title=title, title_justify="left", header_style="bold", expand=False)
        for name in columns:
            # What is copied, or looked for in a file, must not be broken.
            table.add_column(name, overflow="fold", no_wrap=name in ("id", "lease", "rule"))
        for row in rows:
            table.add_row(*(Text("" if cell is None else harmless(str(cell))) for cell in row))
        self._out.print(table)

    def paragraph(self, heading: str, *lines: str) -> None:
        """A heading, and lines that stay indented where they are broken."""
        self.say(heading)
        for line in lines:
            if self._out.is_terminal:
                self.show(Padding(Text(harmless(line)), (0, 0, 0, 2), expand=False))
            else:
                self.say(f"  {line}")

    def show(self, *what: RenderableType) -> None:
        """Whatever rich can print, for people."""
        if not self.as_json:
            for item in what:
                self._out.print(item)

    def rules(self, title: str, rules: Iterable[Mapping[str, str]]) -> None:
        """Rules with their legal basis."""
        rows = [(rule["id"], rule["title"], rule["basis"]) for rule in rules]
        self.table(title, ("rule", "what it says", "legal basis"), rows)

    def error(self, error: MemoryFabricError) -> None:
        """An error: a problem document, or its sentence with the rules and what to do."""
        if self.as_json:
            self.json(error.problem())
            return
        self._err.print(Text.assemble((f"{error.code}: ", "bold red"), harmless(error.what)))
        if "row" in error.details:
            self._err.print(Text(f"  in row {error.details['row'] + 1}"))
        for rule in error.details.get("rules", ()):
            self._err.print(Text(f"  {rule['id']}: {rule['title']} ({rule['basis']})"))
        for finding in error.details.get("findings", ()):
            place = f"{finding['file']}:{finding['line']}" if finding["line"] else finding["file"]
            self._err.print(Text(f"  {place}: {finding['message']} {finding['fix']}"))
        for damaged in error.details.get("damaged", ()):
            self._err.print(Text(f"  damaged: {damaged}"))
        if error.do:
            self._err.print(Text(f"  {error.do}", style="dim"))

    def waiting(self, text: str) -> AbstractContextManager[object]:
        """A spinner on a terminal while something takes its time; nothing in a pipe."""
        return self._err.status(text) if self._err.is_terminal else nullcontext()

    def progress(self, what: str) -> Bar:
        """A progress bar on a terminal; nothing in a pipe."""
        return Bar(what, self._err)


class Bar:
    """A progress bar that appears with the first step of long work. A context manager."""

    def __init__(self, what: str, console: Console) -> None:
        self._what = what
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task: Any = None

    def __enter__(self) -> Bar:
        self._bar.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def step(self, done: int, total: int) -> None:
        """So much is done."""
        if self._task is None:
            self._task = self._bar.add_task(self._what, total=total)
        self._bar.update(self._task, completed=done, total=total)
