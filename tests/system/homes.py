"""Sites for tests, used as their users use them: by the program, or by operations on an open home.

Nothing here reaches below the faces of a site, save ``files_of``, which reads what lies on disk.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

from memory_fabric import operations
from memory_fabric.cli import main
from memory_fabric.core.ports import Clock
from memory_fabric.wiring import Home, create_home, open_home

OPERATOR = {"os_user": "tester"}
TENANT = "acme"


@dataclass(frozen=True)
class Run:
    """What one run of the program did."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one document that it printed."""
        return json.loads(self.out)


def cli(home: Path, *words: str, plain: bool = False) -> Run:
    """Run the program on a home in this process, with ``--json`` unless ``plain``."""
    out, err = StringIO(), StringIO()
    arguments = ["--home", str(home), *words, *(() if plain else ("--json",))]
    code = 0
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    return Run(code, out.getvalue(), err.getvalue())


def ask(home: Home, operation: str, key: str | None = None, **params: Any) -> dict[str, Any]:
    """One operation on an open home, as the local operator or with an app's key."""
    who = OPERATOR | ({"key": key} if key else {})
    return operations.run(home, operation, who, params)


def site(folder: Path, name: str, region: str, tenants: Sequence[str] = (TENANT,)) -> Path:
    """A new home; its path."""
    path = folder / name
    create_home(path, site_id=name, region=region, tenants=list(tenants))
    return path


def remember(home: Home, text: str, *subjects: str, **fields: Any) -> str:
    """One memory; its id."""
    key = fields.pop("key", None)
    memory = {"memory": text, "subjects": list(subjects), **fields}
    added = ask(home, "add", key, memories=[memory])
    return str(added["results"][0]["id"])


def recalled(home: Home, query: str, **params: Any) -> dict[str, Any]:
    """A recall for care, across subjects unless one is named."""
    scope = {} if "subject" in params else {"all_subjects": True}
    return ask(home, "search", **{"query": query, "purpose": "care", **scope, **params})


def listed(home: Home, tenant: str | None = None) -> dict[str, str]:
    """Everything that the operator may read for care: texts by id."""
    found: dict[str, str] = {}
    cursor = None
    while True:
        who = OPERATOR | {"tenant": tenant}
        asked = {"purpose": "care", "all_subjects": True, "cursor": cursor}
        page = operations.run(home, "page", who, asked)
        found |= {item["id"]: item["memory"] for item in page["results"]}
        cursor = page["cursor"]
        if cursor is None:
            return found


def reopened(path: Path, clock: Clock | None = None, load: bool = True) -> Home:
    """The home, without waiting for another process."""
    return open_home(path, wait=0.2, clock=clock, load=load)


def files_of(*folders: Path) -> Iterator[Path]:
    """Every file below the folders."""
    for folder in folders:
        yield from (path for path in sorted(folder.rglob("*")) if path.is_file())
