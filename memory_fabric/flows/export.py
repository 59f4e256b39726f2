"""Export: what policy lets go to another site goes there in one package a batch, on a lease.

Each package is decided, opened by permit, cut down to its forms, recorded and only then sealed.
So an interrupted export leaves whole packages behind, and the next run goes on after them.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from memory_fabric.core.access import BUILDABLE, Act, Decision, Form, Requester, Rule
from memory_fabric.core.errors import EmbedderMismatch, InputError, Unavailable
from memory_fabric.core.labels import ClassState, LabelClass
from memory_fabric.core.lease import Lease, LeasedRow, LeaseState, Manifest, Terms
from memory_fabric.core.places import Site
from memory_fabric.core.receipt import Outcome
from memory_fabric.core.records import IndexRow, Scope
from memory_fabric.flows import reading
from memory_fabric.flows.leases import Settled, move, sweep
from memory_fabric.flows.messages import malformed
from memory_fabric.flows.node import Node, count_forms, plans_json, recorded
from memory_fabric.flows.opening import fetched
from memory_fabric.gate.decisions import Decisions
from memory_fabric.gate.gate import Ask, denied
from memory_fabric.gate.permits import Discharged, release
from memory_fabric.vault.letters import SealedLetter

BATCH = 500
"""Memories in one package at most."""

Progress = Callable[[int, int], None]
Write = Callable[[bytes], None]
"""Takes a package and returns when it is on stable storage."""


@dataclass(frozen=True)
class Exported:
    """What an export did.

    Attributes:
        packages: ids, in order.
        rows: rows by label class and form.
        unredacted: memories kept back since their text could not be redacted.
        decisions: on every declared class.
        withheld: the rules behind every refusal.
        receipts: of this site, one a package.
        settled: what was asked back before, since it was due.
    """

    packages: tuple[str, ...]
    rows: dict[tuple[LabelClass, Form], int]
    unredacted: int
    decisions: Decisions
    withheld: tuple[Rule, ...]
    receipts: tuple[str, ...]
    settled: Settled


@dataclass(frozen=True)
class Pending:
    """What could go to a site now: decisions, and the memories that are not there yet."""

    ask: Ask
    decisions: Decisions
    declared: Decisions
    rows: list[IndexRow]


def pending(
    node: Node, requester: Requester, site_id: str, purpose: str | None, form: Form | None = None
) -> Pending:
    """Decide for each label class, and list the memories that are to go and did not go yet.

    Args:
        form: only classes that are granted in exactly this form.

    Raises:
        InputError: ``export-to-itself``, ``purpose-missing`` ...
        NotFound: ``site-unknown``.
        NotGranted: ``all-subjects-not-granted``.
        EmbedderMismatch: ``embedder-mismatch``: the site could not search these vectors.
        Unavailable: ``form-not-available``.
    """
    checked = node.check_purpose(purpose, requester)
    node.check_scope(None, True, requester)
    if form is not None and form not in BUILDABLE:
        raise Unavailable(
            "form-not-available",
            f"This version does not export {form}: how much it gives away is not measured yet.",
            f"Ask for one of {', '.join(sorted(BUILDABLE))}.",
        )
    site = node.roster[site_id]
    if site.site_id == node.me.site_id:
        raise InputError("export-to-itself", "That is this site.", "Name another site.")
    if site.embedder != node.embedder.id:
        raise EmbedderMismatch(
            "embedder-mismatch",
            "The other site uses another embedder: it could not search these vectors.",
            "Let both sites use the same embedder.",
        )
    ask = Ask(Act.EXPORT, requester, checked, node.me, site)
    decisions, declared = reading.decide(node, ask)
    wanted = Decisions(
        {
            state: decision
            for state, decision in decisions.granted.items()
            if form in (None, decision.form)
        },
        decisions.since,
    )
    return Pending(ask, wanted, declared, _not_there_yet(node, ask, wanted))


def export(
    node: Node,
    requester: Requester,
    site_id: str,
    purpose: str | None,
    *,
    form: Form | None = None,
    write: Write | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Export what is not at a site yet, package by package.

    Args:
        form: only classes that are granted in exactly this form.
        write: takes the packages; where left out they are delivered to the site.
        progress: told of memories done and memories in all.

    Raises:
        Denied: policy permits no declared class to go there.
        Unavailable: ``site-unreachable``; what arrived before stays, the next run goes on.
    """
    with node.exporting:
        settled = sweep(node)
        _end_unconfirmed(node, requester, site_id)
        plan = pending(node, requester, site_id, purpose, form)
        exported = Exported((), {}, 0, plan.declared, plan.declared.refusing, (), settled)
        if not any(decision.allowed for decision in plan.decisions.values()) or not plan.rows:
            return _nothing(node, plan, exported)
        for start in range(0, len(plan.rows), BATCH):
            batch = plan.rows[start : start + BATCH]
            exported = _package(node, plan, batch, exported, write)
            if progress:
                progress(start + len(batch), len(plan.rows))
    return exported


