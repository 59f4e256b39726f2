"""The starter bundle once more, in plain Python: what its rules say, read off title and text.

Written by hand, with no parser and nothing of the program that decides. The countries stand here
once more too, so that a slip in the register shows as well as one in a rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal

from memory_fabric.core.access import Question

# ---- Facts --------------------------------------------------------------------------------------

EEA = frozenset(
    "AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI "
    "SK".split()
)
COUNTRIES: Mapping[str, frozenset[str]] = {
    "EEA": EEA,
    "GDPR-adequate": frozenset("AD AR BR CH FO GB GG IL IM JE JP KR NZ UY".split()),
    "UK-adequate": EEA.union("AD AR CH FO GG GI IL IM JE JP NZ UY KR".split()),
    "US-countries-of-concern": frozenset("CN CU HK IR KP MO RU VE".split()),
    "IN-restricted": frozenset(),
    "BR-adequate": EEA,
}
ORGANISATIONS = {"EU-US-DPF": "US", "UK-US-bridge": "US", "CA-PIPEDA": "CA"}
FIRST_DAYS = {("GDPR-adequate", "BR"): date(2026, 1, 26)} | {
    ("BR-adequate", country): date(2026, 1, 27) for country in EEA
}
"""Where they are later than 2025."""
LAST_DAYS = {("GDPR-adequate", "GB"): date(2031, 12, 27)}

SENSITIVE = {"genetic", "biometric", "ethnicity", "politics", "religion", "union", "sex-life",
             "criminal", "children"}  # fmt: skip
PURPOSES = {"care", "research", "fraud", "support", "operations", "training"}
CONTRACTS = {"eu-scc", "eu-bcr"}
UK_CONTRACTS = {"uk-idta", "uk-addendum"}
BR_CONTRACTS = {"br-scc", "br-bcr"}
SA_SAFEGUARDS = {"sa-scc", "sa-bcr", "sa-certificate"}
CN_MECHANISMS = {"cn-security-assessment", "cn-standard-contract", "cn-certification"}
INSTRUMENTS = {"hipaa-baa", "in-contract"}.union(
    CONTRACTS, UK_CONTRACTS, BR_CONTRACTS, SA_SAFEGUARDS, CN_MECHANISMS
)
NOWHERE = {"XX"}
"""Codes that no country has, as far as they are asked about."""

MASKED = {"redacted", "vectors_only", "noised_vectors"}
READABLE = {"full", "redacted", "vectors_only", "noised_vectors"}
"""Text, and vectors, from which most of a text can be read back."""


class Case:
    """A question in the words that the rules use."""

    def __init__(self, question: Question, now: datetime) -> None:
        site, label = question.destination, question.state.label_class
        self.today = now.astimezone(UTC).date()
        self.act, self.form = str(question.act), str(question.form or "")
        self.sharing = self.act in ("query", "recall", "export")
        self.memories = self.act not in ("query", "send_update")
        self.home, self.to, self.origin = str(label.home), str(site.region), str(question.origin)
        self.at_home = self.to == self.home
        self.personal, self.special = label.personal, set(label.special)
        self.data_class, self.consent = str(label.data_class), str(label.consent)
        self.purposes, self.purpose = set(label.purposes), question.purpose
        self.hold, self.past_retention = label.legal_hold, question.state.retention_over
        self.tenant, self.role = label.tenant, str(question.requester.role)
        self.for_tenant, self.tenants = question.requester.tenant, set(site.tenants)
        self.signed, self.joined = self._current(site.instruments), self._current(site.memberships)
        self.assessed, self.loosens = site.transfer_risk_assessed, question.loosens
        self.hours, self.cohort = question.plan.ttl_hours, question.plan.min_cohort
        self.numbers = [question.plan.epsilon]
        self.masked, self.people, self.epsilon = False, 0, Decimal(0)
        if question.update and self.act == "send_update":
            self.masked = question.update.secure_aggregated
            self.people = question.update.cohort
            self.numbers.append(question.update.epsilon)
            if _plain(question.update.epsilon):
                self.epsilon = Decimal(question.update.epsilon)
        emergency = question.break_glass if self.sharing else None
        self.emergency = emergency is not None and now < emergency.expires
        self.documented = (
            emergency is not None
            and self.emergency
            and emergency.ticket.startswith("INC-")
            and emergency.approver1 != emergency.approver2
        )

    def _current(self, terms: Mapping[str, str]) -> set[str]:
        return {
            name
            for name, last in terms.items()
            if not last or self.today <= date.fromisoformat(last)
        }

    def lies_in(self, bloc: str, region: str) -> bool:
        """Whether a country, or the one that a part belongs to, is in a bloc today."""
        country = region[:2]
        first = FIRST_DAYS.get((bloc, country), date.min)
        last = LAST_DAYS.get((bloc, country), date.max)
        return country in COUNTRIES[bloc] and first <= self.today <= last

    def to_any(self, *blocs: str) -> bool:
        """Whether the receiver is in one of these, by its country or by itself."""
        return any(
            self.lies_in(bloc, self.to) if bloc in COUNTRIES else bloc in self.joined
            for bloc in blocs
        )

    def of(self, country: str) -> bool:
        """Whether the data's home is this country, a part of it, or in the EEA."""
        return self.lies_in("EEA", self.home) if country == "EEA" else self.home[:2] == country

    def to_same(self, country: str) -> bool:
        """Whether the receiver is there as well."""
        return self.lies_in("EEA", self.to) if country == "EEA" else self.to[:2] == country

    def sensible(self, form: str) -> bool:
        """Whether every word and number is known, without which nothing is decided."""
        asks_purpose = self.act not in ("erase", "relabel")
        return (
            NOWHERE.isdisjoint({self.home, self.to, self.origin})
            and self.purposes <= PURPOSES
            and (self.purpose in PURPOSES or not asks_purpose)
            and self.special <= SENSITIVE | {"health"}
            and self.signed <= INSTRUMENTS
            and all(ORGANISATIONS.get(bloc) == self.to[:2] for bloc in self.joined)
            and self.sharing == bool(form)
            and min(self.hours, self.cohort, self.people) >= 0
            and all(map(_plain, self.numbers))
        )


