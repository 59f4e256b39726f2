"""The scenes in which sites are made and asked."""

from __future__ import annotations

import secrets
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from memory_fabric.core.drafts import Draft
from memory_fabric.core.errors import InputError
from memory_fabric.core.labels import DataClass
from memory_fabric.demo.grid import ADEQUATE, BLOC, HOME, PLACES, UNSAFE, Grid, OpenSite
from memory_fabric.demo.records import Supply, classes_of
from memory_fabric.demo.report import Outcome, Summary, Table
from memory_fabric.wiring import Row

EEA = (HOME, BLOC)
NO_TEXT = "(no text in this form)"
_ABOUT_NOBODY = "non-personal-"
_KINDS = ("special", "personal", "public", "internal", "confidential", "secret")
_SHOWN_A_SITE = 6
_WIDTH = 160
TOP_K = 50
RULE_COLUMNS = ("rule", "what it says, and its basis")
_BATCH = 500

Reply = Mapping[str, Any]


def found_grid(grid: Grid) -> Outcome:
    """Make the homes and link them."""
    for place in PLACES:
        grid.create(place)
    with grid.at(HOME) as home:
        for place in PLACES[1:]:
            home.ask("link", address=str(grid.folder / place.site))
        status = home.ask("status")
    outcome = Outcome(Summary("Four homes, one signed roster", f"{len(status['sites'])} sites"))
    rows = [(place.site, place.what, place.region, place.law) for place in PLACES]
    outcome.tables.append(Table("The grid", ("site", "what it is", "region", "law"), rows))
    outcome.facts = {"status": status}
    outcome.expect("every site knows all four", len(status["sites"]) == len(PLACES))
    outcome.expect("the policy bundle passed its checks", bool(status["bundle"]["crossing"]))
    return outcome


def remember(grid: Grid, supply: Supply) -> Outcome:
    """Each site seals its own records."""
    rows: list[tuple[str, ...]] = []
    refused, total = [vars(problem) for problem in supply.problems], 0
    for place in PLACES:
        drafts, ids = supply.drafts[place.site], 0
        with grid.at(place.site) as site:
            for label_class in classes_of(drafts):
                # What cannot be declared is reported below, with the rows that need it.
                with suppress(InputError):
                    site.ask("classes_add", classes=[label_class])
            for batch in _batches(supply.rows[place.site]):
                done = site.ask("add_good", memories=[row.fields for row in batch])
                ids += len(done["results"])
                refused += [{**item, "line": batch[item["row"]].line} for item in done["problems"]]
        total += ids
        people = {name for draft in drafts for name in draft.subjects}
        kinds = Counter(map(_kind, drafts))
        numbers = (ids, len(people), *(kinds[kind] for kind in _KINDS))
        rows.append((place.site, *map(str, numbers)))
    outcome = Outcome(Summary("Remember", f"{total} memories sealed"))
    outcome.tables.append(Table("Remembered", ("site", "memories", "people", *_KINDS), rows))
    if refused:
        shown = [(str(row["line"]), row["code"], row["what"]) for row in refused[:20]]
        outcome.tables.append(Table("Rows that were not taken", ("line", "code", "what"), shown))
    outcome.facts = {"memories": total, "problems": refused}
    outcome.expect("every record went in", not refused and total > 0)
    return outcome


def at_home(grid: Grid, supply: Supply) -> Outcome:
    """The home site asks itself."""
    with grid.at(HOME) as frankfurt:
        reply = recall(frankfurt, supply, supply.care, reach="site")
    outcome = _told("Frankfurt asks itself", reply, "home-use")
    outcome.expect("what is remembered comes back in full", _all_full(supply, reply["results"]))
    return outcome


def in_bloc(grid: Grid, supply: Supply) -> Outcome:
    """Another site of the bloc asks."""
    with grid.at(BLOC) as lyon:
        reply = recall(lyon, supply, supply.care)
    outcome = _told("Lyon asks, within the EEA", reply, "eu-free-flow")
    outcome.expect("Frankfurt's memories come in full", _all_full(supply, _of(reply, HOME)))
    return outcome


def adequate(grid: Grid, supply: Supply) -> Outcome:
    """A site in an adequate country asks."""
    with grid.at(ADEQUATE) as london:
        reply = recall(london, supply, supply.support)
    outcome = _told("London asks, an adequate country", reply, "eu-adequacy")
    european = _about_people(_of(reply, *EEA))
    outcome.expect(
        "the EEA's memories come masked, by the adequacy rule",
        (supply.own or bool(european))
        and all(item["form"] == "redacted" and "eu-adequacy" in item["rules"] for item in european),
    )
    outcome.expect(
        "no masked text names the person",
        all(supply.person not in item["memory"] for item in european),
    )
    return outcome


