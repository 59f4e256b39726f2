"""The register: which countries and organisations belong to which bloc, from when to when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from memory_fabric.adapters.cedar.strict_yaml import Node, load
from memory_fabric.adapters.iso3166 import is_region


@dataclass(frozen=True)
class Entry:
    """Some regions of a bloc, by one legal source.

    Attributes:
        regions: ISO 3166 codes.
        source: where the fact comes from.
        starts: first moment at which it holds.
        ends: first moment at which it no longer holds; ``None`` for open.
        line: where it stands in the register.
    """

    regions: frozenset[str]
    source: str
    starts: datetime
    ends: datetime | None
    line: int = 0

    def holds(self, now: datetime) -> bool:
        """Whether it holds at ``now``."""
        return self.starts <= now and (self.ends is None or now < self.ends)


@dataclass(frozen=True)
class Bloc:
    """A named group with a legal meaning.

    Attributes:
        countries: true where being in the country suffices; false where single organisations
            there join, as the roster says.
    """

    name: str
    title: str
    countries: bool
    entries: tuple[Entry, ...]

    def covers(self, region: str, now: datetime) -> bool:
        """Whether it speaks of this region, or of the country it lies in, at ``now``."""
        return any(
            entry.holds(now) and not entry.regions.isdisjoint({region, region[:2]})
            for entry in self.entries
        )


@dataclass(frozen=True)
class Register:
    """All blocs by name."""

    blocs: Mapping[str, Bloc]

    @property
    def regions(self) -> frozenset[str]:
        """Every region that stands in the register."""
        return frozenset(
            code for bloc in self.blocs.values() for entry in bloc.entries for code in entry.regions
        )

    def blocs_of(self, region: str, now: datetime) -> list[str]:
        """The blocs that a region as such belongs to at ``now``, sorted."""
        return sorted(
            bloc.name for bloc in self.blocs.values() if bloc.countries and bloc.covers(region, now)
        )

    def may_join(self, bloc: str, region: str, now: datetime) -> bool:
        """Whether an organisation in this region can be a member of the bloc at ``now``."""
        found = self.blocs.get(bloc)
        return found is not None and not found.countries and found.covers(region, now)

    def joinable(self, region: str, now: datetime) -> frozenset[str]:
        """The blocs that an organisation in this region can be a member of at ``now``."""
        return frozenset(bloc for bloc in self.blocs if self.may_join(bloc, region, now))

    def moments(self) -> Iterator[datetime]:
        """Every moment at which an entry starts or ends."""
        for bloc in self.blocs.values():
            for entry in bloc.entries:
                yield entry.starts
                if entry.ends:
                    yield entry.ends


def parse_register(text: str, file: str) -> Register:
    """Read a register, strictly.

    Raises:
        BundleError: anything in it is not exactly as it should be.
    """
    root = load(text, file).fields("the register", ["blocs"])
    blocs = root["blocs"].entries("blocs")
    return Register({name: _bloc(name, node) for name, node in blocs.items()})


def _bloc(name: str, node: Node) -> Bloc:
    fields = node.fields("a bloc", ["title", "members", "entries"])
    members = fields["members"].one_of("kind of members", ["countries", "organisations"])
    seen: set[str] = set()
    entries = []
    for item in fields["entries"].items("entries"):
        entry = _entry(item)
        if twice := sorted(seen & entry.regions):
            raise item.wrong(f"{twice[0]} stands in {name} twice.", "Keep one of them.")
        seen |= entry.regions
        entries.append(entry)
    return Bloc(name, fields["title"].text("title"), members == "countries", tuple(entries))


def _entry(node: Node) -> Entry:
    fields = node.fields("an entry", ["regions", "source", "date"], ["valid_until"])
    codes: set[str] = set()
    for item in fields["regions"].items("regions"):
        code = item.text("a region")
        if not is_region(code):
            raise item.wrong(f"{code!r} is no ISO 3166 region.", "Use a code such as DE or US-CA.")
        if code in codes:
            raise item.wrong(f"{code} stands here twice.", "Keep one of them.")
        codes.add(code)
    starts, ends = _midnight(fields["date"]), None
    if "valid_until" in fields:
        ends = _midnight(fields["valid_until"]) + timedelta(days=1)
        if ends <= starts:
            raise fields["valid_until"].wrong("The entry ends before it starts.", "Mend a date.")
    return Entry(frozenset(codes), fields["source"].text("source"), starts, ends, node.line)


def _midnight(node: Node) -> datetime:
    day = node.text("a date")
    try:
        parsed = date.fromisoformat(day)
    except ValueError:
        parsed = None
    if parsed is None or parsed.isoformat() != day:
        raise node.wrong(f"{day!r} is no date.", 'Write it as "2031-12-27".')
    return datetime.combine(parsed, time(), UTC)
