"""What an actor can be asked to do with a home. Answers are JSON."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import lancedb
import pyarrow as pa

from memory_fabric.flows.scrub import scrub
from memory_fabric.flows.snapshot import take
from memory_fabric.wiring import Home
from tests.system.homes import TENANT, ask, cli, listed, recalled, reopened, site


class Deeds:
    """One process' dealings with one home."""

    def __init__(self) -> None:
        self._home: Home | None = None

    @property
    def home(self) -> Home:
        """The open one."""
        assert self._home is not None
        return self._home

    def create(self, folder: str, name: str) -> None:
        """Make a home."""
        site(Path(folder), name, "DE")

    def open(self, home: str) -> dict[str, int]:
        """Open a home; what opening found."""
        self._home = reopened(Path(home))
        return vars(self.home.loaded)

    def shut(self) -> None:
        """Close it."""
        self.home.close()
        self._home = None

    def ask(self, operation: str, params: dict[str, Any]) -> Any:
        """One operation as the local operator."""
        return ask(self.home, operation, **params)

    def tidy(self) -> None:
        """Bring small fragments of the stack together."""
        self.home.node.stack.tidy()

    def scrub(self) -> None:
        """Complete the erasures."""
        scrub(self.home.node)

    def snapshot(self) -> None:
        """Write a snapshot of the searchable copy."""
        if not take(self.home.node):
            raise RuntimeError("the snapshot does not count")

    def sealed(self, ids: list[str]) -> list[str]:
        """Sealed bytes of memories."""
        node = self.home.node
        rows = [node.copy.find(TENANT, name) for name in ids]
        records = node.stack.fetch([row.rid for row in rows if row])
        return [record.blob[-48:].hex() for record in records]

    def listed(self) -> dict[str, str]:
        """Texts by id."""
        return listed(self.home)

    def recalled(self, query: str) -> list[str]:
        """Texts found."""
        return [item["memory"] for item in recalled(self.home, query, top_k=50)["results"]]

    def recalls(self, each: int, threads: int) -> int:
        """Recalls one after another by each of some threads; how many left a receipt."""

        def work(number: int) -> list[str]:
            return [recalled(self.home, f"{number} {at}")["receipt"] for at in range(each)]

        with ThreadPoolExecutor(threads) as pool:
            receipts = [item for told in pool.map(work, range(threads)) for item in told]
        return len({ask(self.home, "receipt_show", id=item)["index"] for item in receipts})

    def cli(self, home: str, words: list[str]) -> dict[str, Any]:
        """One run of the program."""
        run = cli(Path(home), *words)
        return {"code": run.code, "out": run.out, "err": run.err}

    def plain(self, folder: str, rows: list[int]) -> int:
        """Add rows to a plain LanceDB table, made first where there is none; how many it holds."""
        database = lancedb.connect(folder)
        if "plain" not in database.table_names():
            database.create_table("plain", schema=pa.schema([("number", pa.int64())]))
        table = database.open_table("plain")
        if rows:
            table.add(pa.table({"number": rows}))
        return int(table.count_rows())

    def vector(self, text: str) -> str:
        """A text's embedding in hexadecimal."""
        return self.home.node.embedder.embed([text])[0].hex()
