"""Operations: what can be asked of a site, as JSON in and JSON out.

The command line calls them on a home that it opens, or sends them to the one that serves it
through the local socket; the HTTP routes call them for apps. So every face gives the same answer.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from memory_fabric.core.access import Requester, Role, named
from memory_fabric.core.drafts import Draft, moment
from memory_fabric.core.errors import (
    InputError,
    MemoryFabricError,
    NotFound,
    NotGranted,
    Unauthenticated,
)
from memory_fabric.core.labels import Consent, DataClass, LabelChange
from memory_fabric.core.memory import MemoryType
from memory_fabric.core.places import check_name
from memory_fabric.core.ports import App
from memory_fabric.flows import (
    erase,
    erase_grid,
    explain,
    memories,
    recall,
    relabel,
    remember,
    verify,
)
from memory_fabric.flows.asking import Query, Reach, Withheld
from memory_fabric.flows.node import Node, accountable
from memory_fabric.flows.reading import Filters
from memory_fabric.gate.permits import Release, Shown
from memory_fabric.wiring import GRID_OPERATIONS, Home

Json = dict[str, Any]
Operation = Callable[..., Json]


# --- who asks -----------------------------------------------------------------------------------


def operator(home: Home, os_user: str, tenant: str | None) -> Requester:
    """The local operator: whoever may read the home. Bound to one tenant for each request."""
    settings = home.node.settings
    # Where several tenants live and none is named, whatever needs one refuses.
    name = settings.tenant(tenant).name if tenant or len(settings.tenants) == 1 else ""
    return Requester(f"os:{os_user}", name, Role.OPERATOR, frozenset(), all_subjects=True)


def authenticate(home: Home, key: str) -> Requester:
    """The app behind an API key.

    Raises:
        Unauthenticated: ``key-unknown``; the same for every way in which a key can be wrong.
    """
    key_id, _, secret = key.removeprefix("mf_").partition("_")
    app = home.node.ledger.app(key_id)
    given = hashlib.sha256(secret.encode()).hexdigest()
    if app is None or not secrets.compare_digest(app.key_hash, given):
        raise Unauthenticated(
            "key-unknown",
            "This API key is not known here.",
            "Send `Authorization: Bearer <key>` with a key from `memory-fabric app add`.",
        )
    return app.requester


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
        node.check_purpose(purpose, requester)
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    app = Requester(
        name, bound, _one_of(Role, role, "role", "role-unknown"), frozenset(purposes), all_subjects
    )
    key_hash = hashlib.sha256(secret.encode()).hexdigest()
    node.ledger.add_app(App(name, key_id, key_hash, app, node.clock.now()))
    return {
        "app": name, "tenant": bound, "role": str(app.role), "purposes": sorted(purposes),
        "all_subjects": all_subjects, "key": f"mf_{key_id}_{secret}",
    }  # fmt: skip


def run(home: Home, operation: str, who: Mapping[str, Any], params: Mapping[str, Any]) -> Json:
    """Run one operation by its name, for an app by its key or else for the local operator.

    Args:
        who: ``os_user``, and where they were named ``tenant`` and ``key``.

    Raises:
        NotFound: ``operation-unknown``.
    """
    if operation not in OPERATIONS:
        raise NotFound(
            "operation-unknown",
            "There is no such operation.",
            "Bring the program and the process that serves the home to the same version.",
        )
    if key := who.get("key"):
        requester = authenticate(home, key)
    else:
        requester = operator(home, str(who["os_user"]), who.get("tenant"))
    if operation in OPERATORS_ONLY and requester.role is not Role.OPERATOR:
        raise NotGranted(
            "role-not-granted",
            "This is for the site's operator.",
            "Run it on the site itself, without an API key.",
        )
    return OPERATIONS[operation](home, requester, **params)


# --- memories -----------------------------------------------------------------------------------


def add(home: Home, requester: Requester, *, memories: Sequence[Mapping[str, Any]]) -> Json:
    """Remember all of the given memories, or none."""
    with accountable(home.node, "remember", requester):
        drafts = []
        for row, fields in enumerate(memories):
            try:
                drafts.append(Draft.from_fields(fields))
            except MemoryFabricError as error:
                error.details.setdefault("row", row)
                raise
        done = remember.remember(home.node, requester, drafts)
    return {
        "results": [{"id": name, "event": "ADD"} for name in done.ids],
        "receipt": done.receipt,
    }


def add_good(
    home: Home, requester: Requester, *, memories: Sequence[Mapping[str, Any]], dry: bool = False
) -> Json:
    """Remember those of the given memories that can be taken, and say what is wrong with the rest.

    Args:
        dry: only say it, and store nothing.
    """
    node = home.node
    node.check_tenant(requester)
    good: list[Draft] = []
    problems: list[Json] = []
    ids: set[str] = set()
    for row, fields in enumerate(memories):
        try:
            draft = Draft.from_fields(fields)
            remember.check_draft(node, requester, draft, ids)
            good.append(draft)
            ids |= {draft.id} if draft.id else set()
        except MemoryFabricError as error:
            problems.append({"row": row, "code": error.code, "what": error.what, "do": error.do})
    if dry or not good:
        return {"results": [], "problems": problems, "receipt": None}
    with accountable(node, "remember", requester):
        done = remember.remember(node, requester, good)
    results = [{"id": name, "event": "ADD"} for name in done.ids]
    return {"results": results, "problems": problems, "receipt": done.receipt}


def search(
    home: Home,
    requester: Requester,
    *,
    query: str,
    purpose: str | None = None,
    subject: str | None = None,
    all_subjects: bool = False,
    reach: str = "site",
    top_k: int = 10,
    special: Sequence[str] = (),
    filters: Mapping[str, Any] | None = None,
    threshold: float = 0.0,
) -> Json:
    """Recall, at home and within reach."""
    node = home.node
    with accountable(node, "recall", requester):
        answer = recall.recall(
            node,
            requester,
            Query(
                text=query,
                purpose=_purpose(requester, purpose),
                subject=subject,
                all_subjects=all_subjects,
                reach=_one_of(Reach, reach, "reach", "reach-unknown"),
                top_k=top_k,
                special=frozenset(special),
                filters=_filters(filters or {}, threshold),
            ),
        )
    reply: Json = {
        "results": [_result(node, site_id, item) for site_id, item in answer.results()],
        **_not_reached(answer.withheld, answer.unreachable),
        "receipt": answer.released.receipt.receipt.id,
    }
    return reply


def get(home: Home, requester: Requester, *, id: str, purpose: str | None = None) -> Json:
    """One memory by its id."""
    with accountable(home.node, "recall", requester):
        released = memories.get_memory(home.node, requester, id, _purpose(requester, purpose))
    return {**_released(home.node, released)[0], "receipt": released.receipt.receipt.id}


def page(
    home: Home,
    requester: Requester,
    *,
    purpose: str | None = None,
    subject: str | None = None,
    all_subjects: bool = False,
    cursor: str | None = None,
) -> Json:
    """Memories in the order of writing, a page at a time."""
    with accountable(home.node, "recall", requester):
        found = memories.list_memories(
            home.node, requester, _purpose(requester, purpose), subject, all_subjects, cursor
        )
    return {
        "results": _released(home.node, found.released),
        "cursor": found.cursor,
        "receipt": found.released.receipt.receipt.id,
    }


def forget(
    home: Home, requester: Requester, *, subject: str | None = None, id: str | None = None
) -> Json:
    """Erase a subject with its key, here and at the tenant's other sites, or one memory here."""
    node = home.node
    with accountable(node, "erase", requester):
        if subject and subject.strip() and not id:
            done = erase_grid.forget_everywhere(node, requester, subject)
        elif id and not subject:
            here = erase.forget_memory(node, requester, id)
            done = erase_grid.ErasedEverywhere(here, (), (), {})
        else:
            raise InputError(
                "scope-missing", "An erasure names one subject or one id.", "Name exactly one."
            )
    return {
        "erased": {"memories": done.here.memories, "keys": done.here.keys},
        "site": node.me.site_id,
        "elsewhere": [
            {
                "site": told.site,
                "erased": {"memories": told.memories, "keys": told.keys},
                "receipt": told.receipt,
            }
            for told in done.elsewhere
        ],
        **_not_reached(done.withheld, done.unreachable),
        "remains": list(done.here.remains),
        "receipt": done.here.receipt,
    }


