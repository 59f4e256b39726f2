"""MedQuAD over nine sites in eight jurisdictions: what is found, and that nothing else crosses.

Each source is a site, each of its 8,604 pairs a memory: the *answer* alone, so that a held-out
question, asked as a query, does not find itself. Every tenth memory is secret; the others have
the label that stands in ``LABELS``. What may cross is written down here once more, by hand, from
what the starter bundle means, and compared with everything that comes back.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from memory_fabric.wiring import open_home
from tests.system.homes import ask, recalled, site

REGIONS = ("US", "DE", "FR", "GB", "NO", "CH", "JP", "IN")
SOURCES = {
    "CDC": "US", "CancerGov": "US", "GARD": "DE", "GHR": "FR", "MPlusHealthTopics": "GB",
    "NHLBI": "NO", "NIDDK": "CH", "NIHSeniorHealth": "JP", "NINDS": "IN",
}  # fmt: skip
ABOUT_NOBODY = {"personal": False, "purposes": ["care"]}
ABOUT_PEOPLE = {"personal": True, "purposes": ["care"], "data_class": "confidential"}
LABELS: dict[str, dict[str, Any]] = {
    "CDC": ABOUT_NOBODY | {"data_class": "public"},
    "CancerGov": ABOUT_PEOPLE | {"special": ["health"]},
    "GARD": ABOUT_PEOPLE | {"special": ["health"]},
    "GHR": ABOUT_NOBODY | {"data_class": "internal"},
    "MPlusHealthTopics": ABOUT_PEOPLE,
    "NHLBI": ABOUT_PEOPLE,
    "NIDDK": ABOUT_NOBODY | {"data_class": "confidential"},
    "NIHSeniorHealth": ABOUT_NOBODY | {"data_class": "public"},
    "NINDS": ABOUT_PEOPLE,
}
SECRET = ABOUT_NOBODY | {"data_class": "secret"}

# F full, R redacted, - nothing; a secret never leaves its region.
#              from a source to       US DE FR GB NO CH JP IN
MAY_BE_SHOWN = {
    "CDC":               dict(zip(REGIONS, "FFFFFFFF", strict=True)),
    "CancerGov":         dict(zip(REGIONS, "F-------", strict=True)),  # health stays in the US
    "GARD":              dict(zip(REGIONS, "-FF-F---", strict=True)),  # health stays in the EEA
    "GHR":               dict(zip(REGIONS, "FFFFFFFF", strict=True)),
    "MPlusHealthTopics": dict(zip(REGIONS, "-RRFRRR-", strict=True)),  # UK: approved, masked
    "NHLBI":             dict(zip(REGIONS, "-FFRFRR-", strict=True)),  # EEA: free; adequate, masked
    "NIDDK":             dict(zip(REGIONS, "RRRRRFRR", strict=True)),  # confidential: masked
    "NIHSeniorHealth":   dict(zip(REGIONS, "FFFFFFFF", strict=True)),
    "NINDS":             dict(zip(REGIONS, "-------F", strict=True)),  # no pack speaks for India
}  # fmt: skip
#      a question from, to         US DE FR GB NO CH JP IN
MAY_BE_ASKED = {
    "US": dict(zip(REGIONS, "FRRRRRR-", strict=True)),
    "DE": dict(zip(REGIONS, "-FFRFRR-", strict=True)),
    "FR": dict(zip(REGIONS, "-FFRFRR-", strict=True)),
    "GB": dict(zip(REGIONS, "-RRFRRR-", strict=True)),
    "NO": dict(zip(REGIONS, "-FFRFRR-", strict=True)),
    "CH": dict(zip(REGIONS, "-----F--", strict=True)),
    "JP": dict(zip(REGIONS, "------F-", strict=True)),
    "IN": dict(zip(REGIONS, "-------F", strict=True)),
}
FORMS = {"F": "full", "R": "redacted", "-": None}

HOME_FLOOR = 0.82
"""Least mean recall@10 at home: measured .836 over all 840 held-out questions (sample: .861)
with the static embedder."""


@dataclass(frozen=True)
class Pair:
    """One question with its answer, and what becomes of it."""

    source: str
    id: str
    question: str
    answer: str
    heldout: bool
    secret: bool

    @cached_property
    def words(self) -> str:
        return bare(self.answer)

    def fields(self, row: int) -> dict[str, Any]:
        label = SECRET if self.secret else LABELS[self.source]
        subjects = [f"p{row % 100:03}"] if label["personal"] else []
        return {"id": self.id, "memory": self.answer, "subjects": subjects, "label": label}


@dataclass(frozen=True)
class Grid:
    """The homes by source, and what they hold."""

    homes: dict[str, Path]
    pairs: dict[str, list[Pair]]

    def questions(self, source: str, count: int, secret: bool) -> list[Pair]:
        """Held-out pairs of a source, evenly spread."""
        held = [pair for pair in self.pairs[source] if pair.heldout and (secret or not pair.secret)]
        return held[:: max(1, len(held) // count)][:count]


def bare(text: str) -> str:
    """A text's words, so that layout does not matter."""
    return " ".join(re.findall(r"\w+", text.lower()))


