"""The scenes in which something is taken back, and in which it is proved what happened."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from memory_fabric.core.errors import Denied
from memory_fabric.core.merkle import root_from_inclusion
from memory_fabric.demo.grid import ADEQUATE, BLOC, HOME, PLACES, Grid, OpenSite
from memory_fabric.demo.leases import asked_back
from memory_fabric.demo.records import Supply
from memory_fabric.demo.report import Outcome, Summary, Table
from memory_fabric.demo.scan import scan, slices, spelled, text_patterns
from memory_fabric.demo.scenes import RULE_COLUMNS, recall, ruled


def withdraw(grid: Grid, supply: Supply) -> Outcome:
    """Somebody withdraws consent at home; home and a neighbour ask before and after."""
    change = {"consent": "withdrawn"}
    before, after = {}, {}
    with grid.at(BLOC) as lyon:
        before[BLOC] = _from_home(lyon, supply, supply.other)
    with grid.at(HOME) as frankfurt:
        before[HOME] = _from_home(frankfurt, supply, supply.other)
        done = frankfurt.ask("label_set", subject=supply.other, change=change)
        told = frankfurt.ask("explain_policy", purpose=supply.care, label=change)
        after[HOME] = _from_home(frankfurt, supply, supply.other)
    with grid.at(BLOC) as lyon:
        after[BLOC] = _from_home(lyon, supply, supply.other)
    rules = tuple(rule["id"] for rule in told["rules"])
    outcome = Outcome(
        Summary(
            "Ask after consent was withdrawn",
            f"{sum(after.values())} of {sum(before.values())} memories",
            rules,
        )
    )
    rows = [(f"asked at {site}", str(before[site]), str(after[site])) for site in before]
    columns = ("Frankfurt's memories of that person", "before", "after")
    outcome.tables = [Table("", columns, rows), _rules_table("Decided by", told["rules"])]
    leases = done.get("leases", {"ended": []})
    ended, proved = asked_back(grid, leases)
    if ended.rows:
        outcome.tables.append(ended)
    outcome.facts = {"relabelled": done, "explained": told, "before": before, "after": after}
    outcome.expect("nothing of it comes any more, not even at home", not any(after.values()))
    outcome.expect("the rule is consent-withdrawn", "consent-withdrawn" in rules)
    if not supply.own:
        outcome.expect(
            "London gave up what it had on a lease, and its log holds the receipt",
            [item["site"] for item in leases["ended"]] == [ADEQUATE] and proved,
        )
    return outcome


def erase(grid: Grid, supply: Supply) -> Outcome:
    """A person is erased at every site; the sealed bytes are looked for before and after.

    Home tells the sites that the name may travel to; the others are told by their own operators.
    """
    pieces = {}
    for place in PLACES:
        with grid.at(place.site) as site:
            pieces[place.site] = slices(site.sealed(supply.person))
    before = _on_disk(grid, pieces)
    answers = {HOME: _forget(grid, HOME, supply.person)}
    told = {item["site"]: item for item in answers[HOME].get("elsewhere", ())}
    for place in PLACES[1:]:
        if place.site not in told:
            answers[place.site] = _forget(grid, place.site, supply.person)
    after = _on_disk(grid, pieces)
    with grid.at(BLOC) as lyon:
        found = recall(lyon, supply, supply.care)["results"]
    done = {**told, **answers}
    rows = [
        (
            name,
            HOME if name in told else name,
            str(done[name]["erased"]["memories"]),
            str(done[name]["erased"]["keys"]),
            f"{before[name]} -> {after[name]}",
            done[name]["receipt"],
        )
        for name in pieces
    ]
    held = [rule for answer in answers.values() for rule in answer["rules"]]
    untold = [
        rule for item in answers[HOME].get("withheld", ()) for rule in item["rules"]
        if item["site"] in answers
    ]  # fmt: skip
    memories = sum(item["erased"]["memories"] for item in done.values())
    outcome = Outcome(
        Summary(
            "Erase a person everywhere",
            f"{memories} memories and their keys destroyed",
            tuple(dict.fromkeys(rule["id"] for rule in (*held, *untold))),
        )
    )
    columns = ("site", "told by", "memories", "keys", "pieces on disk", "receipt")
    outcome.tables = [Table("Erased, and looked for on disk", columns, rows)]
    if untold or held:
        outcome.tables.append(
            _rules_table("Why Frankfurt could not tell every site", [*held, *untold])
        )
    outcome.facts = {"erasures": answers, "pieces_before": before, "pieces_after": after}
    outcome.expect(
        "the sealed bytes stood on disk before",
        all(before[name] == len(sealed) for name, sealed in pieces.items()),
    )
    if held:
        outcome.expect("a rule that refuses an erasure is named", all(rule["id"] for rule in held))
        return outcome
    outcome.expect("no sealed byte of it is on disk after", not any(after.values()))
    outcome.expect("no site that Lyon reaches remembers that person", not found)
    outcome.expect("each site gave a receipt", all(item["receipt"] for item in done.values()))
    if not supply.own:
        outcome.expect("something was erased", memories > 0)
    return outcome


def _on_disk(grid: Grid, pieces: Mapping[str, set[bytes]]) -> dict[str, int]:
    """How many of each site's pieces stand in any file."""
    found = scan([grid.folder], set().union(*pieces.values())).found.keys()
    return {name: len(found & sealed) for name, sealed in pieces.items()}


