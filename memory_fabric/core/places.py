"""Where things are: regions, sites, and the roster that lists all sites."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any

from memory_fabric.core.canonical import canonical, digest
from memory_fabric.core.errors import InputError, NotFound

_REGION = re.compile(r"[A-Z]{2}(-[A-Z0-9]{1,3})?")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


class Region(str):
    """A jurisdiction: an ISO 3166-1 alpha-2 code (``DE``) or a 3166-2 subdivision (``US-CA``).

    The shape is checked here; that the code exists is checked where it enters the system
    (``adapters.iso3166``).

    Raises:
        InputError: ``region-unknown``.
    """

    __slots__ = ()

    def __new__(cls, code: str) -> Region:
        """A region from its code."""
        if not _REGION.fullmatch(code):
            raise InputError(
                "region-unknown",
                f"{code!r} is not a region code.",
                "Use ISO 3166 codes in capitals, such as DE or US-CA.",
            )
        return super().__new__(cls, code)

    @property
    def country(self) -> Region:
        """The country of a subdivision; a country is its own."""
        return Region(self[:2])


class Tier(StrEnum):
    """A site's place in the grid."""

    EDGE = "edge"
    HUB = "hub"
    CORE = "core"


def check_name(name: str, what: str) -> str:
    """A site, tenant or app name as it came in, or ``name-invalid``."""
    if not _NAME.fullmatch(name):
        raise InputError(
            "name-invalid",
            f"{name!r} is not a {what} name.",
            "Use up to 63 of a-z, 0-9, dot, dash and underscore, starting with a letter or digit.",
        )
    return name


def _end_of(last_day: str) -> datetime:
    """Midnight UTC after the last valid day."""
    return datetime.combine(date.fromisoformat(last_day), time(), UTC) + timedelta(days=1)


@dataclass(frozen=True)
class Site:
    """A node of the grid as the roster knows it.

    Attributes:
        site_id: unique name in the roster.
        region: the jurisdiction it stands in.
        tier: edge, hub or core.
        tenants: whose data it may hold.
        instruments: transfer instruments it has signed, each with its last valid day
            (``YYYY-MM-DD``) or ``""`` where it does not end.
        memberships: legal blocs that the site itself belongs to beyond its region's
            (a company certified under the DPF), each with its last valid day or ``""``.
        transfer_risk_assessed: whether a transfer impact assessment is on file.
        embedder: id of the embedder that its vectors come from.
        signing_key: raw Ed25519 public key.
        sealing_key: raw HPKE public key.
        address: where it is reached: a home directory (later also a URL).
    """

    site_id: str
    region: Region
    tier: Tier
    tenants: frozenset[str]
    embedder: str
    signing_key: bytes
    sealing_key: bytes
    address: str
    instruments: Mapping[str, str] = field(default_factory=dict)
    memberships: Mapping[str, str] = field(default_factory=dict)
    transfer_risk_assessed: bool = False

    def __post_init__(self) -> None:
        check_name(self.site_id, "site")
        for tenant in self.tenants:
            check_name(tenant, "tenant")

    def current(self, terms: Mapping[str, str], now: datetime) -> frozenset[str]:
        """Those of ``instruments`` or ``memberships`` that are in force at ``now``."""
        return frozenset(name for name, last in terms.items() if not last or now < _end_of(last))

    def changes_at(self, now: datetime) -> datetime | None:
        """The next moment at which an instrument or membership ends; ``None`` for never."""
        lasts = [*self.instruments.values(), *self.memberships.values()]
        return min((_end_of(last) for last in lasts if last and now < _end_of(last)), default=None)

    def to_json(self) -> dict[str, Any]:
        """JSON-ready and canonical."""
        return {
            "site_id": self.site_id,
            "region": str(self.region),
            "tier": str(self.tier),
            "tenants": sorted(self.tenants),
            "embedder": self.embedder,
            "signing_key": self.signing_key.hex(),
            "sealing_key": self.sealing_key.hex(),
            "address": self.address,
            "instruments": dict(sorted(self.instruments.items())),
            "memberships": dict(sorted(self.memberships.items())),
            "transfer_risk_assessed": self.transfer_risk_assessed,
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Site:
        """The inverse of ``to_json``."""
        return cls(
            site_id=value["site_id"],
            region=Region(value["region"]),
            tier=Tier(value["tier"]),
            tenants=frozenset(value["tenants"]),
            embedder=value["embedder"],
            signing_key=bytes.fromhex(value["signing_key"]),
            sealing_key=bytes.fromhex(value["sealing_key"]),
            address=value["address"],
            instruments=dict(value["instruments"]),
            memberships=dict(value["memberships"]),
            transfer_risk_assessed=value["transfer_risk_assessed"],
        )


@dataclass(frozen=True)
class Roster:
    """The list of all sites, signed by the grid key. Iterates over its sites by name."""

    version: int
    sites: Mapping[str, Site]

    def __iter__(self) -> Iterator[Site]:
        return iter(sorted(self.sites.values(), key=lambda site: site.site_id))

    def __getitem__(self, site_id: str) -> Site:
        try:
            return self.sites[site_id]
        except KeyError:
            raise NotFound(
                "site-unknown",
                f"The roster knows no site {site_id!r}.",
                "Make it known with `memory-fabric site link`.",
            ) from None

    def with_site(self, site: Site) -> Roster:
        """The next version, with this site added or replaced."""
        return Roster(self.version + 1, {**self.sites, site.site_id: site})

    def to_json(self) -> dict[str, Any]:
        """JSON-ready and canonical."""
        return {"version": self.version, "sites": [site.to_json() for site in self]}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Roster:
        """The inverse of ``to_json``."""
        sites = [Site.from_json(item) for item in value["sites"]]
        return cls(value["version"], {site.site_id: site for site in sites})

    def canonical(self) -> bytes:
        """The bytes that the grid key signs."""
        return canonical(self.to_json())

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the canonical bytes, hexadecimal: the roster's name in receipts."""
        return digest(self.to_json())
