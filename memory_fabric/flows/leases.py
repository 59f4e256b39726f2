"""Leases at both ends: what must come back is asked for, given up, and confirmed by a receipt.

The origin asks what of an export is still as it was when it left. Whatever was erased, relabelled,
is over its time, or is not granted any more by the rules in force is *ending* from then on, until
the importer has answered with a receipt of its own log. An importer out of reach is asked again
with every later act on leases. The importer drops what is over its time by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from memory_fabric.core.access import LADDER, Act, Requester, Role
from memory_fabric.core.canonical import canonical
from memory_fabric.core.errors import IntegrityViolated, MemoryFabricError, NotFound
from memory_fabric.core.labels import ClassState
from memory_fabric.core.lease import Lease, LeasedRow, LeaseState
from memory_fabric.core.merkle import leaf_hash, root_from_inclusion
from memory_fabric.core.places import Site
from memory_fabric.core.receipt import Checkpoint, Committed, Outcome, log_origin
from memory_fabric.core.records import CatalogChange
from memory_fabric.flows.messages import malformed
from memory_fabric.flows.node import Node
from memory_fabric.flows.opening import fetched, pen
from memory_fabric.flows.remains import remains_of
from memory_fabric.flows.snapshot import drop_snapshot
from memory_fabric.flows.storing import entry
from memory_fabric.flows.terms import ITSELF
from memory_fabric.gate.gate import Ask
from memory_fabric.gate.permits import release
from memory_fabric.vault.identity import verify_signature
from memory_fabric.vault.letters import Letter

_OUT = (LeaseState.SENT, LeaseState.HELD)

NextState = Callable[[Lease, LeasedRow], LeaseState]


@dataclass(frozen=True)
class Settled:
    """What asking for leases back came to.

    Attributes:
        ended: rows that importers gave up, by site.
        receipts: the importers' receipts, by site.
        unreachable: error codes of importers that did not answer; they are asked again.
    """

    ended: Mapping[str, int]
    receipts: Mapping[str, str]
    unreachable: Mapping[str, str]


NOTHING_ENDED = Settled({}, {}, {})
"""No lease was asked back."""


# --- at the origin --------------------------------------------------------------------------------


def recall_lease(node: Node, requester: Requester, lease_id: str) -> Settled:
    """End a lease that this site gave, before its time.

    Raises:
        NotFound: ``lease-unknown``.
    """
    given = node.ledger.leases(origin=node.me.site_id)
    if not any(lease.id == lease_id and lease.tenant == requester.tenant for lease in given):
        raise NotFound(
            "lease-unknown",
            "This site gave no such lease.",
            "`memory-fabric lease list` shows those it gave.",
        )
    move(
        node, "lease-recall", requester, {"lease": lease_id},
        lambda lease, row: _ending(row) if lease.id == lease_id else row.state,
    )  # fmt: skip
    return settle(node)


def sweep(node: Node) -> Settled:
    """End what is due, and ask every importer for what is ending."""
    mark_due(node)
    return settle(node)


def mark_due(node: Node) -> None:
    """Note what must come back: nothing is sent yet."""
    now = node.clock.now()
    granted: dict[str, bool] = {}

    def state(lease: Lease, row: LeasedRow) -> LeaseState:
        if row.state not in _OUT:
            return row.state
        if lease.id not in granted:
            granted[lease.id] = now < lease.expires_at and _granted(node, lease)
        known = node.copy.row(row.rid)
        as_it_left = (
            known is not None
            and node.versions.get(row.rid, 1) == row.version
            and known.label.state(now) == ClassState(lease.label_class)
        )
        return row.state if granted[lease.id] and as_it_left else LeaseState.ENDING

    move(node, "lease-recall", ITSELF, {"reason": "due"}, state)


def settle(node: Node) -> Settled:
    """Ask each importer to give up what is ending, and note what it confirmed."""
    ended: dict[str, int] = {}
    receipts: dict[str, str] = {}
    unreachable: dict[str, str] = {}
    given = node.ledger.leases(origin=node.me.site_id)
    for site_id in dict.fromkeys(lease.destination for lease in given):
        asked = set(ending_at(node, site_id))
        if not asked:
            continue
        try:
            receipt, root = _ask_back(node, node.roster[site_id], sorted(asked))
        except MemoryFabricError as error:
            unreachable[site_id] = error.code
            continue
        move(
            node, "lease-ended", ITSELF, {"destination": site_id},
            lambda lease, row: LeaseState.ENDED
            if row.id in asked and row.state is LeaseState.ENDING else row.state,  # noqa: B023
            facts={"receipt": receipt, "root": root, "rows": len(asked)},
        )  # fmt: skip
        ended[site_id], receipts[site_id] = len(asked), receipt
    return Settled(ended, receipts, unreachable)


def move(
    node: Node,
    act: str,
    requester: Requester,
    request: Mapping[str, Any],
    state: NextState,
    facts: Mapping[str, Any] | None = None,
) -> list[Lease]:
    """Change the states of rows that this site leased out, with one receipt; the changed leases."""
    with node.writing:
        changed = []
        for lease in node.ledger.leases(origin=node.me.site_id):
            new = lease.with_states(lambda row, lease=lease: state(lease, row))  # type: ignore[misc]
            if new != lease:
                changed.append(new)
        if changed:
            node.commit(act, requester, Outcome.DONE, request=request, facts=facts, leases=changed)
    return changed


def _ending(row: LeasedRow) -> LeaseState:
    return LeaseState.ENDING if row.state in _OUT else row.state


def _granted(node: Node, lease: Lease) -> bool:
    """Whether the rules in force still let the class go there in this form.

    While the rules are unusable or out of date nothing crosses, and nothing is concluded from it.
    """
    destination = node.roster.sites.get(lease.destination)
    if destination is None:
        return False
    if node.gate.rulebook.closed(node.clock.now()):
        return True
    asker = Requester("site", lease.tenant, Role.OPERATOR)
    state = ClassState(lease.label_class)
    ask = Ask(Act.EXPORT, asker, lease.purpose, node.me, destination)
    form = node.gate.decide(ask, [state])[state].form
    return form is not None and LADDER.index(form) <= LADDER.index(lease.form)


def ending_at(node: Node, site_id: str) -> list[str]:
    """Ids of the rows that a site is to give up."""
    given = node.ledger.leases(origin=node.me.site_id, destination=site_id)
    return [row.id for lease in given for row in lease.rows if row.state is LeaseState.ENDING]


def _ask_back(node: Node, site: Site, rows: Sequence[str]) -> tuple[str, str]:
    """Send a notice; the importer's receipt and the root of its log that covers it."""
    committed = node.commit(
        "lease-notice", ITSELF, Outcome.DONE,
        request={"destination": site.site_id, "rows": len(rows)},
    )  # fmt: skip
    body = {"kind": "lease-end", "rows": list(rows)}
    letter = node.letters.seal(release([], committed), body, to=site)
    answer = node.letters.open(node.transport.exchange(site, letter.sealed), reply_to=letter)
    return _proved(answer)


