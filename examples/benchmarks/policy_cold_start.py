"""How long the gate takes to decide 1,000 label classes for one destination it has never met.

Run it with ``python examples/benchmarks/policy_cold_start.py``. The bundle is the starter bundle,
padded to the number of rules; every form is available and has one plan; the classes are spread
over what a tenant may declare. Two destinations: one that is granted most on an upper rung, and
one that is refused, so that every class climbs down the whole ladder.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from datetime import UTC, datetime
from pathlib import Path

from memory_fabric.adapters.cedar.bundle import Bundle, read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.core.access import LADDER, Act, Plan, Requester, Role
from memory_fabric.core.labels import ClassState, Consent, DataClass, LabelClass
from memory_fabric.core.places import Region, Roster, Site, Tier
from memory_fabric.gate.gate import Ask, Gate, Rulebook
from memory_fabric.gate.permits import Mint

STARTER = Path(__file__).parents[2] / "policies"
PADDING = """
@id("padding-{number}")
@title("A rule more, as long as the others")
@basis("Benchmark")
forbid (principal, action in Sov::Action::"share", resource in Sov::Bloc::"EEA")
when {{
  resource.personal && resource.special.contains(Sov::Special::"union") &&
  context.plan.ttlHours > 10000 + {number} && !principal.transferRiskAssessed
}};
"""


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


def padded(rules: int) -> Bundle:
    """The starter bundle with at least this many rules."""
    starter = read_bundle(STARTER)
    missing = rules - len(CedarEngine(starter).rules)
    padding = "".join(PADDING.format(number=number) for number in range(missing))
    if not padding:
        return starter
    return Bundle({**starter.files, "packs/padding.cedar": padding})


def classes(engine: CedarEngine, count: int) -> list[ClassState]:
    """Distinct classes that a tenant in Germany may declare."""
    specials = [frozenset(pair) for pair in itertools.combinations(engine.specials, 2)]
    purposes = [frozenset(pair) for pair in itertools.combinations(engine.purposes, 2)]
    every = list(itertools.product(DataClass, Consent, [frozenset[str](), *specials], purposes))
    return [
        ClassState(
            LabelClass(
                home=Region("DE"),
                tenant="acme",
                data_class=data_class,
                personal=True,
                special=special,
                purposes=purpose,
                consent=consent,
            )
        )
        for data_class, consent, special, purpose in every[:: max(1, len(every) // count)][:count]
    ]


def site(name: str, region: str) -> Site:
    return Site(name, Region(region), Tier.EDGE, frozenset({"acme"}), "", b"", b"", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--rules", type=int, default=60)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()

    bundle = padded(asked.rules)
    started = time.perf_counter()
    engine = CedarEngine(bundle)
    figures: dict[str, float | int] = {
        "rules": len(engine.rules),
        "classes": asked.classes,
        "forms": len(LADDER),
        "load_and_check_s": round(time.perf_counter() - started, 3),
    }
    states = classes(engine, asked.classes)
    home = site("fra-1", "DE")
    for region in ("FR", "US"):
        away = site(f"{region.lower()}-1", region)
        gate = Gate(
            Rulebook(CedarEngine(bundle), CedarEngine(bundle)),
            Roster(1, {home.site_id: home, away.site_id: away}),
            {form: Plan() for form in LADDER},
            frozenset(LADDER),
            SystemClock(),
            Mint(),
        )
        ask = Ask(Act.RECALL, Requester("bench", "acme", Role.APP), "care", home, away)
        started = time.perf_counter()
        decisions = gate.decide(ask, states)
        figures[f"cold_start_to_{region}_s"] = round(time.perf_counter() - started, 3)
        figures[f"granted_to_{region}"] = sum(decision.allowed for decision in decisions.values())
        started = time.perf_counter()
        gate.decide(ask, states)
        figures[f"warm_to_{region}_s"] = round(time.perf_counter() - started, 4)
    if asked.json:
        print(json.dumps(figures))
    else:
        for name, figure in figures.items():
            print(f"{name:>20}  {figure}")


if __name__ == "__main__":
    main()
