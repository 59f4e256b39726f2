"""Questions that people would ask, drawn at random, for those who answer them by other means.

Drawn evenly nearly all of them would be refused, by the tenant wall or for want of any instrument.
So most draws are of what people would ask, and numbers lie beside the bounds that rules set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import NamedTuple, TypeVar

from memory_fabric.core.access import (
    LADDER,
    Act,
    BreakGlass,
    Form,
    Plan,
    Question,
    Requester,
    Role,
    Update,
)
from memory_fabric.core.labels import ClassState, Consent, DataClass, LabelClass
from memory_fabric.core.places import Region, Site, Tier

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MOMENTS = (
    *(NOW,) * 6,
    datetime(2026, 1, 25, 23, 59, tzinfo=UTC),
    datetime(2026, 1, 26, tzinfo=UTC),
    datetime(2026, 1, 27, tzinfo=UTC),
    datetime(2031, 12, 27, 23, 59, 59, tzinfo=UTC),
    datetime(2031, 12, 28, tzinfo=UTC),
)
"""Now, and the turns of the register's dates."""

LANDS = (
    ("DE", "FR", "NO", "PL"), ("GB", "GB-SCT"), ("US", "US-CA", "US-TX"), ("IN", "IN-KA"),
    ("CN", "CN-GD"), ("SA", "SA-01"), ("BR", "BR-SP"), ("JP", "CH", "AU"),
)  # fmt: skip
"""Homes, by the law that they are under; under the last no pack's."""
PLACES = (
    *(place for land in LANDS for place in land),
    "IE", "LI", "AD", "AR", "CA", "CA-ON", "FO", "GG", "GI", "HK", "IL", "KR", "MO", "NZ", "RU",
    "UY", "VE", "ZA", "TW", *("US",) * 7, *("US-CA",) * 4, *("DE",) * 2, *("CA",) * 2,
)  # fmt: skip
PURPOSES = "care", "research", "fraud", "support", "operations", "training"
SPECIALS = ("health", "genetic", "biometric", "ethnicity", "politics", "religion", "union",
            "sex-life", "criminal", "children")  # fmt: skip
INSTRUMENTS = ("eu-scc", "eu-bcr", "uk-idta", "uk-addendum", "hipaa-baa", "in-contract", "br-scc",
               "br-bcr", "sa-scc", "sa-bcr", "sa-certificate", "cn-security-assessment",
               "cn-standard-contract", "cn-certification")  # fmt: skip
MEMBERSHIPS = {"US": ("EU-US-DPF", "UK-US-bridge"), "CA": ("CA-PIPEDA",)}
LASTS = "", "", "", "", "", "2026-11-22", "2026-11-23", "2026-01-25", "2040-01-01"
HOURS = 0, 1, 24, 24, 24, 25, 168, 168, 169, 720, 720, 721, 8760, 8761
COHORTS = 0, 5, 19, 20, 20, 21, 49, 50, 50, 99, 100, 101
EPSILONS = "0.0", "0.0001", "0.5", "1.0", "1.0001", "2.9", "3.0", "3.0001", "10.0"

T = TypeVar("T")


class Asked(NamedTuple):
    """A question and the moment at which it is asked."""

    question: Question
    now: datetime


def likely_questions(seed: int, count: int) -> Iterator[Asked]:
    """So many questions: every act, form, role, purpose, special category, instrument and bloc;
    emergencies that are open, over, without ticket or approved by one person; words that nobody
    knows. The same seed gives the same ones.
    """
    draw = Random(seed)  # noqa: S311 - nothing here is a secret
    for _ in range(count):
        yield _one(draw)


def _one(draw: Random) -> Asked:
    now = draw.choice(MOMENTS)
    home = Region(draw.choice(draw.choice(LANDS)))
    act = draw.choice((*(Act.RECALL,) * 6, *(Act.EXPORT,) * 4, *(Act.QUERY,) * 4,
                       *(Act.SEND_UPDATE,) * 4, Act.TRAIN, Act.TRAIN, *Act))  # fmt: skip
    label = _label(draw, home)
    purpose = _mostly(draw, 0.93, draw.choice(sorted(label.purposes)), draw.choice(PURPOSES))
    question = Question(
        act=act,
        origin=_mostly(draw, 0.88, home, Region(draw.choice(PLACES))),
        destination=_site(draw, home),
        requester=Requester("app", _mostly(draw, 0.99, "acme", "beta"), draw.choice(list(Role))),
        purpose=purpose,
        state=ClassState(label, draw.random() < 0.05),
        form=draw.choice(LADDER) if act.has_forms else None,
        plan=Plan(draw.choice(HOURS), draw.choice(COHORTS), draw.choice(EPSILONS)),
        loosens=draw.random() < 0.5,
        update=_update(draw) if act is Act.SEND_UPDATE else None,
        break_glass=_emergency(draw, now) if draw.random() < 0.3 else None,
    )
    if draw.random() < 0.02:
        question = _spoilt(draw, question)
    elif question.break_glass and act.has_forms and draw.random() < 0.6:
        cared_for = replace(label, purposes=label.purposes | {"care"})
        question = replace(
            question, purpose="care", form=Form.REDACTED, state=ClassState(cared_for)
        )
    return Asked(question, now)


