"""Use Memory Fabric as a library: two sites, one question that crosses a border.

You learn how to make and link homes (`wiring`), how everything is asked of an open home
(`operations.run`), and what an answer holds: results, each with its form and the rules that let
it out, what was withheld and why, and the receipt.

    python examples/recall_across_borders.py
"""

import getpass
import tempfile
from pathlib import Path
from typing import Any

from memory_fabric import operations
from memory_fabric.wiring import Home, create_home, open_home

PERSON = "Ida Norrgård"
MEMORIES: list[dict[str, Any]] = [
    {"memory": f"{PERSON} likes to be called at +49 69 90009118 before noon."},
    {"memory": f"{PERSON} was treated for asthma in spring.", "special": ["health"]},
]


def ask(home: Home, operation: str, **params: Any) -> dict[str, Any]:
    """One operation as the local operator; an app would send its key along."""
    return operations.run(home, operation, {"os_user": getpass.getuser()}, params)


def show(answer: dict[str, Any]) -> None:
    for item in answer["results"]:
        print(f"  {item['site']} {item['form']:9} {item['memory']}  ({', '.join(item['rules'])})")
    for held in answer["withheld"]:
        for rule in held["rules"]:
            print(f"  {held['site']} withheld  {rule['title']}  ({rule['basis']})")
    print(f"  receipt {answer['receipt']}")


def main() -> None:
    question = {"query": f"How do we reach {PERSON}?", "subject": PERSON, "purpose": "care"}
    with tempfile.TemporaryDirectory() as folder:
        frankfurt, london = Path(folder, "fra"), Path(folder, "lon")
        create_home(frankfurt, site_id="fra-1", region="DE", tenants=["acme"])
        create_home(london, site_id="lon-1", region="GB", tenants=["acme"])

        with open_home(frankfurt) as home:
            ask(home, "link", address=str(london))
            about = {"subjects": [PERSON], "purposes": ["care"]}
            ask(home, "add", memories=[{**memory, **about} for memory in MEMORIES])
            print("Frankfurt asks itself:")
            show(ask(home, "search", **question))

        # A home is open in one process at a time; London opens Frankfurt's when it writes to it.
        with open_home(london) as home:
            print("London asks the grid:")
            show(ask(home, "search", **question, reach="grid"))


if __name__ == "__main__":
    main()
