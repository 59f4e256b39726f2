"""Operations on the site: keys for apps, status, classes, links, rules."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from memory_fabric.core.access import Requester, Role
from memory_fabric.core.drafts import Draft
from memory_fabric.core.errors import InputError, NotFound
from memory_fabric.core.ledger_ports import APP_REMOVED, App
from memory_fabric.core.places import check_name
from memory_fabric.core.receipt import Outcome
from memory_fabric.flows import (
    explain,
    remember,
    verify,
    witness,
)
from memory_fabric.flows.leases import sweep
from memory_fabric.flows.upkeep import State
from memory_fabric.operations.emergencies import open_emergencies
from memory_fabric.operations.receipts import kept
from memory_fabric.operations.rules import rules_damage, rules_json
from memory_fabric.operations.shapes import Json, one_of, sole_purpose
from memory_fabric.wiring import GRID_OPERATIONS, Home


def app_add(
    home: Home,
    requester: Requester,
    *,
    name: str,
    tenant: str | None = None,
    purposes: Sequence[str] = (),
    role: str = "app",
    all_subjects: bool = False,
) -> Json:
    """Make an API key; it is shown once and kept only as a hash."""
    node = home.node
    bound = node.settings.tenant(tenant or requester.tenant or None).name
    check_name(name, "app")
    if not purposes:
        raise InputError(
            "purpose-missing", "The key is bound to no purpose.", "Name at least one --purpose."
        )
    for purpose in purposes:
        node.check_purpose(purpose, replace(requester, tenant=bound))
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    app = Requester(
        name, bound, one_of(Role, role, "role", "role-unknown"), frozenset(purposes), all_subjects
    )
    key_hash = hashlib.sha256(secret.encode()).hexdigest()
    made = App(name, key_id, key_hash, app, node.clock.now())
    if name in [other.name for other in node.ledger.apps()]:
        raise InputError("app-exists", "There is an app of this name.", "Choose another name.")
    node.commit("app-added", requester, Outcome.DONE, request={"app": _app_json(made)})
    node.ledger.add_app(made)
    return {**_app_json(made), "key": f"mf_{key_id}_{secret}"}


def app_list(home: Home, requester: Requester) -> Json:
    """Who holds a key, and for what."""
    return {"apps": [_app_json(app) for app in home.node.ledger.apps()]}


def app_remove(home: Home, requester: Requester, *, name: str) -> Json:
    """Forget an app: from now on its key opens nothing."""
    node = home.node
    found = next((app for app in node.ledger.apps() if app.name == name), None)
    if found is None:
        raise NotFound("app-unknown", "There is no app of this name.", "See `app list`.")
    node.ledger.remove_app(name)
    committed = node.commit(APP_REMOVED, requester, Outcome.DONE, request={"app": _app_json(found)})
    return {"removed": name, "receipt": committed.receipt.id}


def _app_json(app: App) -> Json:
    """An app without its key."""
    return {
        "app": app.name,
        "key_id": app.key_id,
        "tenant": app.requester.tenant,
        "role": str(app.requester.role),
        "purposes": sorted(app.requester.purposes),
        "all_subjects": app.requester.all_subjects,
    }


def status(home: Home, requester: Requester) -> Json:
    """What the site is and holds."""
    node = home.node
    checkpoint = node.ledger.checkpoint()
    return {
        "site": node.me.site_id,
        "region": str(node.me.region),
        "tier": str(node.me.tier),
        "home": str(home.path),
        "served": home.served,
        "tenants": sorted(node.settings.tenants),
        "classes": len(node.settings.classes),
        "memories": len(node.copy),
        "leased": len(node.leased),
        "search": {
            "memory": {
                part: size + node.leased.memory()[part] for part, size in node.copy.memory().items()
            },
            "limit": node.settings.search.memory_limit_mb * 2**20 or None,
        },
        "embedder": {"name": home.embedder_name, "id": node.embedder.id, "dim": node.embedder.dim},
        "receipts": checkpoint.size,
        "bundle": rules_json(home),
        "emergencies": open_emergencies(home),
        "sites": [
            {"site": site.site_id, "region": str(site.region), "tenants": sorted(site.tenants)}
            for site in node.roster
        ],
        "apps": [app.name for app in node.ledger.apps()],
        "snapshot": {"behind": node.standing.behind, "refused": node.standing.refused},
        "upkeep": [_job_json(state) for state in home.upkeep.states()],
        "warnings": home.warnings(),
    }


def _job_json(state: State) -> Json:
    """How a job of the upkeep stands."""
    failure = state.failure
    return {
        "job": state.job,
        "due": state.due,
        "last": state.last.isoformat() if state.last else None,
        "failed": {"at": failure.at.isoformat(), "error": failure.error, "place": failure.place}
        if failure
        else None,
    }


def verify_site(
    home: Home, requester: Requester, *, checkpoints: Sequence[Mapping[str, Any]] = ()
) -> Json:
    """Read every sealed file and the ledger, and compare the log with what others hold of it.

    Args:
        checkpoints: of this site's log, kept elsewhere.
    """
    node = home.node
    held = witness.against(node, kept(node, checkpoints), "elsewhere")
    elsewhere = [*held, *witness.ask_witnesses(node)]
    found = verify.verify(node, home.progress)
    return {
        "records": found.records,
        "receipts": found.receipts,
        "unacknowledged": found.unacknowledged,
        "damaged": [
            *({"file": item.file, "what": item.what} for item in (*elsewhere, *found.damages)),
            *rules_damage(home),
        ],
    }


def classes_list(home: Home, requester: Requester) -> Json:
    """The declared label classes."""
    return {
        "classes": [{**item.to_json(), "text": str(item)} for item in home.node.settings.classes]
    }


def classes_add(home: Home, requester: Requester, *, classes: Sequence[Mapping[str, Any]]) -> Json:
    """Declare further label classes."""
    node = home.node
    added = []
    for fields in classes:
        owner_name = node.settings.tenant(fields.get("tenant") or requester.tenant or None).name
        # A draft knows the same words and checks them; the class is what is left of its label.
        label = {name: value for name, value in fields.items() if name != "tenant"}
        draft = Draft.from_fields({"memory": "-", "subjects": ["-"], "label": label})
        owner = Requester(requester.name, owner_name, requester.role, frozenset(), True)
        added.append(remember.label_for(node, owner, draft).label_class)
    declared = home.declare(added)
    return {"added": [item.to_json() for item in declared], "classes": len(node.settings.classes)}


def link(home: Home, requester: Requester, *, address: str) -> Json:
    """Make another site known to this one, and this one to it."""
    linked = home.link(address)
    sweep(home.node)
    return linked


def grid_card(home: Home, requester: Requester) -> Json:
    """What this site says of itself to one that links it."""
    return GRID_OPERATIONS["grid_card"](home)


def grid_witness(
    home: Home,
    requester: Requester,
    *,
    site: str,
    checkpoint: dict[str, Any] | None,
    path: Sequence[str],
) -> Json:
    """What this site holds of another one's log, or from now on holds."""
    return GRID_OPERATIONS["grid_witness"](home, site, checkpoint, path)


def grid_accept(home: Home, requester: Requester, *, document: str, grid_key: str) -> Json:
    """Take over a roster from the site that signs it."""
    return GRID_OPERATIONS["grid_accept"](home, document, grid_key)


def explain_policy(
    home: Home,
    requester: Requester,
    *,
    act: str = "recall",
    purpose: str | None = None,
    site: str | None = None,
    label: Mapping[str, Any] | None = None,
    home_region: str | None = None,
) -> Json:
    """Decide without doing."""
    told = explain.explain(
        home.node, requester, act, sole_purpose(requester, purpose), site, label or {}, home_region
    )
    return told.to_json()
