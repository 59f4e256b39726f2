"""Recall of what lies here on a lease: found here, its text fetched from its home by permit.

Leased rows carry no subjects, so they are found only by a recall across subjects. The question
itself stays here: home is told which rows are wanted, and decides on each of them anew.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from memory_fabric.core.access import Act, Form
from memory_fabric.core.errors import MemoryFabricError
from memory_fabric.core.lease import LeaseState
from memory_fabric.core.memory import Leased
from memory_fabric.core.places import Site
from memory_fabric.core.receipt import Outcome
from memory_fabric.core.records import Hit, Scope
from memory_fabric.flows import reading
from memory_fabric.flows.asking import Gathered, Outgoing, Query, consult, take_in
from memory_fabric.flows.leases import drop_expired
from memory_fabric.flows.messages import answer_body, answer_from, malformed, neighbour
from memory_fabric.flows.node import Node, count_forms, plans_json, recorded
from memory_fabric.flows.opening import fetched
from memory_fabric.gate.decisions import Decisions
from memory_fabric.gate.gate import Ask
from memory_fabric.gate.permits import release
from memory_fabric.vault.letters import Letter

MAX_FETCH = 1000
"""Rows of one fetch at most."""

_NOTICE = "Fetch of leased rows."


def recall_leased(node: Node, outgoing: Outgoing, gathered: Gathered) -> None:
    """Add what lies here on a lease, save from sites that answered by themselves."""
    drop_expired(node)
    if outgoing.subject is not None or not len(node.leased):
        return
    ask = Ask(Act.RECALL, outgoing.requester, outgoing.purpose, node.me, node.me)
    present = node.leased.states(outgoing.requester.tenant, node.clock.now())
    states = [state for state in present if outgoing.purpose in state.label_class.purposes]
    decisions = node.gate.decide(ask, states)
    filters = outgoing.query.filters
    scope = reading.scope_of(node, ask, decisions, None, filters)
    hits = _hits(node, outgoing, scope, gathered.receipts) if scope.states else []
    texts = _fetch_texts(node, outgoing, hits, gathered)
    shown = [hit for hit, leased in hits if leased.row not in texts]
    permit = node.gate.permit(ask, decisions, None)
    scores = {hit.rid: hit.score for hit in shown}
    records = fetched(node, [hit.rid for hit in shown])
    opened = node.vault.open(permit, records, scores, now=node.clock.now())
    data = node.duties.discharge(opened)
    gathered.parts.append(data)
    # Whoever asks may read the receipt, and the other classes tell what lies here.
    noted = reading.Reading(decisions, Decisions({}), data).noted
    gathered.decisions += recorded(node, ask, *noted)


def _hits(
    node: Node, outgoing: Outgoing, scope: Scope, answered: Collection[str]
) -> list[tuple[Hit, Leased]]:
    """Leased rows that fit the question; a home that answered knows its own rows better."""
    query = outgoing.query
    limit = query.top_k + sum(site in answered for site in node.roster.sites) * len(node.leased)
    found = []
    for hit in node.leased.search(outgoing.text, outgoing.vector, scope, limit):
        row = node.leased.row(hit.rid)
        if row is None or row.leased is None or row.leased.origin in answered:
            continue
        if hit.score >= query.filters.threshold:
            found.append((hit, row.leased))
    return found[: query.top_k]


def _fetch_texts(
    node: Node, outgoing: Outgoing, hits: Sequence[tuple[Hit, Leased]], gathered: Gathered
) -> set[str]:
    """Ask each home for the texts of rows that came without; the rows that it released."""
    wanted: dict[str, dict[str, Hit]] = {}
    for hit, leased in hits:
        if leased.form == Form.VECTORS_ONLY and leased.origin in node.roster.sites:
            wanted.setdefault(leased.origin, {})[leased.row] = hit
    got: set[str] = set()
    for site_id, rows in wanted.items():
        try:
            got |= _fetch(node, outgoing, node.roster[site_id], rows, gathered)
        except MemoryFabricError as error:
            gathered.unreachable[site_id] = error.code
    return got


def _fetch(
    node: Node, outgoing: Outgoing, site: Site, rows: Mapping[str, Hit], gathered: Gathered
) -> set[str]:
    notice = Query(_NOTICE, outgoing.purpose, all_subjects=True)
    vector = node.embedder.embed([_NOTICE])[0]
    asking = Outgoing(outgoing.requester, outgoing.purpose, None, _NOTICE, vector, notice)
    header = {
        "kind": "fetch",
        "tenant": outgoing.requester.tenant,
        "purpose": outgoing.purpose,
        "rows": sorted(rows),
    }
    replies = consult(node, asking, [site], lambda: header)
    gathered.withheld += replies.withheld
    gathered.unreachable |= replies.unreachable
    got: set[str] = set()
    for letter in replies.letters:
        reply = answer_from(letter.body, len(rows))
        names = letter.body.get("rows", [])
        if not isinstance(names, list) or len(names) != len(reply.items):
            raise malformed()
        if not all(isinstance(name, str) and name in rows for name in names):
            raise malformed()
        items = [
            replace(item, id=name, score=rows[name].score, facts={**item.facts, "row": name})
            for name, item in zip(names, reply.items, strict=True)
        ]
        take_in(node, asking, site, replace(reply, items=items), gathered)
        got |= {item.id for item in gathered.parts[-1].items}
    return got


def fetch_for(node: Node, letter: Letter) -> bytes:
    """Answer a site that has rows of this one on a lease: the decision is taken anew."""
    try:
        purpose = str(letter.body["purpose"])
        asker = neighbour(letter.sender.site_id, letter.body)
        wanted = dict.fromkeys(str(name) for name in letter.body["rows"][:MAX_FETCH])
    except (KeyError, TypeError):
        raise malformed() from None
    if asker.tenant not in letter.sender.tenants:
        raise malformed()
    node.check_purpose(purpose, asker)
    now = node.clock.now()
    leased = {
        row.rid: row.id
        for lease in node.ledger.leases(origin=node.me.site_id, destination=letter.sender.site_id)
        if lease.tenant == asker.tenant and now < lease.expires_at
        for row in lease.rows
        if row.id in wanted and row.state in (LeaseState.SENT, LeaseState.HELD)
    }
    ask = Ask(Act.RECALL, asker, purpose, node.me, letter.sender)
    decisions, declared = reading.decide(node, ask)
    permit = node.gate.permit(ask, decisions, None)
    opened = node.vault.open(permit, fetched(node, list(leased)), now=now)
    data = node.duties.discharge(opened)
    names = {row.memory_id: name for rid, name in leased.items() if (row := node.copy.row(rid))}
    rows = [names[memory_id] for memory_id in reading.shown_ids(opened, data)]
    found = reading.Reading(decisions, declared, data, declared.refusing)
    refused = bool(found.withheld) and not found.allowed
    committed = node.commit(
        "recall",
        asker,
        Outcome.DENIED if refused
        else Outcome.PARTLY_WITHHELD if found.withheld else Outcome.DONE,
        request={
            "purpose": purpose,
            "origin": node.me.site_id,
            "destination": letter.sender.site_id,
            "plans": plans_json(node),
            "subjects": "all",
        },
        decisions=recorded(node, ask, *found.noted),
        facts={
            "forms": count_forms(item.form for item in found.data.items),
            "letter": letter.id,
            "fetched": len(rows),
        },
    )  # fmt: skip
    offered = [state.label_class for state, grant in declared.items() if grant.allowed]
    body = {**answer_body(offered, found.withheld, committed.receipt.id), "rows": rows}
    return node.letters.seal(
        release([found.data], committed), body, to=letter.sender, reply_to=letter
    ).sealed
