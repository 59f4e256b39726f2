"""Plain files: a bundle's folder asked without a home, about sites that need not exist."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.cedar.rules import named_entities
from memory_fabric.adapters.clock import SystemClock
from memory_fabric.adapters.iso3166 import check_region, region_name
from memory_fabric.config import DEFAULT_PLANS, starter_classes
from memory_fabric.core.access import Act, Form, Requester, Role
from memory_fabric.core.drafts import Draft
from memory_fabric.core.errors import InputError
from memory_fabric.core.labels import ClassState, DataClass, LabelClass
from memory_fabric.core.places import Roster, Site, Tier
from memory_fabric.core.ports import Clock
from memory_fabric.flows import matrix
from memory_fabric.flows.explain import Explained, answer, explained_act
from memory_fabric.gate.gate import Ask, Gate, Rulebook
from memory_fabric.gate.permits import Mint

TENANT = "acme"
"""Whose data and whose sites are spoken of."""


class PlainPolicies:
    """A bundle that need not be installed, with the configured plans of a new site and every form
    that policy knows, whether this version can produce it or not.

    Raises:
        PolicyInvalid: the bundle does not pass its checks.
    """

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self.engine = CedarEngine(read_bundle(folder))
        self.clock = clock or SystemClock()

    def gate(self, sites: Iterable[Site]) -> Gate:
        """A gate that knows these sites."""
        roster = Roster(1, {site.site_id: site for site in sites})
        rules = Rulebook(self.engine, self.engine)
        return Gate(rules, roster, DEFAULT_PLANS, frozenset(Form), self.clock, Mint())

    def homes(self) -> list[str]:
        """A region for each law that the rules speak of: the one that a rule names, or the first
        of a bloc.
        """
        policy, found = self.engine.policy, set[str]()
        for rule in policy.rules:
            for kind, name in named_entities(rule.tree["resource"]):
                if kind.endswith("::Region"):
                    found.add(name)
                elif name in policy.register.blocs:
                    entries = policy.register.blocs[name].entries
                    found |= set(sorted(code for entry in entries for code in entry.regions)[:1])
        return sorted(found)

    def explain(
        self, act: str, here: Site, there: Site, purpose: str, label: Mapping[str, Any]
    ) -> Explained:
        """One question between two sites that need not exist, about memories at home in the first;
        what is taken in is at home in the second.

        Args:
            label: as for a site; what is left out is decided strictly.

        Raises:
            InputError: ``act-unknown``, ``scope-missing``, ``label-invalid``, and for a word that
                the bundle does not know ``purpose-unknown``, ``special-unknown``,
                ``instrument-unknown`` or ``membership-unknown``.
        """
        asked = explained_act(act)
        origin, destination = (there, here) if asked is Act.TAKE_IN else (here, there)
        needs_purpose = asked not in (Act.ERASE, Act.RELABEL)
        if needs_purpose and not purpose:
            raise InputError("scope-missing", "The question names no purpose.", "Add --purpose.")
        words, draft = self.engine.policy.words, Draft.from_fields({"memory": "-", "label": label})
        purposes = {purpose} if purpose else set(words.purposes[:1])
        _check_words("purpose-unknown", "purpose", purposes, words.purposes)
        _check_words("special-unknown", "special category", draft.special, words.specials)
        _check_words("instrument-unknown", "instrument", there.instruments, words.instruments)
        self._check_memberships(there)
        state = ClassState(
            LabelClass(
                home=origin.region,
                tenant=TENANT,
                data_class=draft.data_class or DataClass.CONFIDENTIAL,
                personal=draft.personal is not False,
                special=draft.special,
                purposes=frozenset(purposes),
                consent=draft.consent,
                legal_hold=draft.legal_hold,
            )
        )
        role = Requester("", TENANT, Role.APP)
        ask = Ask(asked, role, purpose if needs_purpose else "", origin, destination)
        other = f"a site in {there.region}"
        if terms := [*there.instruments, *there.memberships]:
            other += f" with {', '.join(terms)}"
        gate = self.gate([here, there])
        return answer(gate, ask, state, f"a site in {here.region}", other)

    def matrix_of(
        self, act: str, homes: Iterable[str], purposes: Iterable[str], to: Iterable[str]
    ) -> PlainMatrix:
        """The classes that a new site declares, in each home, against a plain site in each region
        of the register, and one for each bloc that organisations join.

        Args:
            homes, purposes, to: narrow it; all of them where empty.

        Raises:
            InputError: ``act-unknown``, ``purpose-unknown``, ``region-unknown``.
        """
        asked, engine = matrix.released_act(act), self.engine
        wanted = list(purposes) or list(engine.purposes)
        _check_words("purpose-unknown", "purpose", wanted, engine.purposes)
        rows = []
        for home in list(homes) or self.homes():
            origin = site_in(home, name=f"home-{home}".lower())
            classes = starter_classes(origin.region, TENANT, engine.purposes, engine.specials)
            for purpose in wanted:
                states = [ClassState(one) for one in classes if purpose in one.purposes]
                rows += matrix.in_order(origin, purpose, states)
        return PlainMatrix(self, asked, rows, self._destinations(list(to)))

    def _check_memberships(self, site: Site) -> None:
        register = self.engine.policy.register
        joinable = sorted(register.joinable(site.region, self.clock.now()))
        for bloc in site.memberships:
            if bloc not in joinable:
                raise InputError(
                    "membership-unknown",
                    f"No organisation in {site.region} can join {bloc!r}, as the register says.",
                    f"Use one of {', '.join(joinable)}." if joinable else "Leave --member out.",
                )

    def _destinations(self, regions: list[str]) -> list[Site]:
        register, now = self.engine.policy.register, self.clock.now()
        sites = [site_in(code) for code in regions or sorted(register.regions)]
        joined = [
            site_in(site.region, name=f"{site.region}-{bloc}".lower(), memberships=[bloc])
            for site in sites
            for bloc in sorted(register.joinable(site.region, now))
        ]
        return sorted([*sites, *joined], key=lambda site: site.site_id)


def _check_words(code: str, what: str, used: Iterable[str], known: Iterable[str]) -> None:
    for word in used:
        if word not in known:
            raise InputError(
                code, f"The bundle has no {what} {word!r}.", f"Use one of {', '.join(known)}."
            )


class PlainMatrix:
    """A matrix of plain files, decided page by page."""

    def __init__(
        self, plain: PlainPolicies, act: Act, rows: list[matrix.Row], sites: list[Site]
    ) -> None:
        self._act, self._rows, self._sites = act, rows, sites
        homes = {row.origin.site_id: row.origin for row in rows}
        self._gate = plain.gate([*homes.values(), *sites])

    def page(self, offset: int, limit: int) -> dict[str, Any]:
        """Some rows, as ``policy_matrix`` tells them."""
        rows = self._rows[offset : offset + limit]
        decided = matrix.cells(self._gate, TENANT, self._act, rows, self._sites)
        told = matrix.to_json(self._act, rows, self._sites, decided, region_name, _label)
        return {**told, "classes": len(self._rows)}


def _label(site: Site) -> str:
    """A place: its region, and what the site there has joined."""
    joined = ", ".join(sorted(site.memberships))
    return f"{site.region} ({joined})" if joined else str(site.region)


def site_in(
    region: str,
    *,
    name: str = "",
    instruments: Iterable[str] = (),
    memberships: Iterable[str] = (),
    assessed: bool = False,
) -> Site:
    """A site that need not exist.

    Raises:
        InputError: ``region-unknown``.
    """
    place = check_region(region)
    terms: Mapping[str, str] = dict.fromkeys(memberships, "")
    plain = Site(
        name or region.lower(), place, Tier.EDGE, frozenset({TENANT}), "", b"", b"", address=""
    )
    return replace(
        plain,
        instruments=dict.fromkeys(instruments, ""),
        memberships=terms,
        transfer_risk_assessed=assessed,
    )