def _mostly(draw: Random, share: float, usual: T, other: T) -> T:
    return usual if draw.random() < share else other


def _some(draw: Random, of: Sequence[str], counts: Sequence[int]) -> frozenset[str]:
    return frozenset(draw.sample(of, draw.choice(counts)))


def _label(draw: Random, home: Region) -> LabelClass:
    personal = draw.random() < 0.75
    classes = list(DataClass)
    return LabelClass(
        home=home,
        tenant=_mostly(draw, 0.99, "acme", "beta"),
        data_class=draw.choice((*classes, *classes[:-1], *classes[:-1])),
        personal=personal,
        special=_some(draw, (*SPECIALS, "health", "health", "health"), (0, 0, 0, 0, 1, 1, 2))
        if personal
        else frozenset(),
        purposes=_some(draw, PURPOSES, (1, 2, 3)) | _some(draw, ("care", "training"), (0, 1, 2)),
        consent=draw.choices(list(Consent), (2 if home[:2] == "CN" else 10, 10, 1))[0],
        legal_hold=draw.random() < 0.2,
    )


def _site(draw: Random, home: Region) -> Site:
    near = [place for place in PLACES if place[:2] == home[:2]]
    region = draw.choice(near if draw.random() < 0.3 else PLACES)
    mine = {"GB": "uk", "US": "hipaa", "IN": "in", "CN": "cn", "SA": "sa", "BR": "br"}
    fitting = [name for name in INSTRUMENTS if name.startswith(mine.get(home[:2], "eu"))]
    signed = _some(draw, INSTRUMENTS, (0, 0, 1)) | _some(draw, fitting, (0, 1, 1))
    may_join = MEMBERSHIPS.get(region[:2], ())
    joined = _some(draw, may_join, range(len(may_join) + 1))
    return Site(
        site_id="there-1",
        region=Region(region),
        tier=draw.choice(list(Tier)),
        tenants=draw.choice(
            (frozenset({"acme"}),) * 9 + (frozenset({"acme", "beta"}), frozenset({"beta"}))
        ),
        embedder="",
        signing_key=b"",
        sealing_key=b"",
        address="",
        instruments={name: draw.choice(LASTS) for name in signed},
        memberships={name: draw.choice(LASTS) for name in joined},
        transfer_risk_assessed=draw.random() < 0.7,
    )


def _update(draw: Random) -> Update:
    return Update(draw.random() < 0.75, draw.choice(COHORTS), draw.choice(EPSILONS))


def _emergency(draw: Random, now: datetime) -> BreakGlass:
    ticket = draw.choice((*("INC-7",) * 6, "INC-", "inc-7", "", "X INC-7"))
    second = _mostly(draw, 0.85, "ben", "anna")
    left = draw.choice((*(timedelta(hours=1),) * 6, timedelta(0), timedelta(minutes=-1)))
    return BreakGlass(ticket, "anna", second, now + left)


def _spoilt(draw: Random, question: Question) -> Question:
    """The question with a word or a number that nobody knows."""
    site, label = question.destination, question.state.label_class
    abroad = replace(site, region=Region("JP"))
    update = question.update and replace(question.update, epsilon="1")
    changes: tuple[Question, ...] = (
        replace(question, purpose="marketing"),
        replace(question, origin=Region("XX")),
        replace(question, destination=replace(site, instruments={"eu-ssc": ""})),
        replace(question, destination=replace(site, memberships={"EU-US-DFP": ""})),
        replace(question, destination=replace(abroad, memberships={"EU-US-DPF": ""})),
        replace(question, state=ClassState(replace(label, special=frozenset({"helth"})))),
        replace(question, plan=replace(question.plan, ttl_hours=-1)),
        replace(question, plan=replace(question.plan, epsilon="0,5")),
        replace(question, form=None if question.form else LADDER[0]),
        replace(question, update=update),
    )  # fmt: skip
    return draw.choice(changes)
