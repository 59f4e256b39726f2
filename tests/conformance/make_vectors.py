"""Make the conformance vectors anew: ``python -m tests.conformance.make_vectors``.

They are written by ``second_writer``, which imports nothing of the program. The same bytes come
out each time.
"""

from __future__ import annotations

import json
from pathlib import Path

from tests.conformance.second_writer import TABLE, Json
from tests.conformance.vectors_keyrings import keyrings
from tests.conformance.vectors_records import records
from tests.conformance.vectors_snapshots import snapshots

FOLDER = Path(__file__).parent / "vectors"


def files() -> dict[str, Json]:
    """All vectors, by the names of their files."""
    made = list(keyrings())
    whole = made[0]
    opens = {name: whole[name] for name in ("site", "root_key", "rows")}
    return {
        "keyrings.json": {"vectors": made},
        "records.json": {"table": TABLE, "keyring": opens, "vectors": list(records())},
        "snapshots.json": {"vectors": list(snapshots())},
    }


if __name__ == "__main__":
    for name, content in files().items():
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / name).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
