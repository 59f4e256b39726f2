"""Operations on exports and leases: for the site's operator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from memory_fabric.core.access import Act, Decision, Form, Requester, named
from memory_fabric.core.errors import InputError, MemoryFabricError
from memory_fabric.core.labels import ClassState, LabelClass
from memory_fabric.core.lease import Lease, LeaseState
from memory_fabric.flows import export, leases, take_in
from memory_fabric.flows.node import Node, accountable
from memory_fabric.operations.shapes import Json, one_of, sole_purpose
from memory_fabric.wiring import Home, PackageWriter, read_packages


def export_run(
    home: Home,
    requester: Requester,
    *,
    site: str,
    purpose: str | None = None,
    form: str | None = None,
    file: str | None = None,
) -> Json:
    """Export what is not at a site yet: deliver it there, or write it to a file."""
    node = home.node
    with accountable(node, str(Act.EXPORT), requester):
        asked = one_of(Form, form, "form", "form-unknown") if form else None
        done = export.export(
            node,
            requester,
            site,
            sole_purpose(requester, purpose),
            form=asked,
            write=PackageWriter(_absolute(file)).write if file else None,
            progress=home.progress,
        )
    return {
        "to": site,
        "packages": list(done.packages),
        "rows": sum(done.rows.values()),
        "classes": _classes(done.decisions, done.rows),
        "unredacted": done.unredacted,
        "withheld": named(done.withheld),
        "receipts": list(done.receipts),
        "file": str(_absolute(file)) if file and done.packages else None,
        **ended_json(done.settled),
    }


def export_status(
    home: Home, requester: Requester, *, purpose: str | None = None, site: str | None = None
) -> Json:
    """What is out at each site, and what would go there now; ends what is due."""
    node = home.node
    settled = leases.sweep(node)
    given = [
        lease for lease in node.ledger.leases(origin=node.me.site_id) if _own(requester, lease)
    ]
    sites = [site] if site else [item.site_id for item in node.roster if item != node.me]
    told = []
    for name in sites:
        mine = [item for item in given if item.destination == name and _own(requester, item)]
        told.append(
            {
                "to": name,
                "packages": len({lease.package for lease in mine}),
                "last": max((lease.sequence for lease in mine), default=0),
                "rows": _by_state(mine),
                **_waiting(node, requester, name, sole_purpose(requester, purpose)),
            }
        )
    return {"sites": told, **ended_json(settled)}


def export_take(home: Home, requester: Requester, *, file: str) -> Json:
    """Take in the packages of a file; the first that cannot be taken in ends it.

    Raises:
        InputError: ``file-unreadable`` and what is wrong with a package.
    """
    packages = []
    for data in read_packages(_absolute(file)):
        done = take_in.take_in(home.node, data)
        packages.append(
            {
                "package": done.package,
                "from": done.sender.site_id,
                "rows": done.rows,
                "leases": list(done.leases),
                "withheld": named(done.withheld),
                "receipt": done.receipt,
            }
        )
    return {"packages": packages, "rows": sum(item["rows"] for item in packages)}


def lease_list(home: Home, requester: Requester) -> Json:
    """Leases that this site gave and those that it has; ends what is due."""
    node = home.node
    settled = leases.sweep(node)
    leases.drop_expired(node)
    return {
        "leases": [
            {
                "lease": lease.id,
                "way": "given" if lease.origin == node.me.site_id else "taken",
                "site": lease.destination if lease.origin == node.me.site_id else lease.origin,
                "class": {**lease.label_class.to_json(), "text": str(lease.label_class)},
                "purpose": lease.purpose,
                "form": str(lease.form),
                "rows": _by_state([lease]),
                "state": str(lease.state),
                "overdue": lease.state is LeaseState.ENDING,
                "expires_at": lease.expires_at.isoformat(),
                "package": lease.package,
                "rules": list(lease.rules),
            }
            for lease in node.ledger.leases()
            if _own(requester, lease)
        ],
        **ended_json(settled),
    }


def lease_recall(home: Home, requester: Requester, *, id: str) -> Json:
    """End a lease that this site gave."""
    with accountable(home.node, "lease-recall", requester):
        settled = leases.recall_lease(home.node, requester, id)
    return {"lease": id, **ended_json(settled)}


def ended_json(settled: leases.Settled) -> Json:
    """What came back from importers, by site; empty where nothing was asked for."""
    told: Json = {
        "ended": [
            {"site": site, "rows": rows, "receipt": settled.receipts[site]}
            for site, rows in sorted(settled.ended.items())
        ]
    }
    if settled.unreachable:
        told["overdue"] = [
            {"site": site, "code": code} for site, code in sorted(settled.unreachable.items())
        ]
    return told


def leases_json(settled: leases.Settled) -> Json:
    """The same beside the answer of another act; nothing where no lease was asked back."""
    asked = settled.ended or settled.unreachable
    return {"leases": ended_json(settled)} if asked else {}


def _classes(
    decisions: Mapping[ClassState, Decision], rows: Mapping[tuple[LabelClass, Form], int]
) -> list[Json]:
    """Each declared class with its form, its rules, and how many rows of it went."""
    return [
        {
            "class": {**state.label_class.to_json(), "text": str(state.label_class)},
            "form": str(decision.form) if decision.form else None,
            "ttl_hours": decision.plan.ttl_hours if decision.allowed else None,
            "rules": [rule.id for rule in decision.rules],
            "rows": sum(n for (owner, _), n in rows.items() if owner == state.label_class),
        }
        for state, decision in decisions.items()
    ]


def _waiting(node: Node, requester: Requester, site: str, purpose: str | None) -> Json:
    """What an export would take along now; nothing where no purpose is named."""
    if purpose is None:
        return {}
    try:
        plan = export.pending(node, requester, site, purpose)
    except MemoryFabricError as error:
        return {"pending": None, "code": error.code}
    forms = Counter(
        str(decision.form)
        for row in plan.rows
        if (decision := plan.decisions.get(row.label.state(node.clock.now())))
    )
    return {"pending": len(plan.rows), "pending_forms": dict(forms)}


def _by_state(given: Iterable[Lease]) -> dict[str, int]:
    counts = Counter(str(row.state) for lease in given for row in lease.rows)
    return {str(state): counts[state] for state in LeaseState if counts[state]}


def _own(requester: Requester, lease: Lease) -> bool:
    return lease.tenant == requester.tenant


def _absolute(file: str) -> Path:
    """The program sends absolute paths: the process that serves a home has its own folder."""
    path = Path(file)
    if not path.is_absolute():
        raise InputError(
            "file-unreadable", "The file is not named by its whole path.", "Name it from the root."
        )
    return path
