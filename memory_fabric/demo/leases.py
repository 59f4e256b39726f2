"""The scenes about exports: what may leave on a lease, how it is used, and how it comes back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

from memory_fabric.core.drafts import Draft
from memory_fabric.core.errors import Denied
from memory_fabric.core.labels import Consent, DataClass
from memory_fabric.demo.grid import ADEQUATE, HOME, UNSAFE, Grid
from memory_fabric.demo.records import Supply
from memory_fabric.demo.report import Outcome, Summary, Table
from memory_fabric.demo.scan import text_patterns
from memory_fabric.demo.scenes import TOP_K, told_tables
from memory_fabric.wiring import read_packages

_HOUSE = "operations"
_LABEL = ("data_class", "personal", "special", "purposes", "consent")


def export(grid: Grid, supply: Supply) -> Outcome:
    """Frankfurt exports to both, as files carried by hand; every row is held against policy."""
    rows: list[tuple[str, ...]] = []
    facts: dict[str, Any] = {site: {} for site in (ADEQUATE, UNSAFE)}
    as_explained = clean = True
    for site, purpose in product(facts, purposes(supply)):
        file = file_for(grid.folder, site, purpose)
        done, told = _export(grid, site, purpose, file)
        inside = _inside(grid, site, file)
        with grid.at(site) as there:
            taken = there.ask("export_take", file=str(file)) if done["packages"] else {"rows": 0}
        as_explained &= {key: told.get(key) for key, _ in inside["forms"]} == dict(inside["forms"])
        refused = _refused(supply, purpose, told)
        clean &= not any(pattern in inside["bytes"] for pattern in text_patterns(refused))
        counts = Counter(form for _, form in inside["rows"])
        rows += [
            (site, purpose, form, str(count), ", ".join(sorted(inside["classes"][form])))
            for form, count in sorted(counts.items())
        ]
        if refused:
            rules = ", ".join(rule["id"] for rule in done["withheld"])
            rows.append((site, purpose, "denied", str(len(refused)), f"by {rules}"))
        facts[site][purpose] = {"export": done, "taken": taken, "explained": told}
    sent = {site: sum(item["export"]["rows"] for item in facts[site].values()) for site in facts}
    total = {site: sum(item["taken"]["rows"] for item in facts[site].values()) for site in facts}
    outcome = Outcome(
        Summary(
            "Export embeddings on a lease",
            "; ".join(f"{site}: {count} rows" for site, count in total.items()),
            ("eu-adequacy", "export-without-text"),
        )
    )
    columns = ("to", "for", "form", "rows", "of which class")
    outcome.tables = [Table("What is in the packages", columns, rows)]
    outcome.facts = facts
    outcome.expect(
        "each site got exactly the classes and forms that `policy explain` states", as_explained
    )
    outcome.expect("no bytes of a refused class are in any package", clean)
    outcome.expect("each package was taken in whole", total == sent)
    if not supply.own:
        outcome.expect(
            "Virginia got only what is about nobody, and London more",
            total[ADEQUATE] > total[UNSAFE] > 0
            and all(" non-personal " in row[-1] for row in rows if row[0] == UNSAFE
                    and row[2] != "denied"),
        )  # fmt: skip
    return outcome


def use(grid: Grid, supply: Supply) -> Outcome:
    """London asks across subjects within its region: the question does not leave it."""
    with grid.at(ADEQUATE) as site:
        reply = site.ask(
            "search", query=supply.question, all_subjects=True, purpose=supply.care,
            reach="region", top_k=TOP_K,
        )  # fmt: skip
    fetched = [item for item in reply["results"] if "row" in item]
    outcome = Outcome(
        Summary(
            "London finds embeddings on a lease",
            f"{len(fetched)} texts fetched from {HOME}, masked",
            tuple(sorted({rule for item in fetched for rule in item["rules"]})),
        )
    )
    outcome.tables = told_tables({**reply, "results": fetched, "withheld": []})
    outcome.facts = reply
    outcome.expect(
        "each text was fetched from its home by permit, in the form that policy gives",
        all(item["site"] == HOME and item["form"] == "redacted" for item in fetched),
    )
    outcome.expect(
        "no fetched text names anybody",
        not any(name in str(item["memory"]) for item in fetched for name in supply.subjects),
    )
    if not supply.own:
        outcome.expect("something was found", bool(fetched))
    return outcome


def asked_back(grid: Grid, leases: Mapping[str, Any]) -> tuple[Table, bool]:
    """What importers gave up, each with its own receipt; whether each log proves its receipt."""
    rows, proved = [], True
    for item in leases["ended"]:
        with grid.at(item["site"]) as site:
            receipt = site.ask("receipt_show", id=item["receipt"])
        proved &= receipt["act"] == "lease-end" and receipt["facts"]["rows"] == item["rows"]
        rows.append((item["site"], str(item["rows"]), item["receipt"]))
    return Table("Leases that ended", ("given up by", "rows", "its receipt"), rows), proved


def purposes(supply: Supply) -> list[str]:
    """What the exports are for."""
    return list(dict.fromkeys([supply.care, supply.support, *([] if supply.own else [_HOUSE])]))


def file_for(folder: Path, site: str, purpose: str) -> Path:
    """Where an export is written to."""
    return folder / f"{HOME}-to-{site}-{purpose}.mfpkg"


def _export(
    grid: Grid, site: str, purpose: str, file: Path
) -> tuple[dict[str, Any], dict[str, str | None]]:
    """The export, and what policy explains for each declared class beforehand."""
    with grid.at(HOME) as home:
        declared = home.ask("classes_list")["classes"]
        told = {}
        for label in declared:
            if purpose in label["purposes"]:
                fields = {name: label[name] for name in _LABEL}
                answer = home.ask(
                    "explain_policy", act="export", purpose=purpose, site=site, label=fields
                )
                told[label["text"]] = answer["form"]
        try:
            done = home.ask("export_run", site=site, purpose=purpose, file=str(file))
        except Denied as refusal:
            done = {"packages": [], "rows": 0, "withheld": refusal.details["rules"]}
    return done, told


def _inside(grid: Grid, site: str, file: Path) -> dict[str, Any]:
    """What the packages of a file hold, opened with the receiver's key."""
    rows = []
    if file.exists():
        with grid.at(site) as there:
            packages = [there.home.node.packages.open(data) for data in read_packages(file)]
        rows = [
            (str(terms.label_class), str(row.form), row)
            for package in packages
            for terms in package.manifest.leases
            for row in package.rows
            if row.lease == terms.lease
        ]
    classes: dict[str, set[str]] = {}
    for text, form, _ in rows:
        classes.setdefault(form, set()).add(text)
    return {
        "rows": [(text, form) for text, form, _ in rows],
        "forms": {(text, form) for text, form, _ in rows},
        "classes": classes,
        "bytes": b"\0".join((row.text or "").encode() + (row.vector or b"") for *_, row in rows),
    }


def _refused(supply: Supply, purpose: str, told: Mapping[str, str | None]) -> list[str]:
    """Frankfurt's texts for a purpose whose class is refused in every form."""
    return [
        draft.text
        for draft in supply.drafts[HOME]
        if purpose in (draft.purposes or {supply.care}) and not told.get(_class(supply, draft))
    ]


def _class(supply: Supply, draft: Draft) -> str:
    """The class of a draft, as the site's list of classes words it."""
    words = ["+".join(sorted(draft.purposes or {supply.care}))]
    words.append(str(draft.data_class or DataClass.CONFIDENTIAL))
    words.append("non-personal" if draft.personal is False else "personal")
    words += sorted(draft.special)
    words.append(f"consent {draft.consent or Consent.NONE}")
    return " · ".join(words)
