"""The duties of a release: each opened memory, cut down to what its granted form may show.

    form          text          vector                      facts
    full          as it is      none                        subjects, metadata, type, times
    redacted      masked        none                        type
    vectors_only  none          of the masked text          type
    any other     withheld: its leak is not measured yet

What is here on a lease is shown in no fuller form than it came in.

A duty that cannot be done withholds its memory; no duty falls back to a form that shows more.

What leaves masked is also scored as it leaves, against the query's vector: a score of the text as
it is would let a receiver test names, and put its vector together from many questions.
"""

from __future__ import annotations

import hmac
import secrets
import struct
from dataclasses import replace
from typing import Any

from memory_fabric.core.access import BUILDABLE, LADDER, Form
from memory_fabric.core.errors import Unavailable
from memory_fabric.core.memory import Memory, Vector
from memory_fabric.core.model_ports import Embedder
from memory_fabric.core.ports import Redactor
from memory_fabric.gate.permits import Discharged, Opened, OpenedMemory, Shown, discharged


class Duties:
    """Discharges what a decision asks for.

    Outside the full form a memory's id is not shown, since its app may have chosen one that names
    somebody. In its place stands a pseudonym under a random key that is never stored: the same for
    the same memory and receiver while the site runs, and unrelated between receivers.

    Args:
        redactor: masks people in texts.
        embedder: the site's own, for vectors of masked texts.
    """

    def __init__(self, redactor: Redactor, embedder: Embedder) -> None:
        self._redactor = redactor
        self._embedder = embedder
        self._key = secrets.token_bytes(32)

    def discharge(
        self, data: Opened, asked: Vector | None = None, threshold: float = 0.0
    ) -> Discharged:
        """What may be shown of each memory, best first, and the ids withheld.

        Args:
            data: what was opened, best first.
            asked: the query's vector, by which masked forms are scored; ``None`` for a list.
            threshold: with ``asked``, scores below it are left out.
        """
        shown: list[Shown] = []
        withheld: list[str] = []
        for item in data.items:
            try:
                shown.append(self._shown(item, data.permit.destination, asked))
            except Unavailable:
                withheld.append(item.memory.id)
        if asked is not None:
            shown = sorted(
                (item for item in shown if (item.score or 0.0) >= threshold), key=_best_first
            )
        return discharged(data, shown, withheld)

    def _shown(self, item: OpenedMemory, destination: str, asked: Vector | None) -> Shown:
        memory, form = item.memory, item.decision.form
        if not item.decision.allowed or form is None or form not in BUILDABLE:
            raise Unavailable("form-not-available", "The granted form cannot be produced here.")
        if memory.leased is not None:
            form = max(form, Form(memory.leased.form), key=LADDER.index)
        text = memory.text if form is Form.FULL else self._masked(memory)
        named = form is Form.FULL or memory.leased is not None  # a lease's row has a random id
        shown = Shown(
            id=memory.id if named else self._pseudonym(memory, destination),
            form=form,
            label_class=memory.label.label_class,
            memory=text,
            vector=None,
            embedder=memory.embedder,
            score=item.score,
            rules=tuple(rule.id for rule in item.decision.rules),
            facts=_all_facts(memory) if form is Form.FULL else _bare_facts(memory),
        )
        if form is not Form.FULL and asked is not None:
            shown = replace(shown, score=_closeness(asked, self._vector(memory, text)))
        if form is Form.VECTORS_ONLY:
            vector = self._vector(memory, text)
            return replace(shown, memory=None, vector=vector, embedder=self._embedder.id)
        return shown

    def _vector(self, memory: Memory, masked: str) -> Vector:
        """Of the masked text; what came without text came with that vector."""
        if memory.leased is not None and not memory.text:
            return memory.vector
        return self._embedder.embed([masked])[0]

    def _masked(self, memory: Memory) -> str:
        return self._redactor.redact(memory.text, memory.label.subjects)

    def _pseudonym(self, memory: Memory, destination: str) -> str:
        named = "\n".join([destination, memory.label.tenant, memory.id]).encode()
        return hmac.digest(self._key, named, "sha256").hex()[:32]


def _closeness(one: Vector, other: Vector) -> float:
    """The cosine of two unit vectors as a score in [0, 1]; 0 where they are of different kinds."""
    if len(one) != len(other):
        return 0.0
    pairs = zip(*(struct.unpack(f"<{len(part) // 4}f", part) for part in (one, other)), strict=True)
    cosine = sum(float(left) * float(right) for left, right in pairs)
    return min(max(cosine, 0.0), 1.0)


def _best_first(item: Shown) -> tuple[float, str]:
    """Equals in full keep the order they were found in; masked ones stand by their pseudonyms, for
    that order would tell of the texts as they are.
    """
    return -(item.score or 0.0), "" if item.form is Form.FULL else item.id


def _bare_facts(memory: Memory) -> dict[str, Any]:
    origin = memory.leased
    lease = {"leased_from": origin.origin, "lease": origin.lease} if origin else {}
    return {"memory_type": str(memory.memory_type), **lease}


def _all_facts(memory: Memory) -> dict[str, Any]:
    return {
        **_bare_facts(memory),
        "subjects": list(memory.label.subjects),
        "metadata": dict(memory.metadata),
        "created_at": memory.created_at.isoformat(),
        "valid_at": memory.valid_at.isoformat() if memory.valid_at else None,
        "expires_at": expires.isoformat() if (expires := memory.label.expires_at) else None,
    }
