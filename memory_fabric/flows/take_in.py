"""Taking a package in: verified, decided class by class, sealed into this site's own stack.

All of it or nothing is written, and a package that is refused leaves a receipt with its error.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from memory_fabric.core.access import BUILDABLE, Act, Form, Requester, Role, Rule
from memory_fabric.core.errors import EmbedderMismatch, InputError, IntegrityViolated
from memory_fabric.core.labels import ClassState, Label
from memory_fabric.core.lease import LeasedRow, LeaseState, Manifest, PackedRow, Terms
from memory_fabric.core.memory import MAX_TEXT, Leased, Memory, MemoryType
from memory_fabric.core.places import Site
from memory_fabric.core.receipt import Outcome
from memory_fabric.flows.export import lease_of
from memory_fabric.flows.leases import drop_expired
from memory_fabric.flows.node import Node, accountable, plans_json, recorded
from memory_fabric.flows.opening import pen
from memory_fabric.flows.storing import Storing, make_room, store
from memory_fabric.gate.gate import Ask
from memory_fabric.gate.permits import Shown, release
from memory_fabric.vault.letters import Letter
from memory_fabric.vault.packages import Package

_NOBODY = Requester("package", "", Role.APP)


@dataclass(frozen=True)
class TakenIn:
    """What came of a package.

    Attributes:
        package: its id.
        sender: who exported it.
        rows: rows that are kept here now.
        leases: ids of the leases that they belong to.
        withheld: the rules by which the rest was not taken in.
        receipt: of this site.
    """

    package: str
    sender: Site
    rows: int
    leases: tuple[str, ...]
    withheld: tuple[Rule, ...]
    receipt: str


def take_in(node: Node, data: bytes) -> TakenIn:
    """Verify a package and keep what policy lets in.

    Raises:
        InputError: ``package-not-for-us``, ``package-signer-unknown``, ``package-expired``,
            ``package-malformed``.
        IntegrityViolated: ``package-forged``, ``package-replayed``.
        EmbedderMismatch: ``embedder-mismatch``.
    """
    return _taken(node, data)[0]


def answer_package(node: Node, data: bytes) -> bytes:
    """Take in a package that its sender delivers, and answer with a letter.

    Raises:
        MemoryFabricError: those of ``take_in``; they are recorded here, and nothing is answered.
    """
    taken, package = _taken(node, data)
    committed = node.commit(
        "take-in-confirmed", _sender(package.sender, package.manifest.tenant), Outcome.DONE,
        request={"destination": package.sender.site_id}, facts={"package": taken.package},
    )  # fmt: skip
    body = {"kind": "taken", "leases": list(taken.leases), "receipt": taken.receipt}
    asked = Letter(taken.package, package.sender, node.clock.now(), {})
    return node.letters.seal(release([], committed), body, to=package.sender, reply_to=asked).sealed


def _taken(node: Node, data: bytes) -> tuple[TakenIn, Package]:
    drop_expired(node)
    with accountable(node, str(Act.TAKE_IN), _NOBODY):
        package = node.packages.open(data)
        with pen(node):
            _check(node, package)
            return _store(node, package), package


def _check(node: Node, package: Package) -> None:
    """Everything about a package that does not depend on policy."""
    manifest, sender = package.manifest, package.sender
    known = node.ledger.leases(origin=sender.site_id, destination=node.me.site_id)
    seen = {lease.package for lease in known} | {lease.id for lease in known}
    numbers = {lease.sequence for lease in known}
    if {manifest.package, *(item.lease for item in manifest.leases)} & seen or (
        manifest.sequence in numbers
    ):
        raise IntegrityViolated(
            "package-replayed",
            "The package was here before.",
            "Nothing was taken in again; what it held stands under its leases.",
            {"damaged": ["package"]},
        )
    if manifest.embedder != node.embedder.id or any(
        row.embedder != manifest.embedder for row in package.rows
    ):
        raise EmbedderMismatch(
            "embedder-mismatch",
            "The package was made with another embedder than this site's.",
            "Let both sites use the same embedder.",
        )
    if not {manifest.tenant} <= (sender.tenants & node.me.tenants):
        raise _malformed()
    leases = {item.lease: item for item in manifest.leases}
    ids = {row.id for row in package.rows}
    if len(ids) != len(package.rows) or len(leases) != len(manifest.leases):
        raise _malformed()
    for item in manifest.leases:
        own = [row for row in package.rows if row.lease == item.lease]
        if (
            len(own) != item.rows
            or item.expires_at > manifest.expires_at
            or item.form not in BUILDABLE
            or (item.label_class.tenant, item.label_class.home) != (manifest.tenant, sender.region)
            or any(not _fits(node, row, item) for row in own)
        ):
            raise _malformed()
    if any(row.lease not in leases for row in package.rows):
        raise _malformed()


def _fits(node: Node, row: PackedRow, terms: Terms) -> bool:
    """Whether a row is what its lease says, and holds what its form carries and nothing more."""
    if (row.form, dict(row.label_class)) != (str(terms.form), terms.label_class.to_json()):
        return False
    if row.memory_type not in list(MemoryType) or len(row.id) != 32:
        return False
    if terms.form is not Form.VECTORS_ONLY:
        return row.vector is None and row.text is not None and 0 < len(row.text) <= 2 * MAX_TEXT
    if row.text is not None or row.vector is None or len(row.vector) != 4 * node.embedder.dim:
        return False
    numbers = struct.unpack(f"<{node.embedder.dim}f", row.vector)
    return all(math.isfinite(number) for number in numbers)


def _store(node: Node, package: Package) -> TakenIn:
    """Decide for each class, seal what may come in, and record it with its leases."""
    manifest, sender = package.manifest, package.sender
    requester = _sender(sender, manifest.tenant)
    terms = {item.lease: item for item in manifest.leases}
    ask = Ask(Act.TAKE_IN, requester, manifest.purpose, sender, node.me)
    decisions = node.gate.decide(ask, [ClassState(item.label_class) for item in manifest.leases])
    permit = node.gate.permit(ask, decisions, None)
    offered = [_shown(row, terms[row.lease]) for row in package.rows]
    data = node.vault.take_in(permit, offered, node.clock.now())
    lease_of_row = {row.id: terms[row.lease] for row in package.rows}
    memories = _memories(node, manifest, data.items, [lease_of_row[item.id] for item in data.items])
    make_room(node, memories)
    sealed = node.vault.seal(memories)
    refused = decisions.refusing
    rows: dict[str, list[LeasedRow]] = {item.lease: [] for item in manifest.leases}
    for record, item in zip(sealed, data.items, strict=True):
        rows[lease_of_row[item.id].lease].append(
            LeasedRow(item.id, record.rid, record.version, LeaseState.HELD)
        )
    leases = [lease_of(manifest, item, rows[item.lease]) for item in manifest.leases]
    (committed,) = store(
        node,
        Storing(
            str(Act.TAKE_IN),
            requester,
            list(zip(sealed, memories, strict=True)),
            request={
                "purpose": manifest.purpose,
                "origin": sender.site_id,
                "destination": node.me.site_id,
                "plans": plans_json(node),
            },
            decisions=recorded(node, ask, decisions),
            facts={
                "package": manifest.package,
                "manifest": manifest.digest,
                "sequence": manifest.sequence,
                "previous": manifest.previous,
                "rows": len(memories),
            },
            leases=leases,
        ),
    )
    kept = tuple(lease.id for lease in leases if lease.rows)
    return TakenIn(manifest.package, sender, len(memories), kept, refused, committed.receipt.id)


def _memories(
    node: Node, manifest: Manifest, items: Sequence[Shown], terms: Sequence[Terms]
) -> list[Memory]:
    """Leased memories: under their label and home region, without subjects, until the lease ends.

    The vector of a text that came along is made here, by the same embedder.
    """
    texts = [item.memory for item in items if item.memory is not None]
    vectors = iter(node.embedder.embed(texts) if texts else [])
    now = node.clock.now()
    return [
        Memory(
            id=item.id,
            text=item.memory or "",
            vector=item.vector if item.vector is not None else next(vectors),
            embedder=node.embedder.id,
            label=Label(
                home=item.label_class.home,
                tenant=item.label_class.tenant,
                data_class=item.label_class.data_class,
                personal=item.label_class.personal,
                purposes=item.label_class.purposes,
                special=item.label_class.special,
                consent=item.label_class.consent,
                legal_hold=item.label_class.legal_hold,
                expires_at=lease.expires_at,
            ),
            memory_type=MemoryType(item.facts["memory_type"]),
            created_at=now,
            leased=Leased(manifest.origin, lease.lease, item.id, str(lease.form)),
        )
        for item, lease in zip(items, terms, strict=True)
    ]


def _shown(row: PackedRow, terms: Terms) -> Shown:
    return Shown(
        id=row.id,
        form=terms.form,
        label_class=terms.label_class,
        memory=row.text,
        vector=row.vector,
        embedder=row.embedder,
        score=None,
        rules=terms.rules,
        facts={"memory_type": row.memory_type},
    )


def _sender(site: Site, tenant: str) -> Requester:
    return Requester(f"site:{site.site_id}", tenant, Role.APP)


def _malformed() -> InputError:
    return InputError(
        "package-malformed",
        "The package's seal is right, and its content is not what its manifest says.",
        "Nothing was taken in; bring both sites to the same version of Memory Fabric.",
    )
