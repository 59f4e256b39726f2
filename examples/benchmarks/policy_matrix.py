"""How long a matrix takes: 1,000 label classes against 30 destinations, one configured plan a form.

Run it with ``python examples/benchmarks/policy_matrix.py [--rules 200]``. The bundle is the starter
bundle, padded to the number of rules. Destinations are plain sites in regions of the register, by
the alphabet; each class is asked for its first purpose, by an app there, on one core. It goes the
way that ``policy matrix`` goes, page by page; check and cases of the same bundle are timed as well.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from policy_cold_start import classes, padded

from memory_fabric import wiring
from memory_fabric.core.access import Act
from memory_fabric.flows.matrix import Row
from memory_fabric.wiring.plain import PlainMatrix, site_in

_PAGE = 50


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rules", type=int, default=200)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--sites", type=int, default=30)
    parser.add_argument("--no-cases", action="store_true", help="leave the cases out")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder)
        written(bundle, padded(given.rules).files)
        took: dict[str, float] = {}
        begun = time.perf_counter()
        wiring.check_policies(bundle)
        took["check"] = time.perf_counter() - begun
        if not given.no_cases:
            begun = time.perf_counter()
            wiring.test_policies(bundle)
            took["test"] = time.perf_counter() - begun
        plain = wiring.PlainPolicies(bundle)
        forms, took["matrix"] = measured(plain, given.classes, given.sites)
    rules = len(plain.engine.rules)
    told = {"rules": rules, "classes": given.classes, "destinations": given.sites}
    seconds = {name: round(value, 2) for name, value in took.items()}
    print(json.dumps({**told, "seconds": seconds, "cells": dict(forms)}, indent=2))


def written(folder: Path, files: Mapping[str, str]) -> None:
    """A bundle's files, in a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def measured(
    plain: wiring.PlainPolicies, count: int, destinations: int
) -> tuple[Counter[str], float]:
    """Cells by form, and seconds for all of them."""
    home = site_in("DE", name="home")
    regions = sorted(plain.engine.policy.register.regions)[:destinations]
    rows = [
        Row(home, min(state.label_class.purposes), state) for state in classes(plain.engine, count)
    ]
    grid = PlainMatrix(plain, Act.RECALL, rows, [site_in(region) for region in regions])
    forms: Counter[str] = Counter()
    begun = time.perf_counter()
    for offset in range(0, len(rows), _PAGE):
        for row in grid.page(offset, _PAGE)["rows"]:
            forms.update(cell["form"] or "nothing" for cell in row["cells"])
    return forms, time.perf_counter() - begun


if __name__ == "__main__":
    main()
