"""Operations: what can be asked of a site, as JSON in and JSON out.

The command line calls them on a home that it opens, or sends them to the one that serves it
through the local socket; the HTTP routes call them for apps. So every face gives the same answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any

from memory_fabric.core.access import Role
from memory_fabric.core.errors import InputError, NotFound, NotGranted
from memory_fabric.operations.answers import ask, context
from memory_fabric.operations.backups import backup_check, backup_create
from memory_fabric.operations.emergencies import (
    breakglass_close,
    breakglass_list,
    breakglass_open,
)
from memory_fabric.operations.exports import (
    export_run,
    export_status,
    export_take,
    lease_list,
    lease_recall,
)
from memory_fabric.operations.impact import policy_impact, receipts_replay
from memory_fabric.operations.keys import keys_escrow, keys_rotate, keys_status
from memory_fabric.operations.memories import (
    add,
    add_good,
    forget,
    get,
    label_set,
    own_page,
    page,
    search,
)
from memory_fabric.operations.oversight import (
    expiring,
    policy_flows,
    policy_matrix,
    policy_rule,
    policy_rules,
    policy_words,
)
from memory_fabric.operations.proposals import (
    RECENT,
    candidate_approve,
    candidate_propose,
    candidate_show,
    candidate_withdraw,
    candidates_list,
)
from memory_fabric.operations.receipts import (
    checkpoint,
    consistency,
    erasures,
    receipt_proof,
    receipt_show,
    receipts_list,
    receipts_tally,
    receipts_verify,
)
from memory_fabric.operations.rules import policy_install, standing
from memory_fabric.operations.shapes import Json
from memory_fabric.operations.site import (
    app_add,
    app_list,
    app_remove,
    classes_add,
    classes_list,
    explain_policy,
    grid_accept,
    grid_card,
    grid_witness,
    link,
    status,
    verify_site,
)
from memory_fabric.operations.training import (
    finetune_answer,
    finetune_begin,
    finetune_initial,
    finetune_join,
    finetune_load,
    finetune_model,
    finetune_relay,
    finetune_runs,
    finetune_save,
    finetune_take,
)
from memory_fabric.operations.who import authenticate, operator, sign_in, still_valid
from memory_fabric.wiring import Home

__all__ = [
    "OPERATIONS",
    "OPERATORS_ONLY",
    "RECENT",
    "Json",
    "add",
    "add_good",
    "app_add",
    "app_list",
    "app_remove",
    "ask",
    "authenticate",
    "backup_check",
    "backup_create",
    "breakglass_close",
    "breakglass_list",
    "breakglass_open",
    "candidate_approve",
    "candidate_propose",
    "candidate_show",
    "candidate_withdraw",
    "candidates_list",
    "checkpoint",
    "classes_add",
    "classes_list",
    "consistency",
    "context",
    "erasures",
    "expiring",
    "explain_policy",
    "export_run",
    "export_status",
    "export_take",
    "finetune_answer",
    "finetune_begin",
    "finetune_initial",
    "finetune_join",
    "finetune_load",
    "finetune_model",
    "finetune_relay",
    "finetune_runs",
    "finetune_save",
    "finetune_take",
    "forget",
    "get",
    "grid_accept",
    "grid_card",
    "grid_witness",
    "keys_escrow",
    "keys_rotate",
    "keys_status",
    "label_set",
    "lease_list",
    "lease_recall",
    "link",
    "operator",
    "own_page",
    "page",
    "policy_flows",
    "policy_impact",
    "policy_install",
    "policy_matrix",
    "policy_rule",
    "policy_rules",
    "policy_words",
    "receipt_proof",
    "receipt_show",
    "receipts_list",
    "receipts_replay",
    "receipts_tally",
    "receipts_verify",
    "run",
    "search",
    "sign_in",
    "standing",
    "status",
    "still_valid",
    "verify_site",
]

Operation = Callable[..., Json]

OPERATIONS: Mapping[str, Operation] = {
    operation.__name__: operation
    for operation in (
        app_add, app_list, app_remove, add, add_good, search, ask, context, get, page, forget,
        own_page, label_set, status, verify_site, classes_list, classes_add, link, explain_policy,
        receipts_list, receipts_tally, erasures, receipt_show, receipt_proof, receipts_verify,
        receipts_replay, policy_impact, checkpoint, consistency,
        grid_card, grid_accept, grid_witness,
        export_run, export_status, export_take, lease_list, lease_recall,
        finetune_model, finetune_initial, finetune_begin, finetune_take, finetune_relay,
        finetune_answer, finetune_join, finetune_save, finetune_load, finetune_runs,
        backup_create, backup_check,
        keys_status, keys_rotate, keys_escrow,
        policy_rules, policy_rule, policy_words, policy_flows, policy_matrix, expiring,
        policy_install, breakglass_open, breakglass_close, breakglass_list,
    )
}  # fmt: skip
"""Every operation by its name on the local socket."""

OPERATORS_ONLY = frozenset(
    operation.__name__
    for operation in (
        app_add, app_list, app_remove, classes_add, link, grid_card, grid_accept, verify_site,
        grid_witness,
        export_run, export_status, export_take, lease_list, lease_recall,
        finetune_model, finetune_initial, finetune_begin, finetune_take, finetune_relay,
        finetune_answer, finetune_join, finetune_save, finetune_load, finetune_runs,
        backup_create, backup_check,
        keys_status, keys_rotate, keys_escrow,
        policy_install, breakglass_open, breakglass_close,
    )
)  # fmt: skip
"""Operations that change or read the site itself; no API key of another role runs them."""


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
    run_it = OPERATIONS[operation]
    try:
        signature(run_it).bind(home, requester, **params)
    except TypeError:
        raise InputError(
            "operation-malformed",
            "The operation does not take these parameters.",
            "Bring the program and the process that serves the home to the same version.",
        ) from None
    return run_it(home, requester, **params)
