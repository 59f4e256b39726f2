"""Operations for officers: the rules as written, what crosses, what was erased, what expires."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from memory_fabric.core.access import BUILT_IN, Act, Requester, Role
from memory_fabric.core.errors import NotFound, NotGranted
from memory_fabric.core.places import Site
from memory_fabric.flows import matrix
from memory_fabric.flows.crossings import crossings, others
from memory_fabric.operations.receipts import receipts_tally
from memory_fabric.operations.shapes import Json
from memory_fabric.wiring import Home
from memory_fabric.wiring.written import WrittenRule

_BUILT_IN = {rule.id: rule for rule in BUILT_IN}


def policy_rules(home: Home, requester: Requester) -> Json:
    """The rules in force, in the order of their files, and the ids of the program's own."""
    _check_officer(requester)
    written, uses = home.written(), _uses(home, requester)
    return {
        "digest": written.digest,
        "own": sorted(_BUILT_IN),
        "rules": [
            {**_rule_json(rule), **uses.get(rule.rule.id, _UNUSED)} for rule in written.rules
        ],
    }


def policy_rule(home: Home, requester: Requester, *, id: str) -> Json:
    """One rule of the bundle in force, with its text and its cases; or one of the program's own,
    which stand in no file.

    Raises:
        NotFound: ``rule-unknown``.
    """
    _check_officer(requester)
    used = _uses(home, requester).get(id, _UNUSED)
    if id in _BUILT_IN:
        own: Json = {"effect": "forbid", "notify": None, "file": None, "line": None, "tested": 0}
        return {**_BUILT_IN[id].to_json(), **own, **used, "text": None, "cases": []}
    found = next((rule for rule in home.written().rules if rule.rule.id == id), None)
    if found is None:
        raise NotFound(
            "rule-unknown",
            "The bundle in force has no such rule.",
            "See the list of rules; an older receipt may name one that was taken out since.",
        )
    return {
        **_rule_json(found),
        **used,
        "text": found.text,
        "cases": [
            {"file": case.file, "line": case.line, "name": case.name, "answer": case.answer}
            for case in found.cases
        ],
    }


def policy_words(home: Home, requester: Requester) -> Json:
    """The bundle's vocabulary: purposes that the requester may name, and special categories."""
    node = home.node
    granted = [
        name for name in node.purposes if not requester.purposes or name in requester.purposes
    ]
    return {"purposes": granted, "specials": list(node.specials)}


def policy_flows(home: Home, requester: Requester) -> Json:
    """What may go from this site to each other one of the tenant, and how many recalls from there
    were answered in which form.
    """
    _check_officer(requester)
    node = home.node
    tenant = node.check_tenant(requester)
    purposes = requester.purposes & set(node.purposes) or node.purposes
    went = _went(receipts_tally(home, requester)["flows"])
    return {
        "site": node.me.site_id,
        "region": str(node.me.region),
        "name": home.region_name(node.me.region),
        "purposes": sorted(purposes),
        "to": [
            {
                "site": crossing.site.site_id,
                "region": str(crossing.site.region),
                "name": home.region_name(crossing.site.region),
                "allowed": {str(form or "nothing"): n for form, n in crossing.allowed.items()},
                "rules": list(crossing.rules),
                "answered": went.get(crossing.site.site_id, {}),
            }
            for crossing in crossings(node, tenant, purposes)
        ],
    }


def expiring(home: Home, requester: Requester, *, days: int = 365) -> Json:
    """What ends by itself within so many days, soonest first: facts of the register, transfer
    instruments and memberships of sites, leases. What ended within the last 30 days stands first.
    """
    _check_officer(requester)
    now = home.node.clock.now()
    until, since = now + timedelta(days=days), now - timedelta(days=30)
    found = [
        item
        for item in (
            *_facts(home),
            *_terms(home),
            *_mandate(home),
            *_leases(home, requester),
        )
        if since <= item[0] <= until
    ]
    return {
        "now": now.isoformat(),
        "items": [
            {
                "kind": kind,
                "what": what,
                "of": of,
                "ends": ends.isoformat(),
                "days": (ends - now) // timedelta(days=1),
                "effect": effect,
            }
            for ends, kind, what, of, effect in sorted(found)
        ],
    }