def _plain(number: str) -> bool:
    whole, point, places = number.partition(".")
    return bool(point) and whole.isdigit() and places.isdigit() and len(places) <= 4


# ---- Rules --------------------------------------------------------------------------------------

Applies = Callable[[Case], bool]
PERMITS: dict[str, Applies] = {}
FORBIDS: dict[str, Applies] = {}


def permits(name: str) -> Callable[[Applies], Applies]:
    """The rule with this id permits what the function says yes to."""
    return lambda applies: PERMITS.setdefault(name, applies)


def forbids(name: str) -> Callable[[Applies], Applies]:
    """The rule with this id forbids what the function says yes to."""
    return lambda applies: FORBIDS.setdefault(name, applies)


# Home: what may be done with data inside the jurisdiction that it belongs to.


@permits("home-use")
def _(case: Case) -> bool:
    return case.sharing and case.at_home


@permits("take-in")
def _(case: Case) -> bool:
    return case.act == "take_in"


@permits("train-at-home")
def _(case: Case) -> bool:
    return case.act == "train" and case.at_home and case.purpose == "training"


@forbids("train-special-consent")
def _(case: Case) -> bool:
    return case.act == "train" and bool(case.special) and case.consent != "given"


@permits("update-at-home")
def _(case: Case) -> bool:
    return case.act == "send_update" and case.at_home


@permits("erase-at-home")
def _(case: Case) -> bool:
    return case.act == "erase" and case.at_home


@permits("label-tighten")
def _(case: Case) -> bool:
    return case.act == "relabel" and case.at_home and not case.loosens


@permits("label-loosen")
def _(case: Case) -> bool:
    return case.act == "relabel" and case.at_home and case.loosens and case.role == "compliance"


@forbids("label-loosen-is-for-compliance")
def _(case: Case) -> bool:
    return case.act == "relabel" and case.loosens and case.role != "compliance"


# Guards: they always win.


@forbids("tenant-wall")
def _(case: Case) -> bool:
    return not (case.tenant in case.tenants and case.tenant == case.for_tenant)


