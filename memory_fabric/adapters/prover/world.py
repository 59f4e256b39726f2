"""Every question that can be asked, as variables; and back, from a model of z3 to a question."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pycountry
import z3

from memory_fabric.adapters.cedar.policy import Policy
from memory_fabric.adapters.cedar.questions import kind_of
from memory_fabric.adapters.cedar.vocabulary import Way
from memory_fabric.adapters.iso3166 import is_region
from memory_fabric.adapters.prover.values import Formula, Place, Value, Word, Words, any_of
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

TENANTS = ("acme", "globex", "initech")
"""Rules never name a tenant. Two tenants are asked about, and a third stands for all others."""
_SPARE_PARTS = 3
"""Parts of a country that no rule names are alike; three places are asked about at once."""
_MOST_LONG, _MOST_DECIMAL = 2**63 - 1, 10**18 - 1
_ZERO = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 1, 1, tzinfo=UTC)


def milliseconds(moment: datetime) -> int:
    """Since 1970, as Cedar counts."""
    return (moment - _ZERO) // timedelta(milliseconds=1)


def ten_thousandths(number: str) -> int:
    """A decimal of at most four places, as Cedar keeps it."""
    whole, _, part = number.partition(".")
    value = int(whole.lstrip("-") or "0") * 10_000 + int(part.ljust(4, "0"))
    return -value if whole.startswith("-") else value


@dataclass(frozen=True)
class Atlas:
    """Every country, and of each those parts that matter."""

    countries: tuple[str, ...]
    parts: Mapping[str, tuple[str, ...]]

    @classmethod
    def of(cls, named: Iterable[str]) -> Atlas:
        """All countries of ISO 3166, the parts named, and a few that nobody names."""
        wanted: dict[str, list[str]] = {}
        for code in sorted(named):
            if "-" in code:
                wanted.setdefault(code[:2], []).append(code)
        spare: dict[str, int] = {}
        for item in sorted(pycountry.subdivisions, key=lambda item: str(item.code)):
            code, country = str(item.code), str(item.code)[:2]
            parts = wanted.setdefault(country, [])
            if spare.get(country, 0) < _SPARE_PARTS and code not in parts and is_region(code):
                spare[country] = spare.get(country, 0) + 1
                parts.append(code)
        countries = tuple(sorted(str(item.alpha_2) for item in pycountry.countries))
        return cls(countries, {code: tuple(wanted.get(code, ())) for code in countries})

    def numbers(self, code: str) -> tuple[int, int]:
        """A region's country and part; a part that is not listed stands for the first spare one.

        Raises:
            KeyError: there is no such region.
        """
        country, parts = code[:2], self.parts[code[:2]]
        return self.countries.index(country), parts.index(code) + 1 if code in parts else 0

    def code(self, country: int, part: int) -> str:
        """The inverse of ``numbers``."""
        name = self.countries[country]
        return self.parts[name][part - 1] if part else name


class World:
    """Variables for a question, shared by all bundles that are looked at together.

    Args:
        policies: bundles; the lists of words are theirs together.
        now: the moment that facts and rules are taken at.
        named: regions that the questions shall be able to name besides.

    Attributes:
        values: what a rule finds under a path such as ``resource.home``.
        joined: for each bloc of organisations, whether the receiving site joined it.
    """

    def __init__(
        self, policies: Iterable[Policy], now: datetime, named: Iterable[str] = ()
    ) -> None:
        policies = list(policies)
        self.now = now
        self.atlas = Atlas.of({*named, *(r for policy in policies for r in policy.regions)})

        def words(name: str) -> tuple[str, ...]:
            return tuple(dict.fromkeys(word for p in policies for word in getattr(p.words, name)))

        self.lists: dict[str, tuple[str, ...]] = {
            "Purpose": words("purposes"), "Special": words("specials"),
            "Instrument": words("instruments"), "Tenant": TENANTS,
            "DataClass": tuple(DataClass), "Consent": tuple(Consent), "Role": tuple(Role),
            "Tier": tuple(Tier), "Way": tuple(Way),
            "Action": (*LADDER, *(act for act in Act if not act.has_forms)),
        }  # fmt: skip
        organisations = {
            bloc.name
            for policy in policies
            for bloc in policy.register.blocs.values()
            if not bloc.countries
        }
        self.joined = {name: z3.Bool(f"joined {name}") for name in sorted(organisations)}
        self.action = self._word("Action", "action")
        self.shares = any_of(*(self.is_word(self.action, form) for form in LADDER))
        self.values = self._values()
        self.way = self.values["context.way"]
        self.updates = self.is_word(self.action, Act.SEND_UPDATE)
        self.asks = z3.And(self.shares, self.is_word(self.way, Way.QUERY))
        self.emergency = z3.Bool("emergency")

    def _word(self, kind: str, name: str) -> Word:
        return Word(kind, z3.BitVec(name, 8))

    def _words(self, kind: str, name: str) -> Words:
        return Words(kind, {word: z3.Bool(f"{name} {word}") for word in self.lists[kind]})

    def _place(self, name: str) -> Place:
        return Place(z3.BitVec(f"{name} country", 8), z3.BitVec(f"{name} part", 8))

    def _values(self) -> dict[str, Value]:
        home, personal, special = self._place("home"), z3.Bool("personal"), "special"
        return {
            "action": self.action,
            "principal.region": self._place("region"),
            "principal.tier": self._word("Tier", "tier"),
            "principal.tenants": self._words("Tenant", "tenants"),
            "principal.instruments": self._words("Instrument", "instruments"),
            "principal.transferRiskAssessed": z3.Bool("risk-assessed"),
            "resource.home": home,
            "resource.tenant": self._word("Tenant", "tenant"),
            "resource.dataClass": self._word("DataClass", "class"),
            "resource.personal": personal,
            "resource.trainedOnPersonal": personal,
            "resource.special": self._words("Special", special),
            "resource.trainedOn": self._words("Special", special),
            "resource.purposes": self._words("Purpose", "purposes"),
            "resource.consent": self._word("Consent", "consent"),
            "resource.legalHold": z3.Bool("legal-hold"),
            "resource.retentionExpired": z3.Bool("retention-over"),
            "resource.secureAggregated": z3.Bool("masked"),
            "resource.cohort": z3.Int("people"),
            "resource.epsilon": z3.Int("update epsilon"),
            "context.purpose": self._word("Purpose", "purpose"),
            "context.way": self._word("Way", "way"),
            "context.origin": self._place("origin"),
            "context.plan.ttlHours": z3.Int("ttl-hours"),
            "context.plan.minCohort": z3.Int("min-cohort"),
            "context.plan.epsilon": z3.Int("epsilon"),
            "context.requester.tenant": self._word("Tenant", "requester tenant"),
            "context.requester.role": self._word("Role", "role"),
            "context.now": z3.IntVal(milliseconds(self.now)),
            "context.loosens": z3.Bool("loosens"),
            "context.breakGlass.ticket": z3.String("ticket"),
            "context.breakGlass.approver1": z3.String("approver 1"),
            "context.breakGlass.approver2": z3.String("approver 2"),
            "context.breakGlass.expires": z3.Int("expires"),
        }

    def constant(self, kind: str, word: str) -> Word:
        """A word written out.

        Raises:
            KeyError, ValueError: there is no such list or word.
        """
        return Word(kind, z3.BitVecVal(self.lists[kind].index(word), 8), word)

    def is_word(self, value: Word, word: str) -> Formula:
        """Whether a value is this word."""
        return value.number == self.constant(value.kind, word).number

    def region(self, code: str) -> Place:
        """A region written out."""
        country, part = self.atlas.numbers(code)
        return Place(z3.BitVecVal(country, 8), z3.BitVecVal(part, 8))

    def within(self, place: Place, code: str) -> Formula:
        """Whether a place is a region or lies in it."""
        region = self.region(code)
        if "-" not in code:
            return place.country == region.country
        return z3.And(place.country == region.country, place.part == region.part)

    def has(self, path: str) -> Formula:
        """Whether what is asked about has an attribute, as the schema says of its kind.

        Raises:
            KeyError: nothing has it.
        """
        update = {"trainedOnPersonal", "trainedOn", "secureAggregated", "cohort", "epsilon"}
        memories = {"personal", "special", "legalHold"}
        keeping = any_of(*(self.is_word(self.action, act) for act in (Act.ERASE, Act.RELABEL)))
        first, _, rest = path.partition(".")
        if path == "context.breakGlass":
            return z3.And(self.shares, self.emergency)
        if path in ("context.plan", "context.way"):
            return self.shares
        if path == "context.loosens":
            return self.is_word(self.action, Act.RELABEL)
        if path in ("context.purpose", "context.origin"):
            return z3.Not(keeping)
        if first == "resource" and rest in update:
            return self.updates
        if first == "resource" and rest in memories:
            return z3.Not(self.updates)
        if path != "context.requester" and path not in self.values:
            raise KeyError(path)
        return z3.BoolVal(True)

    def kind(self, name: str) -> Formula:
        """Whether what is asked about is of this kind."""
        kinds = {"ModelUpdate": self.updates, "Query": self.asks}
        kinds["Memories"] = z3.Not(any_of(self.updates, self.asks))
        return kinds[name]

    def limits(self) -> list[Formula]:
        """What holds for every question that the program can put."""
        value, limits = self.values, []
        for item in value.values():
            if isinstance(item, Word):
                limits.append(z3.ULT(item.number, len(self.lists[item.kind])))
        for name in ("principal.region", "resource.home", "context.origin"):
            limits += self._is_region(value[name])
        for name in ("context.plan.ttlHours", "context.plan.minCohort", "resource.cohort"):
            limits += [value[name] >= 0, value[name] <= _MOST_LONG]
        for name in ("context.plan.epsilon", "resource.epsilon"):
            limits += [value[name] >= 0, value[name] <= _MOST_DECIMAL]
        expires = value["context.breakGlass.expires"]
        limits += [expires > milliseconds(self.now), expires <= milliseconds(_LAST)]
        special = value["resource.special"].holds.values()
        limits.append(z3.Implies(any_of(*special), value["resource.personal"]))
        limits.append(any_of(*value["resource.purposes"].holds.values()))
        return limits

    def _is_region(self, place: Place) -> Iterator[Formula]:
        counts: dict[int, list[int]] = {}
        for number, country in enumerate(self.atlas.countries):
            counts.setdefault(len(self.atlas.parts[country]), []).append(number)
        usual = max(counts, key=lambda count: len(counts[count]))
        yield z3.ULT(place.country, len(self.atlas.countries))
        yield z3.ULE(place.part, max(counts))
        unusual = []
        for count, numbers in counts.items():
            if count != usual:
                here = any_of(*(place.country == number for number in numbers))
                unusual.append(here)
                yield z3.Implies(here, z3.ULE(place.part, count))
        yield any_of(z3.ULE(place.part, usual), *unusual)

    def assignment(self, question: Question) -> dict[Any, Any]:
        """What each variable is for one question."""
        label, site = question.state.label_class, question.destination
        update = question.update if kind_of(question) == "ModelUpdate" else None
        update = update or Update(False, 0, "0.0")
        glass = question.break_glass
        open_ = glass is not None and self.now < glass.expires and question.act.has_forms
        glass = glass or BreakGlass("", "", "", self.now)
        way = question.act if question.act.has_forms else Way.QUERY
        given: dict[str, Any] = {
            "action": question.form or question.act,
            "principal.region": site.region,
            "principal.tier": site.tier,
            "principal.tenants": site.tenants,
            "principal.instruments": site.current(site.instruments, self.now),
            "principal.transferRiskAssessed": site.transfer_risk_assessed,
            "resource.home": label.home,
            "resource.tenant": label.tenant,
            "resource.dataClass": label.data_class,
            "resource.personal": label.personal,
            "resource.special": label.special,
            "resource.purposes": label.purposes,
            "resource.consent": label.consent,
            "resource.legalHold": label.legal_hold,
            "resource.retentionExpired": question.state.retention_over,
            "resource.secureAggregated": update.secure_aggregated,
            "resource.cohort": update.cohort,
            "resource.epsilon": ten_thousandths(update.epsilon),
            "context.purpose": question.purpose,
            "context.way": way,
            "context.origin": question.origin,
            "context.plan.ttlHours": question.plan.ttl_hours,
            "context.plan.minCohort": question.plan.min_cohort,
            "context.plan.epsilon": ten_thousandths(question.plan.epsilon),
            "context.requester.tenant": question.requester.tenant,
            "context.requester.role": question.requester.role,
            "context.loosens": question.loosens,
            "context.breakGlass.ticket": glass.ticket,
            "context.breakGlass.approver1": glass.approver1,
            "context.breakGlass.approver2": glass.approver2,
            "context.breakGlass.expires": milliseconds(glass.expires),
        }
        assigned = {self.emergency: z3.BoolVal(open_)}
        for path, said in given.items():
            match self.values[path]:
                case Word() as word:
                    assigned[word.number] = self.constant(word.kind, said).number
                case Place() as place:
                    place_said = self.region(said)
                    assigned[place.country] = place_said.country
                    assigned[place.part] = place_said.part
                case Words() as words:
                    assigned |= {v: z3.BoolVal(w in said) for w, v in words.holds.items()}
                case variable:
                    make = {bool: z3.BoolVal, int: z3.IntVal, str: z3.StringVal}[type(said)]
                    assigned[variable] = make(said)
        members = site.current(site.memberships, self.now)
        return assigned | {v: z3.BoolVal(name in members) for name, v in self.joined.items()}

    def question(self, model: Any) -> Question:
        """The question that a model of z3 stands for."""
        said = {path: self._said(model, value) for path, value in self.values.items()}

        def yes(variable: Any) -> bool:
            return bool(z3.is_true(model.eval(variable, True)))

        action = said["action"]
        forms = action in tuple(LADDER)
        act = Act(said["context.way"]) if forms else Act(action)
        label = LabelClass(
            Region(said["resource.home"]), said["resource.tenant"],
            DataClass(said["resource.dataClass"]), said["resource.personal"],
            said["resource.special"], said["resource.purposes"],
            Consent(said["resource.consent"]), said["resource.legalHold"],
        )  # fmt: skip
        site = Site(
            "case", Region(said["principal.region"]), Tier(said["principal.tier"]),
            said["principal.tenants"], embedder="", signing_key=b"", sealing_key=b"", address="",
            instruments=dict.fromkeys(sorted(said["principal.instruments"]), ""),
            memberships={name: "" for name, variable in self.joined.items() if yes(variable)},
            transfer_risk_assessed=said["principal.transferRiskAssessed"],
        )  # fmt: skip
        glass, plan, update = "context.breakGlass.", "context.plan.", "resource."
        emergency = None
        if forms and yes(self.emergency):
            emergency = BreakGlass(
                said[glass + "ticket"], said[glass + "approver1"], said[glass + "approver2"],
                _ZERO + timedelta(milliseconds=said[glass + "expires"]),
            )  # fmt: skip
        return Question(
            act, Region(said["context.origin"]), site,
            Requester(
                "case", said["context.requester.tenant"], Role(said["context.requester.role"])
            ),
            said["context.purpose"],
            ClassState(label, said["resource.retentionExpired"]),
            Form(action) if forms else None,
            Plan(
                said[plan + "ttlHours"], said[plan + "minCohort"], _decimal(said[plan + "epsilon"])
            ),
            said["context.loosens"],
            Update(
                said[update + "secureAggregated"], said[update + "cohort"],
                _decimal(said[update + "epsilon"]),
            ) if act is Act.SEND_UPDATE else None,
            emergency,
        )  # fmt: skip

    def _said(self, model: Any, value: Value) -> Any:
        match value:
            case Word():
                return self.lists[value.kind][model.eval(value.number, True).as_long()]
            case Place():
                country, part = model.eval(value.country, True), model.eval(value.part, True)
                return self.atlas.code(country.as_long(), part.as_long())
            case Words():
                return frozenset(
                    word for word, v in value.holds.items() if z3.is_true(model.eval(v, True))
                )
        found = model.eval(value, True)
        if z3.is_string_value(found):
            return found.as_string()
        return bool(z3.is_true(found)) if z3.is_bool(found) else found.as_long()


def _decimal(number: int) -> str:
    places = f"{number % 10_000:04}".rstrip("0") or "0"
    return f"{number // 10_000}.{places}"
