"""A process to be killed: it writes, erases, relabels, and says what is acknowledged.

Run as ``python -m tests.fault.writer HOME MARKER``. Lines: ``kept ID``, ``erased SUBJECT``,
``withdrawn ID``.
"""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path

from memory_fabric.wiring import open_home
from tests.system.homes import ask, remember


def say(*words: str) -> None:
    os.write(1, (" ".join(words) + "\n").encode())


def main(path: Path, marker: str) -> None:
    with open_home(path) as home:
        say("ready")
        for number in itertools.count():
            name = f"{marker}-{os.getpid()}-{number}"
            subject = f"subject-{name}"
            kept = remember(home, f"memory {name} of many words", subject, metadata={"m": marker})
            say("kept", kept)
            if number % 5 == 2:
                say("erasing", subject)
                ask(home, "forget", subject=subject)
                say("erased", kept)
            if number % 5 == 4:
                say("withdrawing", kept)
                ask(home, "label_set", id=kept, change={"consent": "withdrawn"})
                say("withdrawn", kept)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
