"""How long the console's pages take at a site with many receipts.

Run it with ``python examples/benchmarks/console_pages.py``. Four linked sites; the log is filled
with receipts of recalls as the site writes them, of ten apps, from here and from the others, partly
withheld; then a signed-in officer asks for each page in this process, ``--rounds`` times.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

from fastapi.testclient import TestClient
from memory_fabric_api import create_app

from memory_fabric import operations
from memory_fabric.core.access import Act, Requester, Role
from memory_fabric.core.receipt import Commit, Outcome
from memory_fabric.flows import reading
from memory_fabric.flows.node import plans_json, recorded
from memory_fabric.gate.gate import Ask
from memory_fabric.wiring import Home, create_home, open_home

OPERATOR = {"os_user": "bench"}
SITES = (("fra-1", "DE"), ("lyo-1", "FR"), ("lon-1", "GB"), ("vir-1", "US-VA"))
AT_ONCE = 1000
RULE = """
@id("de-care-stays-at-home")
@title("Care data stays in Germany")
@basis("Benchmark")
forbid (principal, action in Sov::Action::"share", resource in Sov::Region::"DE")
when { resource.personal && context.purpose == Sov::Purpose::"operations" }
unless { principal in Sov::Region::"DE" };
"""


def fill(home: Home, receipts: int) -> None:
    """Recalls of the last days, told as ``flows.answer`` and ``flows.recall`` tell them."""
    node = home.node
    asks = [
        Ask(
            Act.RECALL,
            Requester(f"app-{number}", "acme", Role.APP),
            "care",
            node.me,
            node.roster[to],
        )
        for number in range(10)
        for to, _ in SITES
    ]
    told = []
    for ask in asks:
        decisions, _ = reading.decide(node, ask)
        request = {
            "purpose": ask.purpose,
            "origin": node.me.site_id,
            "destination": ask.destination.site_id,
            "plans": plans_json(node),
            "subjects": "all",
        }
        told.append((ask.requester, request, recorded(node, ask, decisions)))
    while (left := receipts - node.ledger.checkpoint().size) > 0:
        commits: list[Commit] = []
        for number in range(min(left, AT_ONCE)):
            requester, request, decisions = told[number % len(told)]
            commits.append(
                node.to_commit(
                    "recall",
                    requester,
                    Outcome.PARTLY_WITHHELD,
                    request=request,
                    decisions=decisions,
                    facts={"forms": {"redacted": number % 5}},
                )
            )
        node.ledger.commit_all(commits)


def measure(home: Home, rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds for each page: the first time, the middle one, and the slowest later one."""
    made = operations.run(
        home, "app_add", OPERATOR, {"name": "officer", "role": "compliance", "purposes": ["care"]}
    )
    client = TestClient(create_app(home))
    client.post(
        "/console/sign-in", data={"key": made["key"]}, headers={"origin": "http://testserver"}
    )
    middle = home.node.ledger.checkpoint().size // 2
    one = home.node.ledger.receipts(middle, 1)[0]["id"]
    starter = Path(__file__).parents[2] / "policies"
    files = {
        path.relative_to(starter).as_posix(): path.read_bytes()
        for path in starter.rglob("*")
        if path.is_file()
    }
    files["packs/own.cedar"] = RULE.encode()
    officer = operations.authenticate(home, made["key"])
    digest = operations.candidate_propose(home, officer, files=files)["digest"]
    pages = {
        "overview": "",
        "rules": "rules",
        "one rule": "rules/eu-adequacy",
        "explain": "explain?act=recall&site=lon-1&purpose=care",
        "matrix": "matrix?purpose=care",
        "changes": "changes",
        "one candidate": f"changes/{digest}",
        "receipts": "receipts",
        "receipts, far back": f"receipts?before={middle}",
        "receipts of a rule": "receipts?rule=eu-adequacy",
        "receipts, no match": "receipts?text=nobody-of-this-name",
        "receipts by words": "receipts?text=app-3+lon-1",
        "one receipt": f"receipts/{one}",
        "erasures": "erasures",
        "what expires": "expiry",
    }
    figures = {}
    for name, path in pages.items():
        times = []
        for _ in range(rounds):
            started = time.perf_counter()
            answer = client.get(f"/console/{path}")
            times.append(1000 * (time.perf_counter() - started))
            answer.raise_for_status()
        figures[name] = {
            "first_ms": round(times[0], 1),
            "median_ms": round(statistics.median(times), 1),
            "slowest_later_ms": round(max(times[1:]), 1),
        }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--receipts", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, region in SITES:
            create_home(Path(folder) / name, site_id=name, region=region, tenants=["acme"])
        with open_home(Path(folder) / "fra-1") as home:
            for name, _ in SITES[1:]:
                operations.run(home, "link", OPERATOR, {"address": str(Path(folder) / name)})
            home.warm()
            fill(home, asked.receipts)
            figures = measure(home, asked.rounds)
    if asked.json:
        print(json.dumps({"receipts": asked.receipts, "pages": figures}))
        return
    print(f"{'milliseconds':<20}{'first':>9}{'median':>9}{'slowest later':>15}")
    for name, page in figures.items():
        print(
            f"{name:<20}"
            + f"{page['first_ms']:>9}{page['median_ms']:>9}{page['slowest_later_ms']:>15}"
        )


if __name__ == "__main__":
    main()