def label_set(
    home: Home,
    requester: Requester,
    *,
    subject: str | None = None,
    id: str | None = None,
    change: Mapping[str, Any],
) -> Json:
    """Change consent, hold, class of one memory or of all about a subject."""
    with accountable(home.node, "relabel", requester):
        asked = _change(change)
        if subject and subject.strip() and not id:
            done = relabel.relabel_subject(home.node, requester, subject, asked)
        elif id and not subject:
            done = relabel.relabel_memory(home.node, requester, id, asked)
        else:
            raise InputError(
                "scope-missing", "A change of label names one subject or one id.", "Name one."
            )
    return {"changed": done.memories, "receipt": done.receipt}


# --- the site -----------------------------------------------------------------------------------


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
        "embedder": {"name": home.embedder_name, "id": node.embedder.id, "dim": node.embedder.dim},
        "receipts": checkpoint.size,
        "bundle": {
            "digest": node.gate.rulebook.digest,
            "crossing": node.gate.rulebook.crossing is not None,
            "problem": node.gate.rulebook.problem or None,
        },
        "sites": [
            {"site": site.site_id, "region": str(site.region), "tenants": sorted(site.tenants)}
            for site in node.roster
        ],
        "apps": [app.name for app in node.ledger.apps()],
        "warnings": home.warnings(),
    }