@forbids("purpose-wall")
def _(case: Case) -> bool:
    return case.act not in ("erase", "relabel") and case.purpose not in case.purposes


@forbids("consent-withdrawn")
def _(case: Case) -> bool:
    return case.act not in ("erase", "relabel") and case.consent == "withdrawn"


@forbids("retention-over")
def _(case: Case) -> bool:
    used = case.sharing or case.act in ("take_in", "train")
    return used and case.past_retention and not (case.hold and case.at_home)


@forbids("retention-over-update")
def _(case: Case) -> bool:
    return case.act == "send_update" and case.past_retention


@forbids("secret-stays")
def _(case: Case) -> bool:
    leaves = case.sharing or case.act in ("take_in", "send_update")
    return leaves and case.data_class == "secret" and not case.at_home


@forbids("legal-hold")
def _(case: Case) -> bool:
    return case.act == "erase" and case.hold


@forbids("no-onward-transfer")
def _(case: Case) -> bool:
    third = case.to not in (case.origin, case.home) and case.origin != case.home
    in_eea = all(case.lies_in("EEA", place) for place in (case.home, case.origin, case.to))
    return case.sharing and third and not in_eea


# Common: data about nobody, exports, model updates.


@permits("non-personal-public")
def _(case: Case) -> bool:
    return case.sharing and not case.personal and case.data_class == "public"


@permits("non-personal-internal")
def _(case: Case) -> bool:
    year = case.hours <= 365 * 24
    return case.sharing and not case.personal and case.data_class == "internal" and year


@permits("non-personal-confidential")
def _(case: Case) -> bool:
    masked = case.form in MASKED and case.hours <= 30 * 24
    return not case.personal and case.data_class == "confidential" and masked


@forbids("export-lease-limit")
def _(case: Case) -> bool:
    return case.act == "export" and case.hours > 30 * 24


@forbids("export-special-stays")
def _(case: Case) -> bool:
    return case.act == "export" and bool(case.special) and not case.at_home


@forbids("export-without-text")
def _(case: Case) -> bool:
    text = case.act == "export" and case.form in ("full", "redacted") and case.personal
    return text and not case.at_home and not (case.of("EEA") and case.to_same("EEA"))


@permits("update-about-nobody")
def _(case: Case) -> bool:
    harmless = not case.personal and case.data_class in ("public", "internal")
    return case.act == "send_update" and harmless


@forbids("update-bare-stays")
def _(case: Case) -> bool:
    bare = not (case.masked and case.epsilon > 0)
    leaves = case.act == "send_update" and case.personal and not case.at_home
    return leaves and bare and not (case.of("EEA") and case.to_same("EEA"))


@forbids("update-special-tighter")
def _(case: Case) -> bool:
    loose = case.people < 100 or case.epsilon > 1
    leaves = case.act == "send_update" and bool(case.special) and not case.at_home
    return leaves and loose and not (case.of("EEA") and case.to_same("EEA"))


# What every law's pack says of its own country.


def _own(pack: str, country: str, *, emergency: bool) -> None:
    free = {"eu": "eu-free-flow"}.get(pack, f"{pack}-domestic")

    @permits(free)
    def _(case: Case) -> bool:
        both = case.of(country) and case.to_same(country)
        return case.sharing and both and not case.at_home

    @permits(f"{pack}-aggregate")
    def _(case: Case) -> bool:
        counted = case.form == "aggregate" and case.cohort >= 50
        return counted and case.memories and case.of(country) and case.personal

    @permits(f"{pack}-update-crosses")
    def _(case: Case) -> bool:
        noised = 0 < case.epsilon <= 3
        safe = case.masked and case.people >= 20 and noised
        return case.act == "send_update" and case.of(country) and safe

    @forbids(f"{pack}-health-stays")
    def _(case: Case) -> bool:
        leaves = case.sharing and case.of(country) and not case.to_same(country)
        lifted = emergency and case.documented and case.purpose == "care" and case.hours <= 24
        return leaves and "health" in case.special and not lifted

    @forbids({"us": "us-sensitive-stays"}.get(pack, f"{pack}-special-stays"))
    def _(case: Case) -> bool:
        leaves = case.sharing and case.of(country) and not case.to_same(country)
        return leaves and bool(case.special & SENSITIVE)

    if emergency:

        @permits(f"{pack}-break-glass")
        def _(case: Case) -> bool:
            asked = case.form == "redacted" and case.purpose == "care" and case.hours <= 24
            return asked and case.of(country) and case.documented