def policy_matrix(
    home: Home,
    requester: Requester,
    *,
    purpose: str | None = None,
    act: str = "recall",
    offset: int = 0,
    limit: int = 100,
) -> Json:
    """For each declared class and each other site of the tenant, the most that may be released
    there, and by which rules.

    Args:
        purpose: one of them; a class stands in a row for each of its purposes where left out.
        act: ``recall``, ``export`` or ``query``.
        offset, limit: which of the rows: by purpose, whom they are about, how confidential.
    """
    _check_officer(requester)
    node = home.node
    tenant = node.check_tenant(requester)
    asked = matrix.released_act(act)
    granted = [name for name in node.purposes if name in (requester.purposes or node.purposes)]
    wanted = granted if purpose is None else [node.check_purpose(purpose, requester)]
    sites = others(node, tenant)
    rows = [
        row
        for name in wanted
        for row in matrix.in_order(node.me, name, node.settings.states(tenant, name))
    ]
    shown = rows[max(offset, 0) : max(offset, 0) + min(max(limit, 1), 500)]
    decided = matrix.cells(node.gate, tenant, asked, shown, sites)
    told = matrix.to_json(
        asked, shown, sites, decided, home.region_name, lambda one: f"{one.site_id} ({one.region})"
    )
    return {**told, "purpose": purpose, "classes": len(rows)}


def _went(flows: list[Json]) -> dict[str, dict[str, int]]:
    """Recalls answered by site and form; one that was answered in two forms counts for each."""
    went: dict[str, dict[str, int]] = {}
    for flow in flows:
        if flow["act"] == Act.RECALL:
            for form in flow["forms"]:
                there = went.setdefault(flow["to"], {})
                there[form] = there.get(form, 0) + flow["receipts"]
    return went


_Ending = tuple[datetime, str, str, str, str]


def _facts(home: Home) -> Iterator[_Ending]:
    for fact in home.written().facts:
        if fact.ends:
            of = f"{fact.bloc}: {', '.join(fact.regions)}"
            yield (
                fact.ends, "fact", fact.source, of,
                "Rules that rest on it no longer permit; put its successor into the register.",
            )  # fmt: skip


def _terms(home: Home) -> Iterator[_Ending]:
    for site in home.node.roster:
        yield from _ends_of(site)


def _ends_of(site: Site) -> Iterator[_Ending]:
    for kind, terms in (("instrument", site.instruments), ("membership", site.memberships)):
        for name, last in terms.items():
            if last:
                ends = datetime.combine(date.fromisoformat(last), time(), UTC) + timedelta(days=1)
                yield (
                    ends, kind, name, f"{site.site_id} ({site.region})",
                    "Rules that rest on it stop; have its operator renew it in site.toml.",
                )  # fmt: skip


def _mandate(home: Home) -> Iterator[_Ending]:
    mandate = home.node.gate.rulebook.mandate
    if mandate is None or mandate.self_signed:
        return
    of = f"version {mandate.version}, signed by {' and '.join(mandate.signers)}"
    for role, what in (
        ("root", "The list of officers"),
        ("targets", "The officers' signatures on the rules"),
        ("timestamp", "The word that these rules are the newest"),
    ):
        yield (
            mandate.ends[role], "signature", what, of,
            "Nothing crosses from then on; have newer rules signed, published and installed.",
        )  # fmt: skip


def _leases(home: Home, requester: Requester) -> Iterator[_Ending]:
    me = home.node.me.site_id
    for lease in home.node.ledger.leases():
        if lease.tenant == requester.tenant and lease.state.out:
            given = lease.origin == me
            other = lease.destination if given else lease.origin
            yield (
                lease.expires_at, "lease", f"{len(lease.rows)} vectors for {lease.purpose}",
                f"given to {other}" if given else f"taken from {other}",
                "The receiver gives them up by itself; nothing needs doing.",
            )  # fmt: skip


_UNUSED: Json = {"granted": 0, "refused": 0, "newest": None}


def _uses(home: Home, requester: Requester) -> dict[str, Json]:
    """In how many receipts each rule allowed or refused something, by its id."""
    return {
        item["rule"]: {name: item[name] for name in _UNUSED}
        for item in receipts_tally(home, requester)["rules"]
    }


def _rule_json(written: WrittenRule) -> Json:
    told: dict[str, Any] = written.rule.to_json()
    return {
        **told,
        "effect": "permit" if written.permits else "forbid",
        "notify": written.notify or None,
        "file": written.file,
        "line": written.line,
        "tested": len(written.cases),
    }


def _check_officer(requester: Requester) -> None:
    if requester.role is Role.APP:
        raise NotGranted(
            "role-not-granted",
            "This is for compliance and for the site's operator.",
            "Use a key of role compliance.",
        )