def _forget(grid: Grid, name: str, subject: str) -> dict[str, Any]:
    """The erasure's answer, or its refusal in the same shape."""
    with grid.at(name) as site:
        try:
            return {"rules": [], **site.ask("forget", subject=subject)}
        except Denied as refusal:
            return {"site": name, "erased": {"memories": 0, "keys": 0}, **refusal.details}


def prove(grid: Grid, supply: Supply) -> Outcome:
    """Every sealed file and every log is read; the erasure's receipt is proved to be in its log."""
    rows: list[tuple[str, ...]] = []
    answers: dict[str, Any] = {}
    for place in PLACES:
        with grid.at(place.site) as site:
            verified = site.ask("verify_site")
            head = site.ask("checkpoint")
            log = site.ask("receipts_list", limit=6)["receipts"]
            newest = site.ask("receipts_list", act="erase", limit=1)["receipts"][0]
            proof = site.ask("receipt_proof", id=newest["id"])
        answers[place.site] = {"verified": verified, "checkpoint": head, "proof": proof, "log": log}
        numbers = (verified["records"], verified["receipts"], len(verified["damaged"]))
        proved = "proved" if _in_log(proof) else "not proved"
        rows.append((place.site, *map(str, numbers), proved, head["root"][:16]))
    receipts = sum(answer["verified"]["receipts"] for answer in answers.values())
    damaged = sum(len(answer["verified"]["damaged"]) for answer in answers.values())
    outcome = Outcome(Summary("Verify files and logs", f"{receipts} receipts, {damaged} changed"))
    columns = ("site", "records", "receipts", "changed", "erasure", "root of the log")
    log = answers[HOME]["log"]
    last = [(f"#{item['index']}", item["at"][11:19], item["act"], item["outcome"]) for item in log]
    outcome.tables = [
        Table("Verified", columns, rows),
        Table("The newest receipts in Frankfurt", ("receipt", "at", "act", "outcome"), last),
    ]
    outcome.facts = answers
    outcome.expect(
        "every file and every log is as it was written",
        not damaged,
    )
    outcome.expect(
        "the erasure's receipt is proved to stand in each log",
        all(_in_log(answer["proof"]) for answer in answers.values()),
    )
    return outcome


@dataclass
class Watch:
    """What must never stand readable in a file: patterns by kind, and how they are looked for.

    A pattern that stood there before anything was remembered proves nothing, so it is left out.
    """

    supply: Supply
    patterns: dict[str, set[bytes]] = field(default_factory=dict)

    def prepare(self, grid: Grid) -> None:
        """Make the patterns, while the homes are still empty."""
        texts = self.supply.texts
        with grid.at(HOME) as home:
            vectors = home.vectors(texts)
        self.patterns = {
            "words of the texts": text_patterns(texts),
            "names of people": spelled(self.supply.subjects),
            "vectors as float32": slices(vectors),
        }
        common = scan([grid.folder], self._all()).found.keys()
        for kind in self.patterns.values():
            kind.difference_update(common)

    def look(self, grid: Grid) -> Outcome:
        """Read every byte below the folder: the homes, and the temporary directory in it."""
        started = time.monotonic()
        with grid.at(HOME):
            seen = scan([grid.folder], self._all())
        took = time.monotonic() - started
        rows: list[tuple[str, ...]] = [
            (name, f"{len(kind):,}", str(len(kind & seen.found.keys())))
            for name, kind in self.patterns.items()
        ]
        outcome = Outcome(
            Summary(
                "Read every byte on disk", f"{len(seen.found)} of {seen.patterns:,} patterns found"
            )
        )
        title = f"{seen.size:,} bytes in {seen.files} files, {took:.1f} s"
        outcome.tables = [Table(title, ("looked for", "patterns", "found"), rows)]
        found_in = sorted({str(path.relative_to(grid.folder)) for path in seen.found.values()})
        if found_in:
            outcome.tables.append(Table("Found in", ("file",), [(name,) for name in found_in]))
        outcome.facts = {
            "bytes": seen.size,
            "files": seen.files,
            "patterns": {name: len(kind) for name, kind in self.patterns.items()},
            "found": len(seen.found),
            "found_in": found_in,
        }
        outcome.expect("there was something to look for", seen.patterns > 0 and seen.size > 0)
        outcome.expect("no text, name or vector stands readable in any file", not seen.found)
        return outcome

    def _all(self) -> set[bytes]:
        return set().union(*self.patterns.values())


def _from_home(site: OpenSite, supply: Supply, subject: str) -> int:
    """How many of Frankfurt's memories of a subject come when a site asks."""
    reach = "site" if site.name == HOME else "grid"
    reply = recall(site, supply, supply.care, subject, reach)
    return sum(item["site"] == HOME for item in reply["results"])


def _in_log(proof: dict[str, Any]) -> bool:
    """Whether the audit path leads from the receipt to the signed root (RFC 9162, 2.1.3.2)."""
    path = [bytes.fromhex(sibling) for sibling in proof["path"]]
    size, root = proof["checkpoint"]["size"], proof["checkpoint"]["root"]
    return root_from_inclusion(
        bytes.fromhex(proof["leaf"]), proof["index"], size, path
    ).hex() == str(root)


def _rules_table(title: str, rules: Iterable[Mapping[str, str]]) -> Table:
    """Rules with what they say and their basis, each once."""
    return Table(
        title, RULE_COLUMNS, [ruled(rule) for rule in {r["id"]: r for r in rules}.values()]
    )