for _pack, _country in {"eu": "EEA", "in": "IN", "cn": "CN", "sa": "SA", "br": "BR"}.items():
    _own(_pack, _country, emergency=True)
for _pack, _country in {"uk": "GB", "us": "US"}.items():
    _own(_pack, _country, emergency=False)


def _masked(case: Case, country: str, hours: int) -> bool:
    goes = case.sharing and case.of(country) and case.personal
    return goes and case.form in MASKED and case.hours <= hours


def _leaves(case: Case, country: str) -> bool:
    """Readable personal data goes out of its country."""
    readable = case.sharing and case.form in READABLE and case.personal
    return readable and case.of(country) and not case.to_same(country)


# The European Union.


@permits("eu-adequacy")
def _(case: Case) -> bool:
    return _masked(case, "EEA", 720) and case.to_any("GDPR-adequate", "CA-PIPEDA")


@permits("eu-us-dpf")
def _(case: Case) -> bool:
    return _masked(case, "EEA", 720) and case.to_any("EU-US-DPF")


@permits("eu-scc")
def _(case: Case) -> bool:
    return _masked(case, "EEA", 168) and "eu-scc" in case.signed and case.assessed


@permits("eu-bcr")
def _(case: Case) -> bool:
    return _masked(case, "EEA", 168) and "eu-bcr" in case.signed and case.assessed


def _adequate_for_eu(case: Case) -> bool:
    return case.to_any("GDPR-adequate", "CA-PIPEDA", "EU-US-DPF")


@forbids("eu-no-safeguards")
def _(case: Case) -> bool:
    safe = _adequate_for_eu(case) or bool(case.signed & CONTRACTS) or case.emergency
    return _leaves(case, "EEA") and not safe


@forbids("eu-no-risk-assessment")
def _(case: Case) -> bool:
    by_contract = bool(case.signed & CONTRACTS) and not case.assessed
    excused = _adequate_for_eu(case) or case.emergency
    return _leaves(case, "EEA") and by_contract and not excused


@permits("eu-update-inside")
def _(case: Case) -> bool:
    inside = case.of("EEA") and case.to_same("EEA") and not case.at_home
    return case.act == "send_update" and inside


# The United Kingdom.


@permits("uk-adequacy")
def _(case: Case) -> bool:
    return _masked(case, "GB", 720) and case.to_any("UK-adequate", "CA-PIPEDA")


@permits("uk-us-bridge")
def _(case: Case) -> bool:
    return _masked(case, "GB", 720) and case.to_any("UK-US-bridge")


@permits("uk-idta")
def _(case: Case) -> bool:
    return _masked(case, "GB", 168) and bool(case.signed & UK_CONTRACTS) and case.assessed


def _approved_by_uk(case: Case) -> bool:
    return case.to_any("UK-adequate", "CA-PIPEDA", "UK-US-bridge")


@forbids("uk-no-safeguards")
def _(case: Case) -> bool:
    safe = _approved_by_uk(case) or bool(case.signed & UK_CONTRACTS)
    return _leaves(case, "GB") and not safe


@forbids("uk-no-risk-assessment")
def _(case: Case) -> bool:
    by_contract = bool(case.signed & UK_CONTRACTS) and not case.assessed
    return _leaves(case, "GB") and by_contract and not _approved_by_uk(case)


# The United States.


def _of_us_to(case: Case) -> bool:
    return case.to_any("EEA", "GDPR-adequate", "CA-PIPEDA")


@forbids("us-health-needs-baa")
def _(case: Case) -> bool:
    between = case.sharing and case.of("US") and case.to_same("US") and not case.at_home
    return between and "health" in case.special and "hipaa-baa" not in case.signed


@permits("us-abroad")
def _(case: Case) -> bool:
    business = case.purpose in ("care", "support", "fraud", "operations")
    return _masked(case, "US", 720) and _of_us_to(case) and business


