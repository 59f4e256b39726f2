"""Looking for receipts: what one is known by, and which ones are wanted.

A site writes very many receipts of few kinds: the same apps ask for the same purposes, and the
same rules answer. What a receipt is known by (its *marks*) is therefore shared by very many, and
a question about a log is answered from its few kinds before any receipt is read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

Marks = frozenset[tuple[str, str]]
"""What a receipt is known by: pairs such as ``("app", "front-desk")`` or ``("refuses", "ID")``."""

ID_PREFIX = 4
"""So many first characters of a receipt's id at least find it."""


def marks_of(receipt: Mapping[str, Any]) -> Marks:
    """What a receipt, as JSON, is known by.

    ``act``, ``outcome``; ``app``, ``tenant`` and ``role`` of who asked; ``purpose``; each ``site``
    that it names, and ``to`` those that received anything or would have; each ``form`` that went
    out; the rules: ``grants`` those that allowed something, ``refuses`` those that kept something
    back; ``emergency`` the ticket of a break-glass.
    """
    request = receipt["request"]
    asked_by = request.get("requester", {})
    marks = {
        ("act", receipt["act"]),
        ("outcome", receipt["outcome"]),
        ("app", asked_by.get("name", "")),
        ("tenant", asked_by.get("tenant", "")),
        ("role", asked_by.get("role", "")),
    }
    if isinstance(purpose := request.get("purpose"), str):
        marks.add(("purpose", purpose))
    for name in ("origin", "destination"):
        if isinstance(site := request.get(name), str):
            marks.add(("site", site))
    receivers = [request.get("destination"), *_texts(request.get("destinations"))]
    marks.update((what, to) for to in receivers if isinstance(to, str) for what in ("site", "to"))
    for decision in receipt["decisions"]:
        kind = "grants" if decision.get("allowed") else "refuses"
        marks.update((kind, rule) for rule in decision.get("rules", ()))
        if site := decision.get("site"):
            marks.add(("site", site))
    marks.update(("form", form) for form in _texts(receipt["facts"].get("forms")))
    for told in (request, *receipt["decisions"]):
        if isinstance(glass := told.get("break_glass"), Mapping):
            marks.add(("emergency", str(glass.get("ticket", ""))))
    return frozenset(marks)


def _texts(values: object) -> list[str]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        return []
    return [item for item in values if isinstance(item, str)]


@dataclass(frozen=True)
class Wanted:
    """Which receipts are wanted; what is left out may be anything.

    Attributes:
        act, outcome, app, purpose, site: exactly these.
        rule: one that allowed or refused something.
        text: words, each somewhere in a name that the receipt is known by, whatever their case; or
            the beginning of the receipt's id.
        since, until: moments; from the first on, and before the second.
        tenants: only receipts of these, ``""`` being the site's own.
    """

    act: str | None = None
    outcome: str | None = None
    app: str | None = None
    purpose: str | None = None
    site: str | None = None
    rule: str | None = None
    text: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    tenants: frozenset[str] | None = None

    @property
    def any_kind(self) -> bool:
        """Whether receipts of every kind are wanted."""
        kinds = (self.act, self.outcome, self.app, self.purpose, self.site, self.rule, self.text)
        return self.tenants is None and all(item in (None, "") for item in kinds)

    def admits(self, marks: Marks) -> bool:
        """Whether receipts of this kind may be seen at all and are what is asked for, save the
        text.
        """
        if self.tenants is not None and not any(("tenant", name) in marks for name in self.tenants):
            return False
        exact = (
            ("act", self.act), ("outcome", self.outcome), ("app", self.app),
            ("purpose", self.purpose), ("site", self.site),
        )  # fmt: skip
        if any(value is not None and (name, value) not in marks for name, value in exact):
            return False
        return self.rule is None or bool({("grants", self.rule), ("refuses", self.rule)} & marks)

    def names(self, marks: Marks) -> bool:
        """Whether each word of the text stands in a name that receipts of this kind bear."""
        words = (self.text or "").casefold().split()
        names = [value.casefold() for _, value in marks] if words else []
        return all(any(word in name for name in names) for word in words)

    @property
    def id_prefix(self) -> str | None:
        """The text, where it could be the beginning of a receipt's id."""
        word = (self.text or "").strip().lower()
        hexadecimal = all(letter in "0123456789abcdef" for letter in word)
        return word if len(word) >= ID_PREFIX and hexadecimal else None

    def fits(self, receipt: Mapping[str, Any]) -> bool:
        """Whether this receipt, as JSON, is wanted."""
        at, marks = datetime.fromisoformat(receipt["at"]), marks_of(receipt)
        if (self.since and at < self.since) or (self.until and at >= self.until):
            return False
        prefix = self.id_prefix
        named = self.names(marks) or bool(prefix and receipt["id"].startswith(prefix))
        return self.admits(marks) and named


ANY = Wanted()
"""Every receipt."""


@dataclass(frozen=True)
class Tally:
    """How many receipts share their marks, and when the newest of them was written."""

    marks: Marks
    receipts: int
    newest: datetime

    def named(self, name: str) -> frozenset[str]:
        """The marks' values of one name, such as all rules that refused."""
        return frozenset(value for mark, value in self.marks if mark == name)
