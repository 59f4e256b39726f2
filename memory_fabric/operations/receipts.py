"""Operations on the log: receipts, proofs, checkpoints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from memory_fabric.core.access import Requester, Role
from memory_fabric.core.canonical import canonical
from memory_fabric.core.drafts import moment
from memory_fabric.core.errors import InputError, NotFound
from memory_fabric.core.ledger_ports import no_such_size
from memory_fabric.core.notes import ConsistencyProof, LogProof, VerifierKey, from_note, to_note
from memory_fabric.core.receipt import Checkpoint, Outcome, log_origin
from memory_fabric.core.receipt_search import Tally, Wanted
from memory_fabric.flows.node import Node
from memory_fabric.flows.witness import against
from memory_fabric.operations.shapes import Json
from memory_fabric.wiring import Home


def receipts_list(
    home: Home,
    requester: Requester,
    *,
    before: int | None = None,
    limit: int = 50,
    act: str | None = None,
    outcome: str | None = None,
    app: str | None = None,
    purpose: str | None = None,
    site: str | None = None,
    rule: str | None = None,
    text: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> Json:
    """Receipts, newest first. An app sees its tenant's, compliance also the site's own, operators
    see all.

    Args:
        before: only those with a smaller index; the last page's ``before`` gives the next one.
        limit: 1 to 500.
        act, outcome, app, purpose, site: exactly these; ``app`` is whoever asked.
        rule: the id of one that allowed or refused something.
        text: words that stand in names, rules or ids of theirs; no text of a memory or a query is
            in a receipt.
        since, until: moments such as ``2027-01-31T00:00:00Z``, from the first on and before the
            second.
    """
    wanted = Wanted(
        act, outcome, app, purpose, site, rule, text,
        moment(since, "since"), moment(until, "until"), _seen_by(requester),
    )  # fmt: skip
    limit = min(max(limit, 1), 500)
    before = None if before is None else min(max(before, 0), home.node.ledger.checkpoint().size)
    shown = [dict(item) for item in home.node.ledger.receipts(before, limit, wanted)]
    return {"receipts": shown, "before": shown[-1]["index"] if len(shown) == limit else None}


def receipts_tally(
    home: Home, requester: Requester, *, since: str | None = None, until: str | None = None
) -> Json:
    """How many receipts there are of each act, outcome, app and purpose; how often each rule
    allowed or refused something; and what went to which site, in which form.

    Args:
        since, until: moments; the whole log where they are left out.
    """
    wanted = Wanted(
        since=moment(since, "since"), until=moment(until, "until"), tenants=_seen_by(requester)
    )
    tallies = home.node.ledger.tally(wanted)
    rules = sorted(
        {rule for item in tallies for rule in item.named("grants") | item.named("refuses")}
    )
    return {
        "receipts": sum(item.receipts for item in tallies),
        **{
            several: _counts(tallies, one)
            for several, one in (
                ("acts", "act"), ("outcomes", "outcome"), ("apps", "app"), ("purposes", "purpose"),
            )
        },
        "rules": [_rule_use(tallies, rule) for rule in rules],
        "flows": _flows(tallies, home.node.me.site_id),
    }  # fmt: skip


def _counts(tallies: Sequence[Tally], name: str) -> Json:
    counts: dict[str, int] = {}
    for item in tallies:
        for value in item.named(name):
            counts[value] = counts.get(value, 0) + item.receipts
    return dict(sorted(counts.items()))


def _rule_use(tallies: Sequence[Tally], rule: str) -> Json:
    """In how many receipts a rule allowed something, in how many it refused, and when last."""
    granted = [item for item in tallies if ("grants", rule) in item.marks]
    refused = [item for item in tallies if ("refuses", rule) in item.marks]
    return {
        "rule": rule,
        "granted": sum(item.receipts for item in granted),
        "refused": sum(item.receipts for item in refused),
        "newest": max(item.newest for item in (*granted, *refused)).isoformat(),
    }


def _flows(tallies: Sequence[Tally], me: str) -> list[Json]:
    """Acts that had another site as their receiver, by act, site, outcome and forms."""
    found: dict[tuple[str, str, str, tuple[str, ...]], Json] = {}
    for item in tallies:
        for to in item.named("to") - {me}:
            (act,), (outcome,) = item.named("act"), item.named("outcome")
            forms = tuple(sorted(item.named("form")))
            flow = found.setdefault(
                (act, to, outcome, forms),
                {"act": act, "to": to, "outcome": outcome, "forms": list(forms),
                 "receipts": 0, "newest": ""},
            )  # fmt: skip
            flow["receipts"] += item.receipts
            flow["newest"] = max(flow["newest"], item.newest.isoformat())
    return [found[key] for key in sorted(found)]


def erasures(
    home: Home, requester: Requester, *, before: int | None = None, limit: int = 50
) -> Json:
    """Erasures, newest first: their receipts, and whether the bytes are off the disk."""
    page = receipts_list(home, requester, before=before, limit=limit, act="erase")
    pending = home.node.unscrubbed
    told = [
        {"receipt": item, "gone": item["outcome"] != Outcome.DENIED and item["id"] not in pending}
        for item in page["receipts"]
    ]
    return {"erasures": told, "before": page["before"]}


def receipt_show(home: Home, requester: Requester, *, id: str) -> Json:
    """One receipt."""
    return dict(_receipt(home.node, requester, id))


def receipt_proof(home: Home, requester: Requester, *, id: str, size: int | None = None) -> Json:
    """That a receipt stands in the log: its audit path and the signed checkpoint; and all of it,
    with the receipt, as one text (C2SP tlog-proof).

    Args:
        size: of the log to prove it in; the newest where it is left out.
    """
    receipt = dict(_receipt(home.node, requester, id))
    proof = home.node.ledger.proof(id, size)
    signed = _signed_root(home.node, proof.checkpoint)
    receipt.pop("index")
    text = LogProof(canonical(receipt), proof.index, proof.path, signed["note"])
    return {
        "receipt": id,
        "index": proof.index,
        "leaf": proof.leaf.hex(),
        "path": [sibling.hex() for sibling in proof.path],
        "checkpoint": signed,
        "proof": str(text),
    }


def receipts_verify(
    home: Home, requester: Requester, *, checkpoints: Sequence[Mapping[str, Any]] = ()
) -> Json:
    """Read the whole log against its hashes and signatures, and compare it with checkpoints.

    Args:
        checkpoints: of this site's log, kept elsewhere.
    """
    node = home.node
    damages = [*against(node, kept(node, checkpoints), "elsewhere"), *node.ledger.verify()]
    return {
        "receipts": node.ledger.checkpoint().size,
        "damaged": [{"file": item.file, "what": item.what} for item in damages],
    }


def kept(node: Node, given: Sequence[Mapping[str, Any]]) -> list[Checkpoint]:
    """Checkpoints of this site's log as their keeper sends them: JSON, or ``{"note": ...}``.

    Raises:
        InputError: ``checkpoint-malformed``.
    """
    key = VerifierKey(log_origin(node.me.site_id), node.me.signing_key)
    try:
        return [
            Checkpoint.from_json(item) if "root" in item else from_note(item["note"], key)
            for item in given
        ]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(
            "checkpoint-malformed", "That is no checkpoint.", "Send what /v1/checkpoint gives."
        ) from None


def checkpoint(home: Home, requester: Requester, *, size: int | None = None) -> Json:
    """The newest signed root of the log, or that over its first ``size`` receipts; also as a C2SP
    note.
    """
    return _signed_root(home.node, home.node.ledger.checkpoint(size))


def consistency(home: Home, requester: Requester, *, old: int, size: int | None = None) -> Json:
    """That the log goes on from what it was: the path between two of its sizes.

    Args:
        old: the smaller size.
        size: the larger one; the newest where it is left out.
    """
    ledger = home.node.ledger
    newer = ledger.checkpoint(size)
    if old > newer.size:
        raise no_such_size(newer.size)
    older = ledger.checkpoint(old)
    path = ledger.consistency(older.size, older.root, newer.size) or ()
    signed = _signed_root(home.node, newer)
    return {
        "old": {"size": older.size, "root": older.root.hex()},
        "path": [node.hex() for node in path],
        "checkpoint": signed,
        "proof": str(ConsistencyProof(older.size, path, signed["note"])),
    }


def _signed_root(node: Node, root: Checkpoint) -> Json:
    public = node.me.signing_key
    return {
        **root.to_json(),
        "public_key": public.hex(),
        "verifier_key": str(VerifierKey(root.origin, public)),
        "note": to_note(root, public),
    }


def _seen_by(requester: Requester) -> frozenset[str] | None:
    """The tenants whose receipts a requester may see; ``""`` is the site itself, ``None`` all."""
    if requester.role is Role.OPERATOR:
        return None
    site = {""} if requester.role is Role.COMPLIANCE else set()
    return frozenset({requester.tenant, *site})


def _receipt(node: Node, requester: Requester, receipt_id: str) -> Mapping[str, Any]:
    found = node.ledger.receipt(receipt_id)
    seen = _seen_by(requester)
    if seen is not None and found["request"].get("requester", {}).get("tenant") not in seen:
        raise NotFound("receipt-unknown", "There is no such receipt.", "Check the id.")
    return found