@forbids("us-unlisted-country")
def _(case: Case) -> bool:
    return _leaves(case, "US") and not _of_us_to(case)


@forbids("us-countries-of-concern")
def _(case: Case) -> bool:
    about_people = case.sharing and case.of("US") and case.personal
    return about_people and case.to_any("US-countries-of-concern")


@forbids("us-update-countries-of-concern")
def _(case: Case) -> bool:
    about_people = case.act == "send_update" and case.of("US") and case.personal
    return about_people and case.to_any("US-countries-of-concern")


# India.


@permits("in-contract")
def _(case: Case) -> bool:
    restricted = case.to_any("IN-restricted")
    return _masked(case, "IN", 720) and "in-contract" in case.signed and not restricted


@forbids("in-no-safeguards")
def _(case: Case) -> bool:
    unsafe = "in-contract" not in case.signed and not case.emergency
    return _leaves(case, "IN") and (case.to_any("IN-restricted") or unsafe)


# China.


def _out_of_china(case: Case, hours: int) -> bool:
    return _masked(case, "CN", hours) and case.assessed and case.consent == "given"


@permits("cn-security-assessment")
def _(case: Case) -> bool:
    return _out_of_china(case, 720) and "cn-security-assessment" in case.signed


@permits("cn-standard-contract")
def _(case: Case) -> bool:
    return _out_of_china(case, 168) and "cn-standard-contract" in case.signed


@permits("cn-certification")
def _(case: Case) -> bool:
    return _out_of_china(case, 168) and "cn-certification" in case.signed


@forbids("cn-no-mechanism")
def _(case: Case) -> bool:
    return _leaves(case, "CN") and not case.signed & CN_MECHANISMS and not case.emergency


@forbids("cn-no-separate-consent")
def _(case: Case) -> bool:
    return _leaves(case, "CN") and case.consent != "given" and not case.emergency


@forbids("cn-no-impact-assessment")
def _(case: Case) -> bool:
    return _leaves(case, "CN") and not case.assessed and not case.emergency


@forbids("cn-important-data-stays")
def _(case: Case) -> bool:
    important = not case.personal and case.data_class == "confidential"
    leaves = case.sharing and case.of("CN") and not case.to_same("CN")
    return leaves and important and "cn-security-assessment" not in case.signed


# Saudi Arabia.


@permits("sa-safeguards")
def _(case: Case) -> bool:
    listed = case.purpose in ("care", "support", "operations", "research")
    safe = bool(case.signed & SA_SAFEGUARDS) and case.assessed
    return _masked(case, "SA", 168) and safe and listed


@forbids("sa-no-safeguards")
def _(case: Case) -> bool:
    return _leaves(case, "SA") and not case.signed & SA_SAFEGUARDS and not case.emergency


@forbids("sa-no-risk-assessment")
def _(case: Case) -> bool:
    by_safeguard = bool(case.signed & SA_SAFEGUARDS) and not case.assessed
    return _leaves(case, "SA") and by_safeguard and not case.emergency


# Brazil.


@permits("br-adequacy")
def _(case: Case) -> bool:
    return _masked(case, "BR", 720) and case.to_any("BR-adequate")


@permits("br-scc")
def _(case: Case) -> bool:
    return _masked(case, "BR", 168) and "br-scc" in case.signed


@permits("br-bcr")
def _(case: Case) -> bool:
    return _masked(case, "BR", 168) and "br-bcr" in case.signed


@forbids("br-no-safeguards")
def _(case: Case) -> bool:
    safe = case.to_any("BR-adequate") or bool(case.signed & BR_CONTRACTS) or case.emergency
    return _leaves(case, "BR") and not safe


# ---- The answer ---------------------------------------------------------------------------------


def answer(question: Question, now: datetime) -> tuple[bool, frozenset[str]]:
    """Whether it may be, and the rules that decided; none where nothing permits, or where a word
    or a number is not known.
    """
    case = Case(question, now)
    if not case.sensible(case.form):
        return False, frozenset()
    refused = frozenset(name for name, applies in FORBIDS.items() if applies(case))
    granted = frozenset(name for name, applies in PERMITS.items() if applies(case))
    return (False, refused) if refused else (bool(granted), granted)
