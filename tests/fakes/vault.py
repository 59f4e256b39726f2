"""A vault over fakes, memories to put into it, and permits to open it with."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from memory_fabric.core.access import Act, Decision, Form, Plan
from memory_fabric.core.labels import ClassState, Consent, DataClass, Label
from memory_fabric.core.memory import Memory, MemoryType
from memory_fabric.core.places import Region
from memory_fabric.core.records import SealedRecord
from memory_fabric.gate.permits import Mint, Opened, Permit
from memory_fabric.vault.keyring import Keyring
from memory_fabric.vault.vault import Vault
from tests.fakes.clock import ManualClock
from tests.fakes.keystore import ROOT, MemoryKeyStore, MemoryRootKeys

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(seconds=5)
VECTOR = struct.pack("<4f", 0.5, -0.5, 0.5, -0.5)
FULL = Decision(True, Form.FULL, Plan(), ())


def a_label(*subjects: str, tenant: str = "acme", **fields: Any) -> Label:
    known: dict[str, Any] = {
        "home": Region("DE"),
        "data_class": DataClass.CONFIDENTIAL,
        "personal": bool(subjects),
        "purposes": frozenset({"care"}),
        "consent": Consent.GIVEN,
    }
    return Label(tenant=tenant, subjects=subjects, **{**known, **fields})


def a_memory(*subjects: str, text: str = "tea at four", name: str = "m-1", **fields: Any) -> Memory:
    return Memory(
        id=name,
        text=text,
        vector=VECTOR,
        embedder="e" * 64,
        label=a_label(*subjects, **fields),
        memory_type=MemoryType.EPISODIC,
        created_at=NOON,
        metadata={"source": "visit", "weight": 0.25},
    )


class Bench:
    """A vault with its keyring, store, root keys, clock and mint at hand."""

    def __init__(self, site_id: str = "fra-1") -> None:
        self.store = MemoryKeyStore()
        self.roots = MemoryRootKeys()
        self.clock = ManualClock(NOON)
        self.mint = Mint()
        self.site_id = site_id
        self.keyring = Keyring.create(self.store, self.roots, ROOT, site_id, self.clock)
        self.vault = Vault(self.keyring, self.mint)

    def reopen(self) -> None:
        """The same site in another process."""
        self.keyring = Keyring.open(self.store, self.roots, self.site_id, self.clock)
        self.vault = Vault(self.keyring, self.mint)

    def permit(
        self,
        *granted: Label | ClassState,
        act: Act = Act.RECALL,
        tenant: str = "acme",
        subject: str | None = None,
        destination: str = "lon-1",
    ) -> Permit:
        states = [item if isinstance(item, ClassState) else item.state(NOON) for item in granted]
        return self.mint.strike(
            act=act,
            origin=self.site_id,
            tenant=tenant,
            purpose="care",
            subject=subject,
            destination=destination,
            grants=dict.fromkeys(states, FULL),
            now=NOON,
        )

    def open(self, records: Iterable[SealedRecord], *granted: Label, **scope: Any) -> Opened:
        return self.vault.open(self.permit(*granted, **scope), list(records), now=LATER)

    def erase(self, subject: str, tenant: str = "acme") -> int:
        permit = self.permit(act=Act.ERASE, tenant=tenant, subject=subject)
        return self.vault.destroy(permit, self.vault.key_ids(tenant, subject), LATER)