def unsafe(grid: Grid, supply: Supply) -> Outcome:
    """A site in a country without safeguards asks; then asks about somebody who is not there."""
    with grid.at(UNSAFE) as virginia:
        reply = recall(virginia, supply, supply.support)
        other = recall(virginia, supply, supply.support, f"Nobody {secrets.token_hex(8)}")
    outcome = _told(
        "Virginia asks, without safeguards", reply, "eu-no-safeguards", "uk-no-safeguards"
    )
    abroad = [item for item in reply["results"] if item["site"] != UNSAFE]
    refused = {held["site"]: {rule["id"] for rule in held["rules"]} for held in reply["withheld"]}
    outcome.expect("nothing about people comes from elsewhere", not _about_people(abroad))
    outcome.expect(
        "each site of the EEA refuses by eu-no-safeguards",
        all("eu-no-safeguards" in refused.get(site, ()) for site in EEA),
    )
    outcome.expect(
        "a person whom no site knows is refused in the same words",
        reply["withheld"] == other["withheld"],
    )
    return outcome


def health(grid: Grid, supply: Supply) -> Outcome:
    """A site in an adequate country asks for care: health stays."""
    purpose = "care"
    with grid.at(ADEQUATE) as london:
        reply = recall(london, supply, purpose)
    outcome = _told("London asks again, for care", reply, "eu-adequacy", "eu-health-stays")
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
    outcome.expect("the EEA holds health back, by eu-health-stays", "eu-health-stays" in rules)
    outcome.expect(
        "what is not about health arrives, and nothing else",
        len(european) <= len(harmless) and (supply.own or len(european) == len(harmless)),
    )
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
    return [*tables, *_withheld(reply)]


def _withheld(reply: Reply) -> list[Table]:
    held: dict[str, tuple[dict[str, str], list[str]]] = {}
    for refusal in reply["withheld"]:
        for rule in refusal["rules"]:
            held.setdefault(rule["id"], (rule, []))[1].append(refusal["site"])
    rows = [(", ".join(sorted(sites)), *ruled(rule)) for _, (rule, sites) in sorted(held.items())]
    return [Table("What was withheld, and why", ("at", *RULE_COLUMNS), rows)] if rows else []


def ruled(rule: Mapping[str, str]) -> tuple[str, str]:
    """A rule's cells: its id; what it says, and its legal basis below."""
    return rule["id"], f"{rule['title']}\n{rule['basis']}"


def _told(asked: str, reply: Reply, *telling: str) -> Outcome:
    """The outcome of a recall; ``telling`` are the rules that its summary names, if they spoke."""
    results, withheld = reply["results"], reply["withheld"]
    forms = Counter((item["site"], item["form"]) for item in results)
    came = [f"{site}: {count} {form}" for (site, form), count in sorted(forms.items())]
    empty = {held["site"] for held in withheld} - {item["site"] for item in results}
    if empty:
        came.append(f"nothing from {', '.join(sorted(empty))}")
    spoke = {rule for item in results for rule in item["rules"]}
    spoke |= {rule["id"] for held in withheld for rule in held["rules"]}
    rules = tuple(rule for rule in telling if rule in spoke)
    outcome = Outcome(Summary(asked, "; ".join(came), rules), told_tables(reply))
    outcome.facts = dict(reply)
    outcome.expect(
        "every site within reach answered, and a receipt was written first",
        bool(reply["receipt"]) and not reply.get("unreachable"),
    )
    return outcome


def recall(
    site: OpenSite, supply: Supply, purpose: str, subject: str | None = None, reach: str = "grid"
) -> Reply:
    """Ask the story's question, about its person unless another is named."""
    return site.ask(
        "search", query=supply.question, subject=subject or supply.person, purpose=purpose,
        reach=reach, top_k=TOP_K,
    )  # fmt: skip


def _all_full(supply: Supply, items: list[Reply]) -> bool:
    """Whether items come in full. The demo's own records make sure that some do; the user's
    need not.
    """
    return (supply.own or bool(items)) and all(item["form"] == "full" for item in items)


def _of(reply: Reply, *sites: str) -> list[Reply]:
    return [item for item in reply["results"] if item["site"] in sites]


def _about_people(items: Iterable[Reply]) -> list[Reply]:
    """Items that are about people, by the rules that let them out."""
    return [
        item for item in items if not any(rule.startswith(_ABOUT_NOBODY) for rule in item["rules"])
    ]


def _kind(draft: Draft) -> str:
    """Under which heading a draft is counted."""
    if draft.special:
        return "special"
    return str(draft.data_class or "") if draft.personal is False else "personal"


def _batches(rows: list[Row]) -> Iterator[list[Row]]:
    for start in range(0, len(rows), _BATCH):
        yield rows[start : start + _BATCH]
