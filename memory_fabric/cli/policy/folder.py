"""Which bundle a command speaks of: a folder of plain files, or the one installed in the home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from memory_fabric import wiring
from memory_fabric.cli.session import Session

Directory = Annotated[
    Path | None, typer.Argument(help="A bundle's folder; the installed bundle if left out.")
]


def folder(run: Session, directory: Path | None) -> Path:
    """The folder named, else that of the installed bundle."""
    return directory if directory is not None else wiring.installed_policies(run.path)
