"""Every error of Memory Fabric: a stable code, what happened, what to do.

An error knows how each face shows it: the exit code of the command line, the HTTP status, and
an RFC 9457 problem document that a client turns back into the same error.

* MemoryFabricError
  x InputError            exit 2, the caller can mend it (text, vector, label, region, scope ...)
    + DuplicateId
    + ClassUndeclared
  x NotFound              exit 1
  x Unauthenticated       exit 2
  x NotGranted            exit 2, the key is not bound to this tenant, purpose or role
  x Denied                exit 3, policy refused; carries the rules and the receipt
  x PolicyInvalid         exit 4, the rules cannot be used
  x IntegrityViolated     exit 5, a sealed file or the ledger was changed
  x HomeError             exit 1, the home is missing, busy, half-created, foreign, wrongly keyed
  x EmbedderMismatch      exit 1
  x Unavailable           exit 1, a site or a part is out of reach

Texts of errors never quote a memory, a query or a subject.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self


class MemoryFabricError(Exception):
    """Base of all errors.

    Args:
        code: stable, kebab-case, documented in ``docs/reference/errors.md``.
        what: one sentence, what happened. Never holds memory or query text.
        do: one sentence, what to do about it.
        details: further facts for machines, JSON-ready.
    """

    exit_code: ClassVar[int] = 1
    http_status: ClassVar[int] = 500

    def __init__(
        self, code: str, what: str, do: str = "", details: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(f"{what} {do}".strip())
        self.code = code
        self.what = what
        self.do = do
        self.details: dict[str, Any] = dict(details or {})

    def again(self) -> Self:
        """An equal error, for another caller to raise: each adds its own receipt to it."""
        return type(self)(self.code, self.what, self.do, self.details)

    def problem(self) -> dict[str, Any]:
        """The error as an RFC 9457 problem document."""
        return {
            "type": f"urn:memory-fabric:error:{self.code}",
            "title": self.what,
            "status": self.http_status,
            "detail": self.do,
            "code": self.code,
            "exit_code": self.exit_code,
            **self.details,
        }


class InputError(MemoryFabricError):
    """The caller sent something that cannot be taken as it is."""

    exit_code = 2
    http_status = 422


class DuplicateId(InputError):
    """A memory with this id exists already."""

    http_status = 409


class ClassUndeclared(InputError):
    """The memory's label class is not among the classes that the tenant declared."""


class NotFound(MemoryFabricError):
    """There is no such thing within the caller's scope."""

    http_status = 404


class Unauthenticated(MemoryFabricError):
    """No key, or a key that is not known here."""

    exit_code = 2
    http_status = 401


class NotGranted(MemoryFabricError):
    """The key is valid, and not bound to this tenant, purpose, role or grant."""

    exit_code = 2
    http_status = 403


class Denied(MemoryFabricError):
    """Policy refused. ``details`` holds ``rules`` (id, title, basis) and ``receipt``."""

    exit_code = 3
    http_status = 403

    @classmethod
    def by_rules(cls, what: str, rules: Sequence[Mapping[str, str]], receipt: str) -> Denied:
        """A refusal that names its rules and the receipt that records it."""
        return cls(
            "denied-by-policy",
            what,
            f"See the rules named here; the decision is recorded as receipt {receipt}.",
            {"rules": [dict(rule) for rule in rules], "receipt": receipt},
        )


class PolicyInvalid(MemoryFabricError):
    """The policy bundle cannot be used. ``details['findings']`` lists what is wrong, by line."""

    exit_code = 4
    http_status = 503


class IntegrityViolated(MemoryFabricError):
    """A sealed file or the ledger is not what was written. ``details['damaged']`` names it."""

    exit_code = 5


class HomeError(MemoryFabricError):
    """The home cannot be opened."""

    http_status = 503


class EmbedderMismatch(MemoryFabricError):
    """Vectors of different embedders met: neighbours would be wrong."""

    http_status = 409


class Unavailable(MemoryFabricError):
    """A site, a socket or an optional part is not there."""

    http_status = 503


_KINDS: tuple[type[MemoryFabricError], ...] = (
    InputError, DuplicateId, ClassUndeclared, NotFound, Unauthenticated, NotGranted, Denied,
    PolicyInvalid, IntegrityViolated, HomeError, EmbedderMismatch, Unavailable,
)  # fmt: skip
_FRAME = {"type", "title", "status", "detail", "code", "exit_code"}


def from_problem(problem: Mapping[str, Any]) -> MemoryFabricError:
    """The error that a problem document describes, so that a served home fails as an opened one."""
    kind = next(
        (
            kind
            for kind in _KINDS
            if kind.http_status == problem.get("status")
            and kind.exit_code == problem.get("exit_code")
        ),
        MemoryFabricError,
    )
    details = {key: value for key, value in problem.items() if key not in _FRAME}
    return kind(
        str(problem.get("code", "unknown")),
        str(problem.get("title", "")),
        str(problem.get("detail", "")),
        details,
    )
