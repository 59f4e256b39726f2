"""What the sites remember: the demo's own records, or the user's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory_fabric.core.drafts import Draft
from memory_fabric.core.errors import InputError, MemoryFabricError
from memory_fabric.core.labels import Consent
from memory_fabric.demo.grid import HOME, PLACES
from memory_fabric.wiring import Row, read_rows

_FOLDER = Path(__file__).parent / "records"
_SITES = tuple(place.site for place in PLACES)
_DEFAULT = "care"
"""The purpose of a memory that names none: the first of the starter bundle."""
_KATRIN, _EMRE = "Katrin Vossberg", "Emre Tahiroğlu"


@dataclass(frozen=True)
class Problem:
    """A row that cannot be taken: its line and the error's code."""

    line: int
    code: str
    what: str


@dataclass(frozen=True)
class Supply:
    """Records for each site, and whom the story is about.

    Attributes:
        rows: by site, as ``remember --from`` would read them.
        drafts: the same, understood.
        person: whom the recalls and the erasure are about.
        other: whose consent is withdrawn; the same where nobody else is named.
        question: what is asked of the sites.
        care, support: the purposes it is asked for.
        own: whether they are the user's.
        problems: rows that cannot be read, by line.
    """

    rows: Mapping[str, list[Row]]
    drafts: Mapping[str, list[Draft]]
    person: str
    other: str
    question: str
    care: str = "care"
    support: str = "support"
    own: bool = False
    problems: tuple[Problem, ...] = ()

    @property
    def texts(self) -> list[str]:
        """Every text once."""
        return list(dict.fromkeys(draft.text for draft in self._all()))

    @property
    def subjects(self) -> list[str]:
        """Everybody once."""
        return list(dict.fromkeys(name for draft in self._all() for name in draft.subjects))

    def _all(self) -> Iterable[Draft]:
        return (draft for site in _SITES for draft in self.drafts[site])


def story_records() -> Supply:
    """The records that come with the demo. Everybody in them is made up."""
    rows = {site: list(read_rows(_FOLDER / f"{site}.jsonl")) for site in _SITES}
    drafts = {site: [Draft.from_fields(row.fields) for row in rows[site]] for site in _SITES}
    return Supply(rows, drafts, _KATRIN, _EMRE, f"What do we know about {_KATRIN}?")


def own_records(path: Path) -> Supply:
    """The user's records, spread over the sites by their column ``site``, or in turn.

    The story is about whom most records in Frankfurt name, and for what most of those serve.

    Raises:
        InputError: ``file-unreadable``, ``file-format-unknown``, ``site-unknown``,
            ``demo-data-unfit``.
    """
    rows: dict[str, list[Row]] = {site: [] for site in _SITES}
    drafts: dict[str, list[Draft]] = {site: [] for site in _SITES}
    problems: list[Problem] = []
    taken = 0
    for row in read_rows(path):
        fields = {name: value for name, value in row.fields.items() if name != "site"}
        site = row.fields.get("site") or _SITES[taken % len(_SITES)]
        if row.problem is not None:
            problems.append(Problem(row.line, "row-malformed", row.problem))
            continue
        if site not in _SITES:
            problems.append(Problem(row.line, "site-unknown", f"Use {', '.join(_SITES)}."))
            continue
        try:
            draft = Draft.from_fields(fields)
        except MemoryFabricError as error:
            problems.append(Problem(row.line, error.code, error.what))
            continue
        rows[site].append(Row(row.line, fields))
        drafts[site].append(draft)
        taken += 1
    return _about_most_frequent(rows, drafts, tuple(problems))


def _about_most_frequent(
    rows: Mapping[str, list[Row]],
    drafts: Mapping[str, list[Draft]],
    problems: tuple[Problem, ...],
) -> Supply:
    """A story about the people of these records."""
    people = Counter(name for draft in drafts[HOME] for name in draft.subjects)
    if not people:
        raise InputError(
            "demo-data-unfit",
            f"The file has no readable record for {HOME} that names a subject.",
            "Give each record `memory` and `subjects`, or spread them by a column `site`.",
            {"problems": [vars(problem) for problem in problems[:20]]},
        )
    person = people.most_common(1)[0][0]
    mine = [draft for draft in drafts[HOME] if person in draft.subjects]
    purposes = Counter(purpose for draft in mine for purpose in draft.purposes or (_DEFAULT,))
    purpose = purposes.most_common(1)[0][0]
    others = [
        name
        for draft in drafts[HOME]
        if purpose in (draft.purposes or (_DEFAULT,))
        for name in draft.subjects
        if name != person
    ]
    return Supply(
        rows,
        drafts,
        person,
        other=next(iter(others), person),
        question=f"What do we know about {person}?",
        care=purpose,
        support=purpose,
        own=True,
        problems=problems,
    )


def classes_of(drafts: Sequence[Draft]) -> list[dict[str, Any]]:
    """The label classes that drafts need, as ``classes_add`` takes them, each once.

    That consent was withdrawn need not be declared.
    """
    kinds = {
        (
            draft.data_class,
            draft.personal,
            draft.special,
            draft.purposes,
            Consent.NONE if draft.consent is Consent.WITHDRAWN else draft.consent,
        )
        for draft in drafts
    }
    return [
        {
            "data_class": data_class,
            "personal": personal,
            "special": sorted(special),
            "purposes": sorted(purposes),
            "consent": consent,
        }
        for data_class, personal, special, purposes, consent in kinds
    ]