def verify_site(home: Home, requester: Requester) -> Json:
    """Read every sealed file and the ledger."""
    found = verify.verify(home.node, home.progress)
    return {
        "records": found.records,
        "receipts": found.receipts,
        "unacknowledged": found.unacknowledged,
        "damaged": [{"file": item.file, "what": item.what} for item in found.damages],
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
    return home.link(address)


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
        home.node, requester, act, _purpose(requester, purpose), site, label or {}, home_region
    )
    return told.to_json()


# --- receipts -----------------------------------------------------------------------------------


def receipts_list(
    home: Home,
    requester: Requester,
    *,
    before: int | None = None,
    limit: int = 50,
    act: str | None = None,
    outcome: str | None = None,
) -> Json:
    """Receipts, newest first. An app sees its tenant's; compliance and operators see all."""
    node = home.node
    found: list[Mapping[str, Any]] = []
    limit = min(max(limit, 1), 500)
    while len(found) < limit:
        batch = node.ledger.receipts(before, limit, act, outcome)
        found += [item for item in batch if _may_see(requester, item)]
        if not batch:
            break
        before = batch[-1]["index"]
    shown = [dict(item) for item in found[:limit]]
    return {"receipts": shown, "before": shown[-1]["index"] if len(shown) == limit else None}


def receipt_show(home: Home, requester: Requester, *, id: str) -> Json:
    """One receipt."""
    return dict(_receipt(home.node, requester, id))


def receipt_proof(home: Home, requester: Requester, *, id: str) -> Json:
    """That a receipt stands in the log: its audit path and the signed checkpoint."""
    _receipt(home.node, requester, id)
    proof = home.node.ledger.proof(id)
    return {
        "receipt": id,
        "index": proof.index,
        "leaf": proof.leaf.hex(),
        "path": [sibling.hex() for sibling in proof.path],
        "checkpoint": {**proof.checkpoint.to_json(), "public_key": home.node.me.signing_key.hex()},
    }


def receipts_verify(home: Home, requester: Requester) -> Json:
    """Read the whole log against its hashes and signatures."""
    damages = home.node.ledger.verify()
    return {
        "receipts": home.node.ledger.checkpoint().size,
        "damaged": [{"file": item.file, "what": item.what} for item in damages],
    }


def checkpoint(home: Home, requester: Requester) -> Json:
    """The newest signed root of the log, also as a C2SP note."""
    newest = home.node.ledger.checkpoint()
    return {
        **newest.to_json(),
        "public_key": home.node.me.signing_key.hex(),
        "note": newest.body.decode(),
    }


def grid_card(home: Home, requester: Requester) -> Json:
    """What this site says of itself to one that links it."""
    return GRID_OPERATIONS["grid_card"](home)


def grid_accept(home: Home, requester: Requester, *, document: str, grid_key: str) -> Json:
    """Take over a roster from the site that signs it."""
    return GRID_OPERATIONS["grid_accept"](home, document, grid_key)


OPERATIONS: Mapping[str, Operation] = {
    operation.__name__: operation
    for operation in (
        app_add, add, add_good, search, get, page, forget, label_set, status, verify_site,
        classes_list, classes_add, link, explain_policy, receipts_list, receipt_show,
        receipt_proof, receipts_verify, checkpoint, grid_card, grid_accept,
    )
}  # fmt: skip
"""Every operation by its name on the local socket."""

