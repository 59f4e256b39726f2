"""Packages: exported rows, sealed to one site, signed by another, and carried by anybody.

    package  = magic (4) | length of envelope (4) | envelope | sealed content | signature (64)
    envelope = canonical JSON: from, to, package, expires_at
    content  = length of manifest (4) | manifest (canonical JSON) | rows (Arrow IPC stream)

Like a letter (``letters``), save that it lies in a file for as long as its leases run: it is fresh
until ``expires_at``, and whoever takes it in remembers its id as long as its log.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.exceptions import InvalidTag

from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import InputError, IntegrityViolated
from memory_fabric.core.lease import Manifest, PackedRow, Terms
from memory_fabric.core.places import Roster, Site
from memory_fabric.core.ports import Clock, Packing
from memory_fabric.gate.permits import PermitVoid, Release, Shown
from memory_fabric.vault.binding import bind
from memory_fabric.vault.identity import (
    SIGNATURE_BYTES,
    Signer,
    Unsealer,
    seal_to,
    verify_signature,
)

MAGIC = b"MFX1"
"""The first bytes of every package."""
MAX_PACKAGE = 64 * 1024 * 1024
"""Bytes of a package at most."""

_FORMAT = "memory-fabric/package/1"
_MISREAD = (ValueError, KeyError, TypeError, AttributeError, ArithmeticError, RecursionError)
_FIELDS = {"from", "to", "package", "expires_at"}


@dataclass(frozen=True)
class Package:
    """A package that was verified and opened; its rows are a stranger's still."""

    manifest: Manifest
    sender: Site
    rows: Sequence[PackedRow] = field(repr=False)


class Packages:
    """Writes and reads a site's packages.

    Args:
        site_id: whose packages.
        signer, unsealer: the site's identity.
        roster: gives the newest roster: only its sites are believed.
        clock: for expiry.
        packing: rows to bytes.
    """

    def __init__(
        self,
        site_id: str,
        signer: Signer,
        unsealer: Unsealer,
        roster: Callable[[], Roster],
        clock: Clock,
        packing: Packing,
    ) -> None:
        self._site_id = site_id
        self._signer = signer
        self._unsealer = unsealer
        self._roster = roster
        self._clock = clock
        self._packing = packing

    def seal(
        self, release: Release, manifest: Manifest, rows: Sequence[tuple[str, Terms]], to: Site
    ) -> bytes:
        """A package with released data, for the site that it was released to.

        Args:
            release: what may leave; nothing else gets into the package.
            manifest: what the package says of itself.
            rows: id and lease of each released item, in order.
            to: the receiver.

        Raises:
            PermitVoid: ``release-misaddressed``: it was released to, or from, another site.
        """
        way = (self._site_id, to.site_id)
        ways = {(part.permit.origin, part.permit.destination) for part in release.parts}
        if ways != {way} or (manifest.origin, manifest.destination) != way:
            raise PermitVoid(
                "release-misaddressed",
                "Data released to one site was about to be sent to another; nothing was sent.",
                "Report it as a defect.",
            )
        items = [item for part in release.parts for item in part.items]
        block = self._packing.pack(
            [_packed(item, name, terms) for item, (name, terms) in zip(items, rows, strict=True)]
        )
        head = canonical(manifest.to_json())
        envelope = canonical(
            {
                "from": self._site_id,
                "to": to.site_id,
                "package": manifest.package,
                "expires_at": manifest.expires_at.isoformat(),
            }
        )
        content = len(head).to_bytes(4, "big") + head + block
        sealed = seal_to(to.sealing_key, content, bind(_FORMAT, envelope))
        signed = MAGIC + len(envelope).to_bytes(4, "big") + envelope + sealed
        return signed + self._signer.sign(signed)

    def open(self, data: bytes) -> Package:
        """Verify and open a package. Whether it was here before, its receiver knows.

        Raises:
            IntegrityViolated: ``package-forged``: altered, or not from whom it names.
            InputError: ``package-not-for-us``, ``package-signer-unknown``, ``package-expired``.
        """
        envelope, sealed, signed, signature = _parse(data)
        if envelope["to"] != self._site_id:
            raise InputError(
                "package-not-for-us",
                "The package is sealed to another site.",
                "Take it in at the site that it was exported to.",
            )
        sender = self._roster().sites.get(envelope["from"])
        if sender is None:
            raise InputError(
                "package-signer-unknown",
                "The package is signed by a site that the roster does not know.",
                "Link the site first, if it is to be trusted.",
            )
        if not verify_signature(sender.signing_key, signed, signature):
            raise _forged()
        if self._clock.now() >= datetime.fromisoformat(envelope["expires_at"]):
            raise InputError(
                "package-expired",
                "The leases of the package are over.",
                "Have it exported anew.",
            )
        try:
            content = self._unsealer.unseal(sealed, bind(_FORMAT, canonical(envelope)))
            end = 4 + int.from_bytes(content[:4], "big")
            manifest = Manifest.from_json(json.loads(content[4:end]))
            rows = self._packing.unpack(content[end:])
        except (InvalidTag, InputError, *_MISREAD):
            raise _forged() from None
        said = (manifest.origin, manifest.destination, manifest.package)
        if said != (sender.site_id, self._site_id, envelope["package"]):
            raise _forged()
        if manifest.expires_at.isoformat() != envelope["expires_at"]:
            raise _forged()
        return Package(manifest, sender, rows)


def _packed(item: Shown, name: str, terms: Terms) -> PackedRow:
    if (item.label_class, item.form) != (terms.label_class, terms.form):
        raise ValueError("a row stands under the lease of its own class and form")
    return PackedRow(
        id=name,
        lease=terms.lease,
        form=str(item.form),
        label_class=item.label_class.to_json(),
        text=item.memory,
        vector=item.vector,
        embedder=item.embedder,
        memory_type=str(item.facts["memory_type"]),
        expires_at=terms.expires_at.isoformat(),
    )


def _parse(data: bytes) -> tuple[dict[str, Any], bytes, bytes, bytes]:
    """Envelope, sealed content, signed bytes, signature; nothing of it is verified yet."""
    if len(data) > MAX_PACKAGE or data[:4] != MAGIC:
        raise _forged()
    signed, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    end = 8 + int.from_bytes(data[4:8], "big")
    try:
        envelope = json.loads(signed[8:end])
        if set(envelope) != _FIELDS or not all(isinstance(envelope[x], str) for x in _FIELDS):
            raise ValueError("not an envelope")
        if datetime.fromisoformat(envelope["expires_at"]).tzinfo is None:
            raise ValueError("no time zone")
        if canonical(envelope) != signed[8:end]:
            raise ValueError("not canonical")
    except _MISREAD:
        raise _forged() from None
    return envelope, signed[end:], signed, signature


def _forged() -> IntegrityViolated:
    return IntegrityViolated(
        "package-forged",
        "The package is not from the site that it names, or was changed on the way.",
        "Nothing of it was taken in; have it exported anew and look at the way it came.",
        {"damaged": ["package"]},
    )
