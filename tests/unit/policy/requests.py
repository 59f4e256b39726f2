"""Random questions over the whole schema: every act, form, label, region and circumstance."""

from __future__ import annotations

import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from memory_fabric.adapters.cedar.bundle import REGISTER, SCHEMA, Bundle
from memory_fabric.adapters.cedar.register import parse_register
from memory_fabric.adapters.cedar.vocabulary import read_vocabulary
from memory_fabric.core.access import (
    LADDER,
    Act,
    BreakGlass,
    Plan,
    Question,
    Requester,
    Role,
    Update,
)
from memory_fabric.core.labels import ClassState, Consent, DataClass, LabelClass
from memory_fabric.core.places import Region, Site, Tier

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TENANTS = ("acme", "globex")
UNLISTED = ("AU", "IN", "KE", "SA", "ZA", "AU-NSW", "IN-KA")
PARTS = (
    "US-CA",
    "US-NY",
    "US-TX",
    "DE-BY",
    "DE-HE",
    "FR-IDF",
    "GB-SCT",
    "GB-LND",
    "CA-QC",
    "CN-SH",
)
HOURS = (0, 1, 23, 24, 25, 72, 167, 168, 169, 719, 720, 721, 8759, 8760, 8761, 2**63 - 1)
COHORTS = (0, 1, 19, 20, 21, 49, 50, 51, 99, 100, 101, 5000)
EPSILONS = ("0.0", "0.0001", "0.9999", "1.0", "1.0001", "2.9999", "3.0", "3.0001", "40.5")
TICKETS = ("INC-1", "INC-", "INC", "inc-1", "XINC-1", "INC-é", "")
APPROVERS = ("anna", "ben", "Anna", "")


def random_questions(bundle: Bundle, seed: int, count: int) -> list[Question]:
    """Questions that the bundle's words and register allow to be asked, the same for a seed.

    About half stay between a few places and one tenant, so that many of them are allowed.
    """
    from cedarpy import Schema

    dice = random.Random(seed)  # noqa: S311 - examples, no secrets
    words = read_vocabulary(Schema.from_str(bundle.files[SCHEMA]), SCHEMA)
    register = parse_register(bundle.files[REGISTER], REGISTER)
    listed = sorted(register.regions)
    joinable = {
        region: [name for name in words.blocs if register.may_join(name, region, NOW)]
        for region in {*listed, *UNLISTED, *PARTS}
    }

    def place() -> Region:
        few = ("DE", "FR", "GB", "US", "US-CA", "US-NY")
        return Region(dice.choice(dice.choice((few, few, listed, UNLISTED, PARTS))))

    def some(items: Iterable[str], chance: float) -> frozenset[str]:
        return frozenset(item for item in items if dice.random() < chance)

    def often(usual: str, others: Iterable[str], chance: float = 0.85) -> str:
        return usual if dice.random() < chance else dice.choice(list(others))

    def question() -> Question:
        act = dice.choice(list(Act))
        home = place()
        region = home if dice.random() < 0.3 else place()
        purposes = some(words.purposes, 0.3) | {dice.choice(words.purposes)}
        personal = dice.random() < 0.75
        special = some(words.specials, 0.2) if personal and dice.random() < 0.4 else frozenset()
        label = LabelClass(
            home, often("acme", TENANTS), dice.choice(list(DataClass)), personal, special, purposes,
            Consent(often("given", Consent, 0.6)), dice.random() < 0.15,
        )  # fmt: skip
        site = Site(
            "case", region, dice.choice(list(Tier)),
            frozenset({often("acme", TENANTS)}) | some(TENANTS, 0.1), "", b"", b"", "",
            instruments=dict.fromkeys(some(words.instruments, 0.3), ""),
            memberships=dict.fromkeys(some(joinable[region], 0.5), ""),
            transfer_risk_assessed=dice.random() < 0.6,
        )  # fmt: skip
        emergency = None
        if dice.random() < 0.35:
            first = dice.choice(APPROVERS)
            emergency = BreakGlass(
                dice.choice(TICKETS), first, often(first, APPROVERS, 0.3),
                NOW + timedelta(minutes=dice.choice((-1, 0, 1, 60))),
            )  # fmt: skip
        return Question(
            act,
            origin=home if dice.random() < 0.7 else place(),
            destination=site,
            requester=Requester("app", often("acme", TENANTS), dice.choice(list(Role))),
            purpose=dice.choice(sorted(purposes) * 3 + list(words.purposes)),
            state=ClassState(label, dice.random() < 0.1),
            form=dice.choice(LADDER) if act.has_forms else None,
            plan=Plan(dice.choice(HOURS), dice.choice(COHORTS), dice.choice(EPSILONS)),
            loosens=dice.random() < 0.5,
            update=Update(dice.random() < 0.7, dice.choice(COHORTS), dice.choice(EPSILONS))
            if act is Act.SEND_UPDATE
            else None,
            break_glass=emergency,
        )

    return [question() for _ in range(count)]
