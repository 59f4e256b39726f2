"""Letters between sites: sealed to the receiver, signed by the sender, fresh, read once.

    letter   = magic (4) | length of envelope (4) | envelope | sealed body | signature (64)
    envelope = canonical JSON: from, to, id, sent_at, in_reply_to

The signature covers everything before it. The body is sealed by HPKE to the receiver's key and
bound to the envelope. Whoever carries a letter sees who writes to whom and when, nothing else.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography.exceptions import InvalidTag

from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import InputError, IntegrityViolated, NotFound, Unavailable
from memory_fabric.core.places import Roster, Site
from memory_fabric.core.ports import Clock
from memory_fabric.gate.permits import PermitVoid, Release, UpdateRelease
from memory_fabric.vault.binding import bind
from memory_fabric.vault.identity import (
    SIGNATURE_BYTES,
    Signer,
    Unsealer,
    seal_to,
    verify_signature,
)

FRESH = timedelta(minutes=5)
"""A letter older than this, or from further in the future, is not read."""
MAX_LETTER = 64 * 1024 * 1024
"""Bytes of a letter at most."""
MAX_REMEMBERED = 200_000
"""Letters whose ids are kept to refuse replays; beyond it no letter is read until some age."""

_MAGIC = b"MFL1"
_ID = re.compile(r"[0-9a-f]{32}")  # receipts quote it
_FORMAT = "memory-fabric/letter/1"
_REFUSAL = {"kind", "receipt", "withheld", "offered"}


@dataclass(frozen=True)
class SealedLetter:
    """A letter ready to go: its bytes, and what an answer to it must name."""

    id: str
    to: str
    sealed: bytes = field(repr=False)


@dataclass(frozen=True)
class Letter:
    """A letter that was verified and opened.

    Attributes:
        id: random, the sender's.
        sender: as the roster knows it.
        sent_at: by the sender's clock.
        body: what the sender wrote, with the released ``items`` (``items_json``); a stranger's
            JSON still, to be checked by whoever reads it.
    """

    id: str
    sender: Site
    sent_at: datetime
    body: Mapping[str, Any] = field(repr=False)


class Letters:
    """Writes and reads a site's letters. Safe to share between threads.

    Args:
        site_id: whose letters.
        signer, unsealer: the site's identity.
        roster: gives the newest roster: only its sites are believed.
        clock: for the time of sending and for freshness.
    """

    def __init__(
        self,
        site_id: str,
        signer: Signer,
        unsealer: Unsealer,
        roster: Callable[[], Roster],
        clock: Clock,
    ) -> None:
        self._site_id = site_id
        self._signer = signer
        self._unsealer = unsealer
        self._roster = roster
        self._clock = clock
        self._seen: dict[tuple[str, str], datetime] = {}
        self._lock = threading.Lock()

    def seal(
        self,
        release: Release,
        header: Mapping[str, Any],
        *,
        to: Site,
        reply_to: Letter | None = None,
    ) -> SealedLetter:
        """A letter with released data, to the site that it was released to.

        Args:
            release: what may leave.
            header: JSON-ready; what the receiver needs beside the items.
            to: the receiver.
            reply_to: the letter that this one answers.

        Raises:
            PermitVoid: ``release-misaddressed``: it was released to, or from, another site.
        """
        way = (self._site_id, to.site_id)
        if any((part.permit.origin, part.permit.destination) != way for part in release.parts):
            raise _misaddressed()
        return self._seal({**header, "items": items_json(release)}, to, reply_to)

    def seal_update(
        self,
        release: UpdateRelease,
        header: Mapping[str, Any],
        *,
        to: Site,
        reply_to: Letter | None = None,
    ) -> SealedLetter:
        """A letter with a model update, to the site that it was released to.

        Args:
            release: the update that may leave, with the facts that go along.
            header: JSON-ready; what the receiver needs beside it.
            to: the receiver.
            reply_to: the letter that this one answers.

        Raises:
            PermitVoid: ``release-misaddressed``: it was released to, or from, another site.
        """
        permit = release.part.permit
        if (permit.origin, permit.destination) != (self._site_id, to.site_id):
            raise _misaddressed()
        arrays = base64.b64encode(release.part.arrays).decode()
        update = {"facts": dict(release.part.facts), "arrays": arrays}
        return self._seal({**header, "update": update}, to, reply_to)

    def seal_refusal(
        self, header: Mapping[str, Any], *, to: Site, reply_to: Letter
    ) -> SealedLetter:
        """A letter that says which rules refused, and by which receipt, and nothing else.

        Args:
            header: at most ``kind``, ``receipt``, ``withheld`` (rules) and an empty ``offered``.
            to: the receiver.
            reply_to: the letter that this one answers.

        Raises:
            ValueError: the header holds anything else.
        """
        if set(header) - _REFUSAL or header.get("offered"):
            raise ValueError("a refusal holds rules and nothing else")
        if any(set(rule) - {"id", "title", "basis"} for rule in header.get("withheld", ())):
            raise ValueError("a refusal holds rules and nothing else")
        return self._seal({**header, "items": []}, to, reply_to)

    def open(self, sealed: bytes, *, reply_to: SealedLetter | None = None) -> Letter:
        """Verify and open a letter: a question, or the answer to ``reply_to``.

        Raises:
            IntegrityViolated: ``letter-forged``, ``letter-replayed``.
            InputError: ``letter-stale``, ``letter-not-for-us`` (also an answer to anything else).
            Unavailable: ``letters-too-many``.
        """
        envelope, body, signed, signature = _parse(sealed)
        if envelope["to"] != self._site_id:
            raise _not_for_us()
        sender = self._sender(envelope["from"])
        if not verify_signature(sender.signing_key, signed, signature):
            raise _forged()
        sent_at = self._check_fresh(envelope["sent_at"])
        asked = (reply_to.id, reply_to.to) if reply_to else (None, sender.site_id)
        if (envelope["in_reply_to"], sender.site_id) != asked:
            raise _not_for_us()
        self._check_unseen(sender.site_id, envelope["id"])
        try:
            opened = json.loads(self._unsealer.unseal(body, _info(canonical(envelope))))
        except (InvalidTag, ValueError, RecursionError):
            raise _forged() from None
        if not isinstance(opened, dict):
            raise _forged()
        return Letter(envelope["id"], sender, sent_at, opened)

    def _seal(self, body: Mapping[str, Any], to: Site, reply_to: Letter | None) -> SealedLetter:
        letter_id = secrets.token_hex(16)
        envelope = canonical(
            {
                "from": self._site_id,
                "to": to.site_id,
                "id": letter_id,
                "sent_at": self._clock.now().isoformat(),
                "in_reply_to": reply_to.id if reply_to else None,
            }
        )
        plain = json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
        sealed = seal_to(to.sealing_key, plain, _info(envelope))
        signed = _MAGIC + len(envelope).to_bytes(4, "big") + envelope + sealed
        return SealedLetter(letter_id, to.site_id, signed + self._signer.sign(signed))

    def _sender(self, site_id: str) -> Site:
        try:
            return self._roster()[site_id]
        except NotFound:
            raise _forged() from None

    def _check_fresh(self, written: str) -> datetime:
        sent_at = datetime.fromisoformat(written)
        if abs(self._clock.now() - sent_at) > FRESH:
            raise InputError(
                "letter-stale",
                "A letter was written too long ago, or by a clock that runs ahead.",
                "Ask again; check the clocks of both sites.",
            )
        return sent_at

    def _check_unseen(self, sender: str, letter_id: str) -> None:
        now = self._clock.now()
        with self._lock:
            if (sender, letter_id) in self._seen:
                raise IntegrityViolated(
                    "letter-replayed",
                    "A letter came a second time.",
                    "Somebody repeats recorded letters; look at the way between the sites.",
                    {"damaged": ["letter"]},
                )
            if len(self._seen) >= MAX_REMEMBERED:
                self._seen = {key: until for key, until in self._seen.items() if until > now}
            if len(self._seen) >= MAX_REMEMBERED:
                raise Unavailable(
                    "letters-too-many", "Too many letters came in a short time.", "Wait a little."
                )
            self._seen[sender, letter_id] = now + 2 * FRESH


def _info(envelope: bytes) -> bytes:
    return bind(_FORMAT, envelope)


def _parse(data: bytes) -> tuple[dict[str, Any], bytes, bytes, bytes]:
    """Envelope, sealed body, signed bytes, signature; nothing of it is verified yet."""
    if len(data) > MAX_LETTER or data[:4] != _MAGIC:
        raise _forged()
    signed, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    end = 8 + int.from_bytes(data[4:8], "big")
    try:
        envelope = json.loads(signed[8:end])
        if datetime.fromisoformat(envelope["sent_at"]).tzinfo is None:
            raise ValueError("no time zone")
        texts = [envelope[name] for name in ("from", "to", "id")]
        if set(envelope) != {"from", "to", "id", "sent_at", "in_reply_to"}:
            raise ValueError("unknown fields")
        if not all(isinstance(text, str) for text in texts) or not _ID.fullmatch(envelope["id"]):
            raise ValueError("no names")
        if canonical(envelope) != signed[8:end]:
            raise ValueError("not canonical")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _forged() from None
    return envelope, signed[end:], signed, signature


def items_json(release: Release) -> list[dict[str, Any]]:
    """Released items as they stand in a letter."""
    return [
        {
            "id": item.id,
            "form": str(item.form),
            "class": item.label_class.to_json(),
            "memory": item.memory,
            "vector": base64.b64encode(item.vector).decode() if item.vector is not None else None,
            "embedder": item.embedder,
            "score": item.score,
            "rules": list(item.rules),
            "facts": dict(item.facts),
        }
        for part in release.parts
        for item in part.items
    ]


def _misaddressed() -> PermitVoid:
    return PermitVoid(
        "release-misaddressed",
        "Data released to one site was about to be sent to another; nothing was sent.",
        "Report it as a defect.",
    )


def _forged() -> IntegrityViolated:
    return IntegrityViolated(
        "letter-forged",
        "A letter is not from the site that it names, or was changed on the way.",
        "Look at the way between the sites; compare both rosters.",
        {"damaged": ["letter"]},
    )


def _not_for_us() -> InputError:
    return InputError(
        "letter-not-for-us",
        "A letter is addressed to another site, or answers something that was not asked.",
        "Compare both rosters.",
    )