@pytest.fixture(scope="module")
def grid(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Grid:
    folder = tmp_path_factory.mktemp("grid")
    homes: dict[str, Path] = {}
    pairs: dict[str, list[Pair]] = {}
    for source, region in SOURCES.items():
        table = pq.read_table(data_dir / "medquad" / f"{source}.parquet").to_pylist()
        pairs[source] = [
            Pair(source, row["qid"], row["question"], row["answer"],
                 row["split"] == "heldout", number % 10 == 9)
            for number, row in enumerate(table)
        ]  # fmt: skip
        homes[source] = site(folder, source.lower(), region)
        with open_home(homes[source]) as home:
            memories = [pair.fields(row) for row, pair in enumerate(pairs[source])]
            ask(home, "add", memories=memories)
    with open_home(homes["CDC"]) as home:
        for source in list(SOURCES)[1:]:
            ask(home, "link", address=str(homes[source]))
    assert sum(len(some) for some in pairs.values()) == 8604
    return Grid(homes, pairs)


def shown_from(grid: Grid, item: dict[str, Any]) -> list[Pair]:
    """Which pairs a returned item can be: by id where it is whole, else by its longest stretch."""
    pairs = grid.pairs[named(item["site"])]
    if item["form"] == "full":
        return [pair for pair in pairs if pair.id == item["id"]]
    stretch = max((bare(part) for part in re.split(r"\[[A-Z_]+\]", item["memory"])), key=len)
    return [pair for pair in pairs if stretch in pair.words]


def named(site_id: str) -> str:
    return next(source for source in SOURCES if source.lower() == site_id)


def check_crossing(grid: Grid, asker: str, answer: dict[str, Any]) -> Iterator[list[Pair]]:
    """Hold everything that came back against the tables above; which pairs each item can be."""
    region = SOURCES[asker]
    for item in answer["results"]:
        source = named(item["site"])
        own = SOURCES[source] == region
        assert MAY_BE_ASKED[region][SOURCES[source]] != "-", f"{asker} was answered by {source}"
        assert item["form"] == FORMS[MAY_BE_SHOWN[source][region]], f"from {source} to {asker}"
        candidates = shown_from(grid, item)
        assert candidates, f"{source} answered with what it does not hold"
        assert own or not all(pair.secret for pair in candidates), f"{source} let a secret out"
        yield candidates
    held_back = {
        source.lower()
        for source, home in SOURCES.items()
        if source != asker and "-" in (MAY_BE_ASKED[region][home], MAY_BE_SHOWN[source][region])
    }
    told = {held["site"] for held in answer["withheld"]}
    assert held_back <= told, f"{asker} was not told of {held_back - told}"
    assert all(rule["basis"] for held in answer["withheld"] for rule in held["rules"])
    assert not answer.get("unreachable")


def found(pair: Pair, candidates: Sequence[list[Pair]]) -> bool:
    """Whether the right answer, or a copy of it, is among what came back."""
    return any(pair.words == other.words for some in candidates for other in some)


def at_home(grid: Grid, count: int) -> dict[str, float]:
    """Recall@10 of each site's own held-out questions, asked at the site."""
    recall: dict[str, float] = {}
    for source, path in grid.homes.items():
        with open_home(path) as home:
            questions = grid.questions(source, count, secret=True)
            hits = 0
            for pair in questions:
                answer = recalled(home, pair.question)
                assert all(item["form"] == "full" for item in answer["results"])
                hits += found(pair, [shown_from(grid, item) for item in answer["results"]])
        recall[source] = hits / len(questions)
    return recall


def over_the_grid(grid: Grid, askers: Sequence[str], count: int) -> dict[str, dict[str, float]]:
    """Recall@10 by asking and answering site, for questions asked with ``--reach grid``."""
    recall: dict[str, dict[str, float]] = {}
    for asker in askers:
        with open_home(grid.homes[asker]) as home:
            recall[asker] = {}
            for source in SOURCES:
                questions = grid.questions(source, count, secret=False)
                hits = 0
                for pair in questions:
                    answer = recalled(home, pair.question, reach="grid")
                    hits += found(pair, list(check_crossing(grid, asker, answer)))
                recall[asker][source] = hits / len(questions)
    return recall


def table(home: dict[str, float], grid: dict[str, dict[str, float]]) -> str:
    """A line a source, a column a destination; `-` where nothing may come from."""
    lines = [
        "\nMedQuAD, recall@10 of held-out questions: at home, and by destination in which form",
        f"{'source':18} {'home':>5}" + "".join(f"{asker[:10]:>11}" for asker in grid),
        f"{'':24}" + "".join(f"{SOURCES[asker]:>11}" for asker in grid),
    ]
    for source, region in SOURCES.items():
        cells = []
        for asker, recall in grid.items():
            asked = MAY_BE_ASKED[SOURCES[asker]][region]
            form = "-" if asked == "-" else MAY_BE_SHOWN[source][SOURCES[asker]]
            cells.append(f"{recall[source]:>9.2f} {form}" if form != "-" else f"{'-':>11}")
        lines.append(f"{source:18} {home[source]:>5.2f}" + "".join(cells))
    return "\n".join([*lines, ""])


def mean(recall: dict[str, float], grid: Grid) -> float:
    """Over all questions: each source counts by its held-out pairs."""
    weights = Counter(pair.source for some in grid.pairs.values() for pair in some if pair.heldout)
    return sum(recall[source] * weight for source, weight in weights.items()) / weights.total()


def check_found(recall: dict[str, dict[str, float]]) -> None:
    """What may not come is not found; of what may come, something is."""
    for asker, by_source in recall.items():
        region = SOURCES[asker]
        for source, share in by_source.items():
            closed = "-" in (MAY_BE_ASKED[region][SOURCES[source]], MAY_BE_SHOWN[source][region])
            if closed:
                assert share == 0, f"{asker} found what {source} must keep"
    assert any(share for by_source in recall.values() for share in by_source.values())


def test_a_sample(grid: Grid, capsys: pytest.CaptureFixture[str]) -> None:
    home = at_home(grid, 12)
    recall = over_the_grid(grid, ["CDC", "GARD", "MPlusHealthTopics", "NINDS"], 2)
    with capsys.disabled():
        sys.stdout.write(table(home, recall))
    assert mean(home, grid) >= HOME_FLOOR
    check_found(recall)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_heldout_questions(grid: Grid, capsys: pytest.CaptureFixture[str]) -> None:
    home = at_home(grid, 1000)
    recall = over_the_grid(grid, list(SOURCES), 10)
    with capsys.disabled():
        sys.stdout.write(table(home, recall))
    assert mean(home, grid) >= HOME_FLOOR
    check_found(recall)
