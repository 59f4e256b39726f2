"""What the law needs to know about a memory: its label, and the class that policy decides on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from functools import cached_property, lru_cache
from json.encoder import encode_basestring
from typing import Any

from memory_fabric.core.canonical import digest
from memory_fabric.core.errors import InputError
from memory_fabric.core.places import Region


class DataClass(StrEnum):
    """How confidential, from least to most."""

    PUBLIC = "public"
    INTERNAL = "internal"
    CONFIDENTIAL = "confidential"
    SECRET = "secret"

    @property
    def rank(self) -> int:
        """0 for public up to 3 for secret."""
        return list(DataClass).index(self)


class Consent(StrEnum):
    """What the subjects said."""

    NONE = "none"
    GIVEN = "given"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True)
class LabelClass:
    """A label without subjects and dates: policy decides once per class, search prefilters by it.

    ``declared`` classes are a site's list; a class that differs from a declared one only in that
    consent was withdrawn or a legal hold was set counts as declared too, since both come from
    outside and must always be expressible.
    """

    home: Region
    tenant: str
    data_class: DataClass
    personal: bool
    special: frozenset[str]
    purposes: frozenset[str]
    consent: Consent
    legal_hold: bool = False

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Made once: classes are looked up by the thousand in every request."""
        return hash(tuple(getattr(self, part.name) for part in fields(self)))

    def to_json(self) -> dict[str, Any]:
        """JSON-ready and canonical."""
        return {
            "home": str(self.home),
            "tenant": self.tenant,
            "data_class": str(self.data_class),
            "personal": self.personal,
            "special": sorted(self.special),
            "purposes": sorted(self.purposes),
            "consent": str(self.consent),
            "legal_hold": self.legal_hold,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> LabelClass:
        """The inverse of ``to_json``. Equal classes are one object: very many memories share it."""
        return _class_of(
            value["home"],
            value["tenant"],
            value["data_class"],
            value["personal"],
            tuple(value["special"]),
            tuple(value["purposes"]),
            value["consent"],
            value["legal_hold"],
        )

    @cached_property
    def json_text(self) -> str:
        """``to_json`` as text, made once: very many memories share a class."""
        return json.dumps(self.to_json(), separators=(",", ":"), ensure_ascii=False)

    @cached_property
    def key(self) -> str:
        """A short stable name: the first 16 hexadecimal digits of the canonical digest."""
        return digest(self.to_json())[:16]

    def bases(self) -> frozenset[LabelClass]:
        """The classes of which at least one must be declared for this one to be admissible."""
        base = replace(self, legal_hold=False)
        if base.consent is not Consent.WITHDRAWN:
            return frozenset({base})
        return frozenset(
            replace(base, consent=consent) for consent in (Consent.NONE, Consent.GIVEN)
        )

    def __str__(self) -> str:
        words = ["+".join(sorted(self.purposes)), str(self.data_class)]
        words.append("personal" if self.personal else "non-personal")
        words += sorted(self.special)
        words.append(f"consent {self.consent}")
        if self.legal_hold:
            words.append("legal hold")
        return " · ".join(words)


@dataclass(frozen=True)
class ClassState:
    """A class together with what time made of it: the unit of a decision."""

    label_class: LabelClass
    retention_over: bool = False


@dataclass(frozen=True)
class Label:
    """The full label of one memory. ``home`` is set by the site, never by an app."""

    home: Region
    tenant: str
    data_class: DataClass
    personal: bool
    purposes: frozenset[str]
    special: frozenset[str] = frozenset()
    consent: Consent = Consent.NONE
    legal_hold: bool = False
    expires_at: datetime | None = None
    subjects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.purposes:
            raise InputError(
                "purpose-missing",
                "A memory without a purpose may be used for nothing.",
                "Name at least one purpose.",
            )
        if self.special and not self.personal:
            raise InputError(
                "label-contradiction",
                "Special categories of personal data are personal data.",
                "Leave out `special`, or set `personal`.",
            )
        if self.expires_at is not None and self.expires_at.tzinfo is None:
            raise InputError(
                "time-without-zone",
                "`expires_at` has no time zone.",
                "Write it as 2027-01-31T00:00:00Z.",
            )

    @cached_property
    def label_class(self) -> LabelClass:
        """The label without subjects and dates."""
        return LabelClass(
            home=self.home,
            tenant=self.tenant,
            data_class=self.data_class,
            personal=self.personal,
            special=self.special,
            purposes=self.purposes,
            consent=self.consent,
            legal_hold=self.legal_hold,
        )

    def about(self, subjects: tuple[str, ...]) -> Label:
        """The same label for other subjects; it shares the class, and costs no check again."""
        other = object.__new__(Label)
        vars(other).update(vars(self), subjects=subjects)
        return other

    def state(self, now: datetime) -> ClassState:
        """The class, and whether retention is over at ``now``."""
        over = self.expires_at is not None and self.expires_at <= now
        return ClassState(self.label_class, over)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready: the class, and what is the memory's own."""
        return {
            "class": self.label_class.to_json(),
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            "subjects": list(self.subjects),
        }

    def json_text(self) -> str:
        """``to_json`` as text, with the class's own made once."""
        expires_at = f'"{self.expires_at.isoformat()}"' if self.expires_at else "null"
        subjects = ",".join(map(encode_basestring, self.subjects))
        return (
            f'{{"class":{self.label_class.json_text},'
            f'"expires_at":{expires_at},"subjects":[{subjects}]}}'
        )

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Label:
        """The inverse of ``to_json``."""
        label = _label_of(LabelClass.from_json(value["class"]), value["expires_at"])
        return label.about(tuple(value["subjects"]))


@lru_cache(maxsize=4096, typed=True)
def _class_of(
    home: str,
    tenant: str,
    data_class: str,
    personal: bool,
    special: tuple[str, ...],
    purposes: tuple[str, ...],
    consent: str,
    legal_hold: bool,
) -> LabelClass:
    return LabelClass(
        home=Region(home),
        tenant=tenant,
        data_class=DataClass(data_class),
        personal=personal,
        special=frozenset(special),
        purposes=frozenset(purposes),
        consent=Consent(consent),
        legal_hold=legal_hold,
    )


@lru_cache(maxsize=4096)
def _label_of(label_class: LabelClass, expires_at: str | None) -> Label:
    """A label of this class about nobody; its class is the given object."""
    label = Label(
        **{part.name: getattr(label_class, part.name) for part in fields(LabelClass)},
        expires_at=datetime.fromisoformat(expires_at) if expires_at else None,
    )
    vars(label)["label_class"] = label_class
    return label


@dataclass(frozen=True)
class LabelChange:
    """What an app asks of a label; ``None`` leaves a field as it is."""

    data_class: DataClass | None = None
    personal: bool | None = None
    special: frozenset[str] | None = None
    purposes: frozenset[str] | None = None
    consent: Consent | None = None
    legal_hold: bool | None = None
    expires_at: datetime | None = field(default=None)

    def apply(self, label: Label) -> Label:
        """The label with the asked fields replaced."""
        asked = {name: value for name, value in vars(self).items() if value is not None}
        return replace(label, **asked)


def loosens(old: Label, new: Label) -> bool:
    """Whether ``new`` would let out anything that ``old`` would not.

    Tightening is a partial order, field by field: more confidential, personal, more special
    categories, fewer purposes, consent away from ``given``, a hold set, an earlier expiry.
    Whatever is not provably as tight counts as loosening. A hold on what expires is none: it keeps
    usable what its retention would take.
    """
    consent_order = (Consent.GIVEN, Consent.NONE, Consent.WITHDRAWN)
    expiry_as_tight = old.expires_at is None or (
        new.expires_at is not None and new.expires_at <= old.expires_at
    )
    as_tight = (
        new.home == old.home
        and new.tenant == old.tenant
        and new.data_class.rank >= old.data_class.rank
        and (new.personal or not old.personal)
        and new.special >= old.special
        and new.purposes <= old.purposes
        and consent_order.index(new.consent) >= consent_order.index(old.consent)
        and (new.legal_hold == old.legal_hold or (new.legal_hold and old.expires_at is None))
        and expiry_as_tight
    )
    return not as_tight
