"""A running site as its flows see it, and the receipt that each of them writes."""

from __future__ import annotations

import secrets
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from memory_fabric.config import Settings
from memory_fabric.core.access import Form, Requester, Role
from memory_fabric.core.errors import Denied, InputError, MemoryFabricError, NotGranted
from memory_fabric.core.grouping import Group
from memory_fabric.core.labels import ClassState, Label, LabelClass
from memory_fabric.core.lease import Lease, lease_digests
from memory_fabric.core.ledger_ports import Ledger
from memory_fabric.core.memory import subject_name
from memory_fabric.core.model_ports import Embedder, Generator, Trainer
from memory_fabric.core.places import Roster, Site
from memory_fabric.core.ports import (
    Clock,
    SearchCopy,
    SnapshotStore,
    Stack,
    Transport,
    Witnessed,
)
from memory_fabric.core.receipt import Commit, Committed, Outcome, Receipt
from memory_fabric.core.records import CatalogChange
from memory_fabric.flows.awaiting import Awaited
from memory_fabric.flows.remains import Remains
from memory_fabric.flows.standing import Standing
from memory_fabric.gate.decisions import Decisions
from memory_fabric.gate.duties import Duties
from memory_fabric.gate.gate import Ask, Gate
from memory_fabric.vault.keyring import Keyring
from memory_fabric.vault.letters import Letters
from memory_fabric.vault.packages import Packages
from memory_fabric.vault.vault import Vault

GROUP_ROWS = 4096
"""Memories that callers at once may store in one act of stack and ledger."""


@dataclass
class Node:
    """Everything a flow works with. Built by ``wiring``; mutable only in ``settings``, ``roster``
    and ``gate``, which change together when the operator links sites or declares classes.

    ``writing`` serialises the acts that change stack, keyring, ledger and search copy together;
    ``opening.pen`` takes it. ``remembering`` lets those who remember at once share such an act.
    ``exporting`` lets one export run at a time. ``versions`` holds the
    version in force of each record that was changed since it was written. ``unsettled`` is true
    from the first step of such an act to its last: where it stays so, a disk was in the way.
    ``unscrubbed`` holds the erasures, by their receipts, whose bytes may still be on the disk.
    ``standing`` says how the snapshot on disk stands to the searchable copy.
    ``closing`` is set when the site is about to close: upkeep gives up what it is at.
    ``generator`` gives the language model, if there is one. ``awaited`` holds, by run and site,
    the training tasks that are out.

    ``copy`` holds the site's own memories and ``leased`` those that it has on a lease: only a
    recall that reaches beyond the site looks into the latter, and nothing else does.
    """

    settings: Settings
    me: Site
    roster: Roster
    gate: Gate
    vault: Vault
    keyring: Keyring
    stack: Stack
    copy: SearchCopy
    leased: SearchCopy
    ledger: Ledger
    snapshots: SnapshotStore
    witnessed: Witnessed
    embedder: Embedder
    duties: Duties
    letters: Letters
    packages: Packages
    transport: Transport
    trainer: Trainer
    clock: Clock
    purposes: tuple[str, ...]
    specials: tuple[str, ...]
    check_region: Callable[[str], object]
    generator: Callable[[], Generator | None] = lambda: None
    writing: threading.RLock = field(default_factory=threading.RLock)
    remembering: Group[Any, Any] = field(default_factory=lambda: Group(size=len, most=GROUP_ROWS))
    exporting: threading.Lock = field(default_factory=threading.Lock)
    versions: dict[bytes, int] = field(default_factory=dict)
    unsettled: bool = False
    unscrubbed: dict[str, Remains] = field(default_factory=dict)
    standing: Standing = field(default_factory=Standing)
    closing: threading.Event = field(default_factory=threading.Event)
    awaited: dict[tuple[str, str], Awaited] = field(default_factory=dict)

    def check_tenant(self, requester: Requester) -> str:
        """The one tenant a request is for, or ``tenant-missing``, ``tenant-unknown``."""
        return self.settings.tenant(requester.tenant or None).name

    def check_purpose(self, purpose: str | None, requester: Requester) -> str:
        """A purpose that the bundle knows and the requester's key is bound to.

        Raises:
            InputError: ``purpose-missing``, ``purpose-unknown``.
            NotGranted: ``purpose-not-granted``.
        """
        self.check_tenant(requester)
        if not purpose:
            raise InputError(
                "purpose-missing",
                "The request names no purpose.",
                f"Name one of {', '.join(self.purposes)}.",
            )
        if purpose not in self.purposes:
            raise InputError(
                "purpose-unknown",
                "The policy bundle knows no such purpose.",
                f"Name one of {', '.join(self.purposes)}.",
            )
        if requester.purposes and purpose not in requester.purposes:
            raise NotGranted(
                "purpose-not-granted",
                f"This key is not bound to the purpose {purpose!r}.",
                f"It may name {', '.join(sorted(requester.purposes))}.",
            )
        return purpose

    def check_scope(
        self, subject: str | None, all_subjects: bool, requester: Requester
    ) -> str | None:
        """The one subject asked about, or ``None`` for a granted question across subjects.

        Raises:
            InputError: ``scope-missing``, ``scope-ambiguous``.
            NotGranted: ``all-subjects-not-granted``.
        """
        if subject and all_subjects:
            raise InputError(
                "scope-ambiguous",
                "The request names a subject and asks across subjects.",
                "Choose one.",
            )
        if subject and subject.strip():
            return subject_name(subject)
        if not all_subjects:
            raise InputError(
                "scope-missing",
                "The request names no subject; that never means everybody.",
                "Name a subject, or ask across subjects with a key that is granted it.",
            )
        if not requester.all_subjects:
            raise NotGranted(
                "all-subjects-not-granted",
                "This key may not ask across subjects.",
                "Name one subject, or have the operator add a key with --all-subjects.",
            )
        return None

    def concerns(self, requester: Requester, label: Label) -> bool:
        """Whether a memory is any business of the requester: to an app that serves none of its
        purposes it does not exist, whatever is asked about it.
        """
        named = requester.role is not Role.APP or not requester.purposes
        return named or not requester.purposes.isdisjoint(label.purposes)

    def candidates(self, tenant: str, purpose: str) -> frozenset[ClassState]:
        """The class states a question of this tenant and purpose can be about: those declared,
        and those that a withdrawn consent, a hold or an ended retention made of them.
        """
        present = self.copy.states(tenant, self.clock.now())
        return _candidates(self.settings.states(tenant, purpose), present, purpose)

    def subject_scope(self, tenant: str, subject: str | None) -> dict[str, str]:
        """How a receipt names whom a request was about: a commitment, or all."""
        if subject is None:
            return {"subjects": "all"}
        return {"subject_commitment": self.keyring.commitment(tenant, subject)}

    def commit(
        self,
        act: str,
        requester: Requester,
        outcome: Outcome,
        *,
        request: Mapping[str, Any],
        decisions: Sequence[Mapping[str, Any]] = (),
        facts: Mapping[str, Any] | None = None,
        change: CatalogChange | None = None,
        leases: Sequence[Lease] = (),
    ) -> Committed:
        """Write the receipt of an act, durably, before anybody hears of its outcome."""
        return self.ledger.commit(
            *self.to_commit(
                act, requester, outcome, request=request, decisions=decisions, facts=facts,
                change=change, leases=leases,
            )
        )  # fmt: skip

    def to_commit(
        self,
        act: str,
        requester: Requester,
        outcome: Outcome,
        *,
        request: Mapping[str, Any],
        decisions: Sequence[Mapping[str, Any]] = (),
        facts: Mapping[str, Any] | None = None,
        change: CatalogChange | None = None,
        leases: Sequence[Lease] = (),
    ) -> Commit:
        """An act's receipt and all that it accounts for, ready to be committed."""
        rules = self.gate.rulebook
        receipt = Receipt(
            id=secrets.token_hex(12),
            at=self.clock.now(),
            site=self.me.site_id,
            act=act,
            outcome=outcome,
            request={
                "requester": {
                    "name": requester.name,
                    "tenant": requester.tenant,
                    "role": str(requester.role),
                },
                **request,
            },
            decisions=decisions,
            bundle=rules.digest,
            mandate=rules.mandate.to_json() if rules.mandate else {},
            roster=self.roster.digest,
            records_root=change.root if change else None,
            facts={**(facts or {}), **({"leases": lease_digests(leases)} if leases else {})},
        )
        return Commit(receipt, change, leases)


