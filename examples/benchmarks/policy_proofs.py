"""How long proofs take: the properties, the doubts and a comparison, for a bundle of many rules.

Run it with ``python examples/benchmarks/policy_proofs.py [--rules 200]``. The bundle is the starter
bundle, its packs repeated under other ids up to the number of rules: each copy weighs as much as a
real pack.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from policy_matrix import written

from memory_fabric import wiring
from memory_fabric.adapters.cedar.bundle import Bundle, read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.prover.doubts import proven_doubts

_ID = re.compile(r'@id\("([^"]+)"\)')


def repeated(rules: int) -> Bundle:
    """The starter bundle, with copies of its packs until it has so many rules."""
    starter = read_bundle(wiring.starter_policies())
    files = dict(starter.files)
    missing = rules - len(CedarEngine(starter).rules)
    packs = list(starter.under("packs/").items())
    for number in itertools.count(1):
        for path, text in packs:
            if missing <= 0:
                return Bundle(files)
            name = path.replace(".cedar", f"-{number}.cedar")
            files[name] = _ID.sub(rf'@id("\1-{number}")', text)
            missing -= len(_ID.findall(text))
    raise AssertionError("the packs have rules")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rules", type=int, default=200)
    given = parser.parse_args()
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory() as folder:
        old, new = Path(folder) / "old", Path(folder) / "new"
        bundle = repeated(given.rules)
        written(old, bundle.files)
        spoilt = {
            path: text.replace("context.plan.minCohort >= 50", "context.plan.minCohort >= 20")
            for path, text in bundle.files.items()
        }
        written(new, spoilt)
        started = time.perf_counter()
        report = wiring.prove_policies(old, now)
        proving = time.perf_counter() - started
        policy = CedarEngine(bundle).policy
        started = time.perf_counter()
        found = list(proven_doubts(policy, now))
        doubting = time.perf_counter() - started
        started = time.perf_counter()
        changed = wiring.compare_policies(old, new, now)
        comparing = time.perf_counter() - started
    figures = {
        "rules": len(policy.rules),
        "properties": len(report.proofs),
        "slowest proof, seconds": round(max(proof.seconds for proof in report.proofs), 3),
        "all proofs and the translation, seconds": round(proving, 2),
        "doubts, seconds": round(doubting, 2),
        "doubts found": len(found),
        "comparison, seconds": round(comparing, 2),
        "changed kinds": len(changed.allowed) + len(changed.refused),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
