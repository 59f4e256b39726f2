"""Asking and answering: acts, forms, plans, questions to policy and the decisions on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from memory_fabric.core.labels import ClassState
from memory_fabric.core.places import Region, Site


class Form(StrEnum):
    """In what shape data may be released, from the most to the least."""

    FULL = "full"
    REDACTED = "redacted"
    VECTORS_ONLY = "vectors_only"
    NOISED_VECTORS = "noised_vectors"
    AGGREGATE = "aggregate"


LADDER: tuple[Form, ...] = tuple(Form)
"""All forms, most permissive first: the order in which policy is asked."""

BUILDABLE: frozenset[Form] = frozenset({Form.FULL, Form.REDACTED, Form.VECTORS_ONLY})
"""Forms whose duties this version can discharge. The others are decided, and then refused with
``form-not-available``, until their leak has been measured."""


class Act(StrEnum):
    """What is asked of policy.

    ``query`` sends a question to another site, ``recall`` lets results out to a site, ``take_in``
    accepts results from another site, ``export`` hands embeddings over on a lease,
    ``send_update`` releases a model update, ``train`` uses memories for training, ``erase``
    destroys, ``relabel`` changes a label.
    """

    QUERY = "query"
    RECALL = "recall"
    TAKE_IN = "take_in"
    EXPORT = "export"
    SEND_UPDATE = "send_update"
    TRAIN = "train"
    ERASE = "erase"
    RELABEL = "relabel"

    @property
    def has_forms(self) -> bool:
        """Whether policy answers with a form rather than with yes or no."""
        return self in (Act.QUERY, Act.RECALL, Act.EXPORT)


class Role(StrEnum):
    """What an API key is for."""

    APP = "app"
    COMPLIANCE = "compliance"
    OPERATOR = "operator"


@dataclass(frozen=True)
class Requester:
    """Who asks: an app by its key, or the local operator.

    Attributes:
        name: the app's name, or ``os:<user>`` for whoever may read the home.
        tenant: the tenant that the key is bound to.
        role: what the key is for.
        purposes: purposes that the key may name; empty means every purpose (operators only).
        all_subjects: whether it may ask across subjects.
    """

    name: str
    tenant: str
    role: Role
    purposes: frozenset[str] = frozenset()
    all_subjects: bool = False


@dataclass(frozen=True)
class Plan:
    """Numbers that a release undertakes to keep.

    Attributes:
        ttl_hours: the receiver gives the data up after so many hours.
        min_cohort: distinct subjects behind an aggregate or an update; 0 elsewhere.
        epsilon: differential privacy spent, a decimal of at most 4 places as text.
    """

    ttl_hours: int = 24
    min_cohort: int = 0
    epsilon: str = "0.0"

    def to_json(self) -> dict[str, Any]:
        """JSON-ready and canonical."""
        return {
            "ttl_hours": self.ttl_hours,
            "min_cohort": self.min_cohort,
            "epsilon": self.epsilon,
        }


Plans = Mapping[Form, Plan]
"""One configured plan for each form."""


@dataclass(frozen=True)
class Update:
    """Facts about a model update that policy decides on (acts ``send_update``).

    Attributes:
        secure_aggregated: whether it is masked so that only a sum can be read.
        cohort: distinct subjects it was trained on.
        epsilon: differential privacy spent, as text.
    """

    secure_aggregated: bool
    cohort: int
    epsilon: str


@dataclass(frozen=True)
class BreakGlass:
    """A documented emergency.

    Attributes:
        ticket: the incident it belongs to.
        approver1, approver2: who approved it.
        expires: when it closes; rules see it until then.
    """

    ticket: str
    approver1: str
    approver2: str
    expires: datetime

    def to_json(self) -> dict[str, str]:
        """As receipts name it."""
        return {
            "ticket": self.ticket,
            "approver1": self.approver1,
            "approver2": self.approver2,
            "expires": self.expires.isoformat(),
        }

    @classmethod
    def from_json(cls, value: Mapping[str, str]) -> BreakGlass:
        """The inverse of ``to_json``."""
        expires = datetime.fromisoformat(value["expires"])
        return cls(value["ticket"], value["approver1"], value["approver2"], expires)


@dataclass(frozen=True)
class Question:
    """One question to policy: may ``act`` happen, in this form, to this destination?

    Everything a rule can see stands here, and so does everything a cached answer depends on,
    save the bundle, the roster and the clock.

    Attributes:
        act: what is asked.
        origin: the region the data leaves.
        destination: the receiving site.
        requester: who asks.
        purpose: what for.
        state: the label class, and whether its retention is over.
        form: the form asked for, where the act has forms.
        plan: the numbers undertaken.
        loosens: for ``relabel``, whether the change loosens the label.
        update: for ``send_update``, the facts of the update.
        break_glass: an emergency that was opened for this request; an answer given under it
            holds no longer than ``break_glass.expires``.
    """

    act: Act
    origin: Region
    destination: Site
    requester: Requester
    purpose: str
    state: ClassState
    form: Form | None = None
    plan: Plan = Plan()
    loosens: bool = False
    update: Update | None = None
    break_glass: BreakGlass | None = None


@dataclass(frozen=True)
class Rule:
    """A rule as its readers know it."""

    id: str
    title: str
    basis: str

    def to_json(self) -> dict[str, str]:
        """JSON-ready and canonical."""
        return {"id": self.id, "title": self.title, "basis": self.basis}


NOTHING_PERMITS = Rule(
    "nothing-permits",
    "What no rule permits is refused",
    "The policy bundle is closed: a release needs a rule that allows it",
)
UNDECIDABLE = Rule(
    "undecidable",
    "A question that cannot be decided is refused",
    "Fail closed: an error on the way to a decision is a denial",
)
FORM_NOT_AVAILABLE = Rule(
    "form-not-available",
    "Policy allows a form that this site cannot produce",
    "The form's leak is not measured yet, or the part that makes it is not installed",
)
BUNDLE_UNUSABLE = Rule(
    "bundle-unusable",
    "While the policy bundle is invalid nothing crosses",
    "Fail closed: home use goes on under the last validated rules",
)
RULES_EXPIRED = Rule(
    "rules-expired",
    "While the signatures on the rules are out of date nothing crosses",
    "Fail closed: who may have withdrawn a rule must be heard; home use goes on",
)
BUILT_IN = (NOTHING_PERMITS, UNDECIDABLE, FORM_NOT_AVAILABLE, BUNDLE_UNUSABLE, RULES_EXPIRED)
"""What the program itself refuses by, whatever a bundle says."""


@dataclass(frozen=True)
class Verdict:
    """Policy's answer to one question: the engine's own words.

    Attributes:
        allowed: true only on an explicit allow without any evaluation error.
        rules: the rules that decided; for a denial, those that forbade.
        errors: evaluation errors; any error makes ``allowed`` false.
    """

    allowed: bool
    rules: tuple[Rule, ...] = ()
    errors: tuple[str, ...] = ()


@dataclass(frozen=True)
class Near:
    """A rule that came close to permitting.

    Attributes:
        form: the form that it would permit, where the act has forms.
        missing: what is not so and would have to be, as clauses; empty where the rule permits and
            another one refuses.
    """

    rule: Rule
    form: Form | None
    missing: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON-ready."""
        form = str(self.form) if self.form else None
        return {"rule": self.rule.to_json(), "form": form, "missing": list(self.missing)}


@dataclass(frozen=True)
class Decision:
    """The gate's answer for one class: the most permissive form, or none.

    Attributes:
        form: granted form; ``None`` with ``allowed`` for acts that have no forms.
        plan: the numbers that come with it.
        rules: the rules that granted it, or that refused.
        changes_at: the next moment at which time alone could change the answer.
    """

    allowed: bool
    form: Form | None
    plan: Plan
    rules: tuple[Rule, ...]
    changes_at: datetime | None = None

    def to_json(self) -> dict[str, Any]:
        """JSON-ready and canonical."""
        return {
            "allowed": self.allowed,
            "form": str(self.form) if self.form else None,
            "plan": self.plan.to_json() if self.allowed else None,
            "rules": [rule.id for rule in self.rules],
        }


def named(rules: Mapping[str, Rule] | tuple[Rule, ...]) -> list[dict[str, str]]:
    """Rules as users see them, each once, sorted by id."""
    values = rules.values() if isinstance(rules, Mapping) else rules
    unique = {rule.id: rule for rule in values}
    return [unique[key].to_json() for key in sorted(unique)]