@contextmanager
def accountable(node: Node, act: str, requester: Requester) -> Iterator[None]:
    """Whatever goes wrong on the way to a release is a denial with a receipt.

    An unexpected error leaves as ``internal-error`` with its type and place only, since its text
    could quote what it failed on.
    """
    try:
        yield
    except Denied:
        raise
    except MemoryFabricError as error:
        committed = node.commit(
            act, requester, Outcome.DENIED, request={}, facts={"error": error.code}
        )
        error.details["receipt"] = committed.receipt.id
        raise
    except Exception as error:  # noqa: BLE001 - fail closed: whatever it is, nothing goes out
        place = traceback.extract_tb(error.__traceback__)[-1]
        facts = {"error": type(error).__name__, "place": f"{place.name}:{place.lineno}"}
        committed = node.commit(act, requester, Outcome.DENIED, request={}, facts=facts)
        raise MemoryFabricError(
            "internal-error",
            f"A {facts['error']} happened in {facts['place']}; nothing was released.",
            "Report it as a defect with the receipt.",
            {"receipt": committed.receipt.id},
        ) from None


@lru_cache(64)
def _candidates(
    declared: frozenset[ClassState], present: frozenset[ClassState], purpose: str
) -> frozenset[ClassState]:
    others = (state for state in present - declared if purpose in state.label_class.purposes)
    return declared.union(others)


def recorded(node: Node, ask: Ask, *decisions: Decisions) -> list[dict[str, Any]]:
    """Decisions as a receipt keeps them: class states that share an answer stand together.

    A declared class is named by its key, which the newest ``terms`` receipt before this one
    spells out; any other stands in full. ``as_of`` is the moment by which they were asked. So every
    question can be put to policy again (``replay``).
    """
    declared = node.settings.declared
    asked = ask.to_json()
    return [
        {
            **asked,
            **({"as_of": some.since.isoformat()} if some.since else {}),
            **({"break_glass": some.glass.to_json()} if some.glass else {}),
            **group,
        }
        for some in decisions
        for group in _told(some, declared)
    ]


@lru_cache(64)
def _told(decisions: Decisions, declared: frozenset[LabelClass]) -> list[dict[str, Any]]:
    return [
        {
            **decision.to_json(),
            "retention_over": over,
            "classes": sorted(item.key for item in classes if item in declared),
            "undeclared": [item.to_json() for item in classes if item not in declared],
        }
        for decision, over, classes in decisions.alike
    ]


def plans_json(node: Node) -> dict[str, Any]:
    """The configured plans, as receipts keep them."""
    return {str(form): plan.to_json() for form, plan in node.gate.plans.items()}


def count_forms(forms: Iterable[Form]) -> dict[str, int]:
    """How many items went out in which form."""
    counts: dict[str, int] = {}
    for form in forms:
        counts[str(form)] = counts.get(str(form), 0) + 1
    return counts
