"""The scenes in which sites are made and asked."""

from __future__ import annotations

import secrets
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from memory_fabric.core.drafts import Draft
from memory_fabric.core.labels import DataClass
from memory_fabric.demo.grid import ADEQUATE, BLOC, HOME, PLACES, UNSAFE, Grid
from memory_fabric.demo.records import Supply, classes_of
from memory_fabric.demo.report import Outcome, Summary, Table

EEA = (HOME, BLOC)
NO_TEXT = "(no text in this form)"
_ABOUT_NOBODY = "non-personal-"
_SHOWN_A_SITE = 3
_WIDTH = 150
_BATCH = 500

Reply = Mapping[str, Any]


def found_grid(grid: Grid) -> Outcome:
    """Make the homes and link them."""
    for place in PLACES:
        grid.create(place)
    with grid.at(HOME) as home:
        for place in PLACES[1:]:
            linked = home.ask("link", address=str(grid.folder / place.site))
        status = home.ask("status")
    outcome = Outcome(Summary("Four homes, one signed roster", f"{len(linked['sites'])} sites"))
    rows = [(place.site, place.what, place.region, place.law) for place in PLACES]
    outcome.tables.append(Table("The grid", ("site", "what it is", "region", "law"), rows))
    outcome.facts = {"status": status}
    outcome.expect("every site knows all four", len(status["sites"]) == len(PLACES))
    outcome.expect("the policy bundle passed its checks", bool(status["bundle"]["crossing"]))
    return outcome


def remember(grid: Grid, supply: Supply) -> Outcome:
    """Each site seals its own records."""
    rows, refused, total = [], [vars(problem) for problem in supply.problems], 0
    for place in PLACES:
        drafts, ids = supply.drafts[place.site], 0
        with grid.at(place.site) as site:
            site.ask("classes_add", classes=classes_of(drafts))
            for batch in _batches(supply.rows[place.site]):
                done = site.ask("add_good", memories=batch)
                ids += len(done["results"])
                refused += done["problems"]
        total += ids
        people = {name for draft in drafts for name in draft.subjects}
        rows.append((place.site, str(ids), str(len(people)), _kinds(drafts)))
    outcome = Outcome(Summary("Remember", f"{total} memories sealed"))
    outcome.tables.append(Table("Remembered", ("site", "memories", "people", "kinds"), rows))
    if refused:
        shown = [(str(row.get("line", "")), row["code"], row["what"]) for row in refused[:20]]
        outcome.tables.append(Table("Rows that were not taken", ("line", "code", "what"), shown))
    outcome.facts = {"memories": total, "problems": refused}
    outcome.expect("every record went in", not refused and total > 0)
    return outcome


def at_home(grid: Grid, supply: Supply) -> Outcome:
    """The home site asks itself."""
    reply = _recall(grid, HOME, supply.question, supply.person, supply.care, "site")
    outcome = _told("Recall at home, Frankfurt", reply)
    forms = {item["form"] for item in reply["results"]}
    outcome.expect("what is remembered comes back in full", forms <= {"full"})
    _expect_some(outcome, supply, reply["results"])
    return outcome


def in_bloc(grid: Grid, supply: Supply) -> Outcome:
    """Another site of the bloc asks."""
    reply = _recall(grid, BLOC, supply.question, supply.person, supply.care)
    outcome = _told("Recall from Lyon, within the EEA", reply)
    german = _of(reply, HOME)
    outcome.expect("Frankfurt's come in full", {item["form"] for item in german} <= {"full"})
    _expect_some(outcome, supply, german)
    return outcome


def adequate(grid: Grid, supply: Supply) -> Outcome:
    """A site in an adequate country asks."""
    reply = _recall(grid, ADEQUATE, supply.question, supply.person, supply.support)
    outcome = _told("Recall from London, an adequate country", reply)
    european = _about_people(_of(reply, *EEA))
    outcome.expect(
        "the EEA's come masked, by the adequacy rule",
        all(item["form"] == "redacted" and "eu-adequacy" in item["rules"] for item in european),
    )
    outcome.expect(
        "no masked text names whom it is about",
        all(supply.person not in item["memory"] for item in european),
    )
    _expect_some(outcome, supply, european)
    return outcome


def unsafe(grid: Grid, supply: Supply) -> Outcome:
    """A site in a country without safeguards asks; then asks about somebody who is not there."""
    reply = _recall(grid, UNSAFE, supply.question, supply.person, supply.support)
    nobody = f"Nobody {secrets.token_hex(8)}"
    other = _recall(grid, UNSAFE, supply.question, nobody, supply.support)
    outcome = _told("Recall from Virginia, no safeguards", reply)
    abroad = [item for item in reply["results"] if item["site"] != UNSAFE]
    refused = {held["site"]: {rule["id"] for rule in held["rules"]} for held in reply["withheld"]}
    outcome.expect("nothing about people comes from elsewhere", not _about_people(abroad))
    outcome.expect(
        "each EEA site refuses by eu-no-safeguards",
        all("eu-no-safeguards" in refused.get(site, ()) for site in EEA),
    )
    outcome.expect(
        "somebody whom no site knows is refused in the same words",
        reply["withheld"] == other["withheld"],
    )
    return outcome


