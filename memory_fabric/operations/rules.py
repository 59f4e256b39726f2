"""Operations on whose rules are in force: installing signed ones, and telling of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from memory_fabric.core.access import Requester
from memory_fabric.core.errors import InputError, IntegrityViolated
from memory_fabric.core.receipt import Outcome
from memory_fabric.flows.node import accountable
from memory_fabric.operations.emergencies import open_emergencies
from memory_fabric.operations.shapes import Json
from memory_fabric.wiring import Home
from memory_fabric.wiring.rules import INSTALL


def policy_install(
    home: Home, requester: Requester, *, folder: str, fingerprint: str | None = None
) -> Json:
    """Put the newest rules of a publication folder in force.

    Whatever speaks against them leaves the installed ones untouched, and a receipt of the refusal.

    Args:
        folder: an absolute path on the site's machine.
        fingerprint: of the officers' root; needed with their first rules.
    """
    source = Path(folder)
    if not source.is_absolute():
        raise InputError("folder-relative", "The folder is no absolute path.", "Name it in full.")
    with home.changing_rules:  # the log's newest installation is then the newest there was
        with accountable(home.node, INSTALL, requester):
            mandate = home.install(source, fingerprint)
        facts = {**mandate.to_json(), "root_version": mandate.root_version}
        committed = home.node.commit(
            INSTALL, requester, Outcome.DONE, request={"folder": folder}, facts=facts
        )
    return {**rules_json(home), "receipt": committed.receipt.id}


def rules_json(home: Home) -> dict[str, Any]:
    """The rules in force: which, by whose authority, until when."""
    rules, now = home.node.gate.rulebook, home.node.clock.now()
    closed = rules.closed(now)
    told: dict[str, Any] = {
        "digest": rules.digest,
        "crossing": closed is None,
        "problem": rules.problem or (closed.title if closed else None),
        "mandate": None,
    }
    if mandate := rules.mandate:
        told["mandate"] = {
            "version": mandate.version,
            "root_version": mandate.root_version,
            "self_signed": mandate.self_signed,
            "signers": list(mandate.signers),
            "officers": [officer.name for officer in mandate.officers],
            "threshold": mandate.threshold,
            "ends": {role: end.isoformat() for role, end in mandate.ends.items()},
            "expires": mandate.expires.isoformat(),
        }
    return told


def standing(home: Home) -> dict[str, Any]:
    """What everybody who looks after the site should see at once: whose rules are in force, what
    ends soon, which emergencies are open.
    """
    mandate = home.node.gate.rulebook.mandate
    return {
        "bundle": rules_json(home),
        "ending": mandate.warnings(home.node.clock.now()) if mandate else [],
        "emergencies": open_emergencies(home),
    }


def rules_damage(home: Home) -> list[dict[str, str]]:
    """What is not as it was signed among the installed rules, as ``site verify`` tells it."""
    try:
        home.check_rules()
    except IntegrityViolated as error:
        return [{"file": name, "what": error.what} for name in error.details["damaged"]]
    return []