def _nothing(node: Node, plan: Pending, exported: Exported) -> Exported:
    """Record that nothing left; a refusal of everything is an error."""
    refused = not any(decision.allowed for decision in plan.declared.values())
    committed = node.commit(
        "export", plan.ask.requester, Outcome.DENIED if refused else Outcome.DONE,
        request=_request(node, plan.ask),
        decisions=recorded(node, plan.ask, plan.declared),
        facts={"rows": 0},
    )  # fmt: skip
    if refused:
        raise denied("Policy permits no part of this export.", plan.declared, committed.receipt.id)
    return replace(exported, receipts=(committed.receipt.id,))


def _package(
    node: Node, plan: Pending, batch: Sequence[IndexRow], so_far: Exported, write: Write | None
) -> Exported:
    """Open, discharge, record, seal and deliver one batch."""
    ask, now = plan.ask, node.clock.now()
    site = ask.destination
    permit = node.gate.permit(ask, plan.decisions, None)
    records = {record.rid: record for record in fetched(node, [row.rid for row in batch])}
    opened = node.vault.open(permit, list(records.values()), now=now)
    data = node.duties.discharge(opened)
    rids = {row.memory_id: row.rid for row in batch}
    leaving = [records[rids[name]] for name in reading.shown_ids(opened, data)]
    package, names = secrets.token_hex(16), [secrets.token_hex(16) for _ in leaving]
    kinds = dict.fromkeys((item.label_class, item.form) for item in data.items)
    terms = {kind: _terms(kind, plan.decisions[ClassState(kind[0])], data, now) for kind in kinds}
    if not terms:
        return replace(so_far, unredacted=so_far.unredacted + len(data.withheld))
    sequence, previous = _chain(node, site)
    manifest = Manifest(
        package=package,
        origin=node.me.site_id,
        destination=site.site_id,
        tenant=permit.tenant,
        purpose=ask.purpose,
        embedder=node.embedder.id,
        bundle=node.gate.rulebook.digest,
        sequence=sequence,
        previous=previous,
        expires_at=max(item.expires_at for item in terms.values()),
        leases=tuple(terms.values()),
    )
    of_row = [terms[item.label_class, item.form] for item in data.items]
    leases = [
        lease_of(
            manifest,
            item,
            [
                LeasedRow(name, record.rid, record.version, LeaseState.SENT)
                for name, record, own in zip(names, leaving, of_row, strict=True)
                if own is item
            ],
        )
        for item in terms.values()
    ]
    held_back = plan.declared.refusing
    with node.writing:
        committed = node.commit(
            "export",
            ask.requester,
            Outcome.PARTLY_WITHHELD if held_back else Outcome.DONE,
            request=_request(node, ask),
            decisions=recorded(node, ask, plan.decisions),
            facts={
                "package": package,
                "manifest": manifest.digest,
                "sequence": sequence,
                "rows": len(data.items),
                "forms": count_forms(item.form for item in data.items),
            },
            leases=leases,
        )
    released = release([data], committed)
    sealed = node.packages.seal(released, manifest, list(zip(names, of_row, strict=True)), site)
    _deliver(node, ask, manifest, sealed, write)
    rows = dict(so_far.rows)
    for item in data.items:
        rows[item.label_class, item.form] = rows.get((item.label_class, item.form), 0) + 1
    return replace(
        so_far,
        packages=(*so_far.packages, package),
        rows=rows,
        unredacted=so_far.unredacted + len(data.withheld),
        receipts=(*so_far.receipts, committed.receipt.id),
    )