def _proved(letter: Letter) -> tuple[str, str]:
    """The receipt in an answer, proved to stand in the signed log of who answered."""
    try:
        body = letter.body
        if body["kind"] != "lease-ended":
            raise malformed()
        checkpoint = Checkpoint.from_json(body["checkpoint"])
        path = [bytes.fromhex(sibling) for sibling in body["path"]]
        leaf = leaf_hash(canonical(body["receipt"]))
        root = root_from_inclusion(leaf, int(body["index"]), checkpoint.size, path)
        receipt = str(body["receipt"]["id"])
    except (KeyError, TypeError, ValueError):
        raise malformed() from None
    signed = verify_signature(letter.sender.signing_key, checkpoint.body, checkpoint.signature)
    ours = checkpoint.origin == log_origin(letter.sender.site_id)
    if root != checkpoint.root or not signed or not ours:
        raise IntegrityViolated(
            "receipt-unproved",
            "Another site answered with a receipt that its log does not prove.",
            "The lease stays open; look at that site's log.",
            {"damaged": ["letter"]},
        )
    return receipt, checkpoint.root.hex()


# --- at the importer ------------------------------------------------------------------------------


def end_for(node: Node, letter: Letter) -> bytes:
    """Give up leased rows that their home asks back, and prove the receipt of it."""
    try:
        asked = {str(name) for name in letter.body["rows"]}
    except (KeyError, TypeError):
        raise malformed() from None
    origin = letter.sender.site_id
    committed = give_up(
        node,
        "lease-end",
        Requester(f"site:{origin}", "", Role.APP),
        {"origin": origin, "letter": letter.id},
        lambda lease, row: lease.origin == origin and row.id in asked,
    )
    proof = node.ledger.proof(committed.receipt.id)
    body = {
        "kind": "lease-ended",
        "receipt": committed.receipt.to_json(),
        "index": proof.index,
        "path": [sibling.hex() for sibling in proof.path],
        "checkpoint": proof.checkpoint.to_json(),
    }
    return node.letters.seal(release([], committed), body, to=letter.sender, reply_to=letter).sealed


def give_up(
    node: Node,
    act: str,
    requester: Requester,
    request: Mapping[str, Any],
    due: Callable[[Lease, LeasedRow], bool],
) -> Committed:
    """Remove leased rows from this site, with a receipt even where there are none left."""
    with pen(node):
        changed, rids = [], []
        for lease in _held(node):
            gone = {
                row.id for row in lease.rows if row.state is LeaseState.HELD and due(lease, row)
            }
            if gone:
                rids += [row.rid for row in lease.rows if row.id in gone]
                changed.append(
                    lease.with_states(
                        lambda row, gone=gone: LeaseState.ENDED if row.id in gone else row.state  # type: ignore[misc]
                    )
                )
        records = fetched(node, rids)
        committed = node.commit(
            act,
            requester,
            Outcome.DONE,
            request=request,
            facts={"rows": len(records)},
            change=CatalogChange(None, removed=[entry(item) for item in records]),
            leases=changed,
        )
        if records:
            node.unsettled = True
            node.leased.remove([record.rid for record in records])
            drop_snapshot(node)
            node.stack.remove([record.rid for record in records])
            node.unscrubbed |= remains_of(committed)
            node.unsettled = False
    return committed


def drop_expired(node: Node) -> int:
    """Remove rows whose lease is over; their number."""
    now = node.clock.now()
    if not len(node.leased) or not any(
        lease.expires_at <= now and lease.count(LeaseState.HELD) for lease in _held(node)
    ):
        return 0
    committed = give_up(
        node, "lease-expired", ITSELF, {}, lambda lease, row: lease.expires_at <= now
    )
    return int(committed.receipt.facts["rows"])


def _held(node: Node) -> list[Lease]:
    """Leases of other sites that this one has."""
    return node.ledger.leases(destination=node.me.site_id)