OPERATORS_ONLY = frozenset(
    {"app_add", "classes_add", "link", "grid_card", "grid_accept", "verify_site"}
)
"""Operations that change or read the site itself; no API key of another role runs them."""


# --- helpers ------------------------------------------------------------------------------------


def _purpose(requester: Requester, purpose: str | None) -> str | None:
    """A key bound to a single purpose need not name it."""
    if purpose is None and len(requester.purposes) == 1:
        return next(iter(requester.purposes))
    return purpose


def _result(node: Node, site_id: str, item: Shown) -> Json:
    """A released memory as users of memory layers know it (``docs/reference/http.md``)."""
    numbers = item.vector and struct.unpack(f"<{len(item.vector) // 4}f", item.vector)
    return {
        # Another site wrote its own facts: they go first, so that they name nothing anew.
        **item.facts,
        "id": item.id,
        "memory": item.memory,
        "score": round(item.score, 6) if item.score is not None else None,
        "form": str(item.form),
        "site": site_id,
        "region": str(node.roster[site_id].region),
        "rules": list(item.rules),
        "embedding": list(numbers) if numbers else None,
        "embedder": item.embedder,
    }


def _not_reached(withheld: Sequence[Withheld], unreachable: Mapping[str, str]) -> Json:
    """What sites kept back, and, where there are any, which did not answer."""
    told: Json = {
        "withheld": [
            {
                "site": held.site.site_id,
                "region": str(held.site.region),
                "rules": named(held.rules),
            }
            for held in sorted(withheld, key=lambda held: held.site.site_id)
        ]
    }
    if unreachable:
        told["unreachable"] = [
            {"site": site, "code": code} for site, code in sorted(unreachable.items())
        ]
    return told


def _released(node: Node, released: Release) -> list[Json]:
    return [
        _result(node, part.permit.origin, item) for part in released.parts for item in part.items
    ]


def _may_see(requester: Requester, receipt: Mapping[str, Any]) -> bool:
    return requester.role is not Role.APP or (
        receipt["request"].get("requester", {}).get("tenant") == requester.tenant
    )


def _receipt(node: Node, requester: Requester, receipt_id: str) -> Mapping[str, Any]:
    found = node.ledger.receipt(receipt_id)
    if not _may_see(requester, found):
        raise NotFound("receipt-unknown", "There is no such receipt.", "Check the id.")
    return found


def _one_of(kind: Any, value: Any, name: str, code: str) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise InputError(
            code,
            f"`{name}` holds a word that is not in its list.",
            f"Use one of {', '.join(kind)}.",
        ) from None


def _filters(fields: Mapping[str, Any], threshold: float) -> Filters:
    unknown = set(fields) - {"memory_type", "created_after", "created_before"}
    if unknown:
        raise InputError(
            "filter-unknown",
            "A filter is not known.",
            "Filter by memory_type, created_after, created_before.",
        )
    types = fields.get("memory_type") or ()
    listed = [types] if isinstance(types, str) else list(types)
    return Filters(
        memory_types=frozenset(
            _one_of(MemoryType, item, "memory_type", "memory-type-unknown") for item in listed
        ),
        created_after=moment(fields.get("created_after"), "created_after"),
        created_before=moment(fields.get("created_before"), "created_before"),
        threshold=threshold,
    )


def _change(fields: Mapping[str, Any]) -> LabelChange:
    known = {"data_class", "personal", "special", "purposes", "consent", "legal_hold", "expires_at"}
    if unknown := set(fields) - known:
        raise InputError(
            "label-invalid",
            f"A label has no {len(unknown)} such field(s).",
            f"Use {', '.join(sorted(known))}.",
        )
    data_class, consent = fields.get("data_class"), fields.get("consent")
    return LabelChange(
        data_class=_one_of(DataClass, data_class, "data_class", "label-invalid")
        if data_class
        else None,
        personal=fields.get("personal"),
        special=frozenset(fields["special"]) if fields.get("special") is not None else None,
        purposes=frozenset(fields["purposes"]) if fields.get("purposes") else None,
        consent=_one_of(Consent, consent, "consent", "label-invalid") if consent else None,
        legal_hold=fields.get("legal_hold"),
        expires_at=moment(fields.get("expires_at"), "expires_at"),
    )
