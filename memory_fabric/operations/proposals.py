"""Operations on candidate bundles: propose, look at what would change, approve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict

from memory_fabric.core.access import Requester, Role
from memory_fabric.core.errors import NotGranted
from memory_fabric.flows import impact, proposals
from memory_fabric.flows.proposals import Proposal, Step
from memory_fabric.operations.shapes import Json
from memory_fabric.wiring import Home
from memory_fabric.wiring.written import Written, WrittenRule

RECENT = 500
"""Recorded requests that a candidate is put to where nobody asks for more."""

_REMEMBERED = 50


def candidates_list(home: Home, requester: Requester) -> Json:
    """The newest proposals, newest first."""
    _check_officer(requester)
    return {"candidates": [_told(home, item) for item in proposals.proposals(home.node)]}


def candidate_propose(home: Home, requester: Requester, *, files: Mapping[str, bytes]) -> Json:
    """Keep a bundle that passes its checks and cases, and propose it.

    Args:
        files: by path, as they were sent.

    Raises:
        PolicyInvalid: ``policy-invalid``, with what is wrong.
        InputError: ``candidate-in-force``, ``candidate-proposed``.
    """
    _check_officer(requester)
    digest = home.candidates.keep(files)
    if digest == home.node.gate.rulebook.digest:
        home.candidates.drop(digest)
    proposed = proposals.propose(home.node, requester, digest)
    _impact(home, digest, RECENT, anew=True)
    return _told(home, proposed)


def candidate_show(
    home: Home, requester: Requester, *, digest: str, last: int = RECENT, anew: bool = False
) -> Json:
    """A candidate: rule by rule what is new, and what it would change at this site.

    Args:
        last: recorded requests that it is put to.
        anew: ask now; else what was found before is told, under the same rules, sites and
            classes, with its moment (``as_of``).
    """
    _check_officer(requester)
    found = proposals.find(home.node, digest)
    written = home.candidates.written(digest)
    return {
        **_told(home, found),
        "may_approve": found.state == "waiting" and found.proposed.by != requester.name,
        "rules": _differences(home.written(), written),
        "warnings": [asdict(found) for found in home.candidates.warnings(digest)],
        "impact": _impact(home, digest, last, anew),
    }


def candidate_approve(home: Home, requester: Requester, *, digest: str) -> Json:
    """Agree, as a second officer, to exactly this bundle."""
    _check_officer(requester)
    home.candidates.written(digest)  # what nobody can read any more, nobody approves
    return _told(home, proposals.approve(home.node, requester, digest))


def candidate_withdraw(home: Home, requester: Requester, *, digest: str) -> Json:
    """Take a proposal back, or turn it down; its files are removed."""
    _check_officer(requester)
    told = _told(home, proposals.withdraw(home.node, requester, digest))
    home.candidates.drop(digest)
    return told


def _impact(home: Home, digest: str, last: int, anew: bool) -> Json:
    node, known = home.node, home.candidates.impacts
    asked = max(1, min(last, impact.LAST))
    key = digest, node.gate.rulebook.digest, node.roster.digest, node.settings.declared, asked
    if anew or key not in known:
        found = impact.impact(node, home.candidates.engine(digest), asked)
        if len(known) >= _REMEMBERED:
            known.clear()
        known[key] = {**found.to_json(), "asked": asked, "as_of": node.clock.now().isoformat()}
    return known[key]


def _told(home: Home, found: Proposal) -> Json:
    return {
        "digest": found.digest,
        "before": found.before,
        "state": found.state,
        "folder": str(home.candidates.where(found.digest)),
        "proposed": _step(found.proposed),
        "approved": _step(found.approved) if found.approved else None,
        "withdrawn": _step(found.withdrawn) if found.withdrawn else None,
    }


def _step(step: Step) -> Json:
    return {"by": step.by, "at": step.at, "receipt": step.receipt}


def _differences(before: Written, after: Written) -> list[Json]:
    """Rules that were added, taken out or written otherwise, by id."""
    old = {item.rule.id: item for item in before.rules}
    new = {item.rule.id: item for item in after.rules}
    removed = [_difference("removed", item, None) for name, item in old.items() if name not in new]
    added = [_difference("added", None, item) for name, item in new.items() if name not in old]
    changed = [
        _difference("changed", old[name], item)
        for name, item in new.items()
        if name in old and old[name].text != item.text
    ]
    return [*removed, *changed, *added]


def _difference(change: str, old: WrittenRule | None, new: WrittenRule | None) -> Json:
    told: Json = {"change": change, "before": None, "after": None}
    for name, written in (("before", old), ("after", new)):
        if written:
            told |= {**written.rule.to_json(), name: written.text}
    return told


def _check_officer(requester: Requester) -> None:
    if requester.role is not Role.COMPLIANCE:
        raise NotGranted(
            "role-not-granted",
            "Rules are proposed and approved by compliance.",
            "Use a key of role compliance.",
        )