def health(grid: Grid, supply: Supply) -> Outcome:
    """A site in an adequate country asks for care: health stays."""
    purpose = "care"
    reply = _recall(grid, ADEQUATE, supply.question, supply.person, purpose)
    outcome = _told("Recall from London, for care", reply)
    european = _about_people(_of(reply, *EEA))
    rules = {rule["id"] for held in reply["withheld"] for rule in held["rules"]}
    harmless = [
        draft
        for site in EEA
        for draft in supply.drafts[site]
        if supply.person in draft.subjects
        and purpose in (draft.purposes or {purpose})
        and not draft.special
        and draft.data_class is not DataClass.SECRET
    ]
    outcome.expect("the EEA's health data is held back by eu-health-stays", "eu-health-stays" in rules)
    outcome.expect("only what is not about health arrives", len(european) <= len(harmless))
    _expect_some(outcome, supply, european)
    return outcome


def told_tables(reply: Reply) -> list[Table]:
    """A recall's answer for people: what came, and what was withheld by which rule."""
    rows: list[tuple[str, ...]] = []
    left = Counter(item["site"] for item in reply["results"])
    shown: Counter[str] = Counter()
    for item in reply["results"]:
        if shown[item["site"]] < _SHOWN_A_SITE:
            shown[item["site"]] += 1
            text = textwrap.shorten(item["memory"] or NO_TEXT, _WIDTH, placeholder=" ...")
            rows.append((item["site"], item["form"], text, ", ".join(item["rules"])))
    rows.sort(key=lambda row: row[0])
    more = sum((left - shown).values())
    if more:
        rows.append(("", "", f"and {more} more", ""))
    tables = [Table("What came", ("site", "form", "memory", "allowed by"), rows)] if rows else []
    held: dict[str, tuple[dict[str, str], list[str]]] = {}
    for refusal in reply["withheld"]:
        for rule in refusal["rules"]:
            held.setdefault(rule["id"], (rule, []))[1].append(refusal["site"])
    refusals = [
        (", ".join(sorted(sites)), rule["id"], rule["title"], rule["basis"])
        for rule, sites in held.values()
    ]
    if refusals:
        columns = ("at", "rule", "what it says", "legal basis")
        tables.append(Table("What was withheld, by rule", columns, refusals))
    return tables


def _told(asked: str, reply: Reply) -> Outcome:
    results = reply["results"]
    forms = Counter(item["form"] for item in results)
    came = ", ".join(f"{count} {form}" for form, count in forms.items()) or "nothing"
    if reply["withheld"]:
        came += f"; withheld at {', '.join(sorted(held['site'] for held in reply['withheld']))}"
    permitting = dict.fromkeys(rule for item in results for rule in item["rules"])
    refusing = dict.fromkeys(rule["id"] for held in reply["withheld"] for rule in held["rules"])
    outcome = Outcome(Summary(asked, came, (*permitting, *refusing)), told_tables(reply))
    outcome.facts = dict(reply)
    outcome.expect("a receipt was written before the answer", bool(reply["receipt"]))
    outcome.expect("every site within reach answered", not reply.get("unreachable"))
    return outcome


def _recall(
    grid: Grid, site: str, question: str, subject: str, purpose: str, reach: str = "grid"
) -> Reply:
    with grid.at(site) as asking:
        return asking.ask(
            "search", query=question, subject=subject, purpose=purpose, reach=reach, top_k=50
        )


def _of(reply: Reply, *sites: str) -> list[Reply]:
    return [item for item in reply["results"] if item["site"] in sites]


def _about_people(items: Iterable[Reply]) -> list[Reply]:
    """Items that are about people, by the rules that let them out."""
    return [
        item
        for item in items
        if not any(rule.startswith(_ABOUT_NOBODY) for rule in item["rules"])
    ]


def _expect_some(outcome: Outcome, supply: Supply, items: list[Reply]) -> None:
    """The demo's own records are made so that something comes; the user's need not be."""
    if not supply.own:
        outcome.expect("something comes", bool(items))


def _kinds(drafts: Iterable[Draft]) -> str:
    kinds = Counter(
        next(iter(sorted(draft.special)), str(draft.data_class or "personal")) for draft in drafts
    )
    return ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())


def _batches(rows: list[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]


Scene = Callable[[Grid, Supply], Outcome]