def _deliver(node: Node, ask: Ask, manifest: Manifest, sealed: bytes, write: Write | None) -> None:
    """Hand a package over, and note which of its leases are held from now on."""
    held = {terms.lease for terms in manifest.leases}
    facts = {"package": manifest.package}
    if write is not None:
        write(sealed)
    else:
        asked = SealedLetter(manifest.package, manifest.destination, b"")
        answer = node.letters.open(node.transport.exchange(ask.destination, sealed), reply_to=asked)
        try:
            held &= {str(lease) for lease in answer.body["leases"]}
            facts["receipt"] = str(answer.body["receipt"])
        except (KeyError, TypeError):
            raise malformed() from None

    def state(lease: Lease, row: LeasedRow) -> LeaseState:
        if lease.package != manifest.package or row.state is not LeaseState.SENT:
            return row.state
        return LeaseState.HELD if lease.id in held else LeaseState.ENDED

    request = {"destination": manifest.destination}
    move(node, "export-delivered", ask.requester, request, state, facts)


def lease_of(manifest: Manifest, terms: Terms, rows: Sequence[LeasedRow]) -> Lease:
    """The lease as either end keeps it."""
    return Lease(
        id=terms.lease,
        package=manifest.package,
        sequence=manifest.sequence,
        manifest=manifest.digest,
        origin=manifest.origin,
        destination=manifest.destination,
        tenant=manifest.tenant,
        purpose=manifest.purpose,
        label_class=terms.label_class,
        form=terms.form,
        plan=terms.plan,
        rules=terms.rules,
        expires_at=terms.expires_at,
        rows=tuple(rows),
    )


def _terms(
    kind: tuple[LabelClass, Form], decision: Decision, data: Discharged, now: datetime
) -> Terms:
    label_class, form = kind
    return Terms(
        lease=secrets.token_hex(12),
        label_class=label_class,
        form=form,
        plan=decision.plan,
        rules=tuple(rule.id for rule in decision.rules),
        expires_at=now + timedelta(hours=decision.plan.ttl_hours),
        rows=sum((item.label_class, item.form) == kind for item in data.items),
    )


def _chain(node: Node, site: Site) -> tuple[int, str]:
    """The next package's number towards a site, and the digest of the manifest before it."""
    given = node.ledger.leases(origin=node.me.site_id, destination=site.site_id)
    last = max(given, key=lambda lease: lease.sequence, default=None)
    return (last.sequence + 1, last.manifest) if last else (1, "")


def _end_unconfirmed(node: Node, requester: Requester, site_id: str) -> None:
    """Of a package that an interruption left without an answer, nobody knows whether it arrived:
    its rows are asked back, and go again.
    """
    move(
        node, "lease-recall", requester, {"reason": "unconfirmed"},
        lambda lease, row: LeaseState.ENDING
        if lease.destination == site_id and row.state is LeaseState.SENT else row.state,
    )  # fmt: skip


def _not_there_yet(node: Node, ask: Ask, decisions: Decisions) -> list[IndexRow]:
    """Memories within the granted classes that are not out on a lease in this version."""
    now = node.clock.now()
    given = node.ledger.leases(origin=node.me.site_id, destination=ask.destination.site_id)
    there = {
        (row.rid, row.version)
        for lease in given
        if now < lease.expires_at
        for row in lease.rows
        if row.state in (LeaseState.SENT, LeaseState.HELD)
    }
    scope = Scope(ask.requester.tenant, frozenset(decisions), None, now)
    found: list[IndexRow] = []
    after: bytes | None = None
    while rids := node.copy.page(scope, after, BATCH) if decisions else []:
        for rid in rids:
            row = node.copy.row(rid)
            if row is not None and (rid, node.versions.get(rid, 1)) not in there:
                found.append(row)
        after = rids[-1]
    return found


def _request(node: Node, ask: Ask) -> dict[str, object]:
    return {
        "purpose": ask.purpose,
        "origin": node.me.site_id,
        "destination": ask.destination.site_id,
        "plans": plans_json(node),
        "subjects": "all",
    }
