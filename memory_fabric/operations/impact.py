"""Operations on recorded requests: asked again, under the rules of then or a candidate's."""

from __future__ import annotations

from pathlib import Path

from memory_fabric.core.access import Requester, Role
from memory_fabric.core.errors import InputError, NotGranted
from memory_fabric.flows import impact, replay
from memory_fabric.operations.shapes import Json
from memory_fabric.wiring import Home, candidate


def policy_impact(
    home: Home, requester: Requester, *, bundle: str, last: int = impact.LAST
) -> Json:
    """What a candidate bundle would change for this site's declared classes, and would have changed
    for the newest recorded requests.

    Args:
        bundle: the candidate's folder on this machine.
        last: so many receipts that hold decisions.

    Raises:
        PolicyInvalid: the candidate does not pass its checks.
        NotGranted: ``role-not-granted``.
    """
    _check_role(requester)
    rules = candidate(Path(bundle))
    found = impact.impact(home.node, rules, _checked(last), _told(home))
    return found.to_json()


def receipts_replay(home: Home, requester: Requester, *, last: int | None = None) -> Json:
    """Put recorded requests to the rules that answered them: each must get the recorded answer.

    Args:
        last: only the newest so many receipts that hold decisions.
    """
    _check_role(requester)
    progress = home.progress
    found = replay.replay(
        home.node.ledger, home.bundles.engine, None if last is None else _checked(last), progress
    )
    return {
        "receipts": found.receipts,
        "answers": found.answers,
        "different": [
            {
                "receipt": recorded.receipt,
                "act": str(recorded.ask.act),
                "class": {**state.label_class.to_json(), "text": str(state.label_class)},
                "recorded": dict(recorded.answer),
                "again": dict(again),
            }
            for recorded, state, again in found.different
        ],
        "unknown": dict(found.unknown),
    }


def _told(home: Home) -> impact.Told | None:
    progress = home.progress
    return (lambda what, done, total: progress(done, total)) if progress else None


def _checked(last: int) -> int:
    if last < 1:
        raise InputError("limit-invalid", "`last` is out of range.", "Ask for 1 or more receipts.")
    return last


def _check_role(requester: Requester) -> None:
    if requester.role is Role.APP:
        raise NotGranted(
            "role-not-granted",
            "This is for compliance officers and the site's operator.",
            "Use a key of the role compliance.",
        )
