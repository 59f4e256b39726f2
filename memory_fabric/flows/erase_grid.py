"""Erasing a person everywhere: here first, then at every site of the tenant that may be told.

A notice of erasure is a message about a person, so policy decides on it as on any query. Each
site erases by its own rules, and answers with the receipt of its own log.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from memory_fabric.core.access import Requester
from memory_fabric.core.errors import Denied, InputError
from memory_fabric.core.memory import subject_name
from memory_fabric.core.receipt import Outcome
from memory_fabric.flows.asking import Outgoing, Query, Withheld, consult
from memory_fabric.flows.erase import Erased, forget_memory, forget_subject
from memory_fabric.flows.leases import NOTHING_ENDED, Settled, ending_at, give_up, mark_due, sweep
from memory_fabric.flows.messages import (
    erased_from,
    erasure_body,
    erasure_from,
    known_subject,
    malformed,
)
from memory_fabric.flows.node import Node
from memory_fabric.flows.terms import ITSELF
from memory_fabric.gate.permits import release
from memory_fabric.vault.letters import Letter


@dataclass(frozen=True)
class Elsewhere:
    """What another site answered to a notice of erasure."""

    site: str
    memories: int
    keys: int
    receipt: str


@dataclass(frozen=True)
class ErasedEverywhere:
    """An erasure across the grid.

    Attributes:
        here: what was removed at this site.
        elsewhere: what other sites removed.
        withheld: sites that were not told, or that refused, with the rules.
        unreachable: error codes of sites that did not answer; tell them again.
        leases: what was asked back from sites that had it on a lease.
    """

    here: Erased
    elsewhere: tuple[Elsewhere, ...]
    withheld: tuple[Withheld, ...]
    unreachable: Mapping[str, str]
    leases: Settled = NOTHING_ENDED


def forget_one(node: Node, requester: Requester, memory_id: str) -> ErasedEverywhere:
    """Erase one memory here, and end the leases on it."""
    here = forget_memory(node, requester, memory_id)
    return ErasedEverywhere(here, (), (), {}, sweep(node))


def forget_everywhere(node: Node, requester: Requester, subject: str) -> ErasedEverywhere:
    """Erase a subject at this site and at every other site of the tenant that may be told.

    Raises:
        Denied: a rule refuses here, such as a legal hold; then no other site is told either.
    """
    subject = subject_name(subject)
    here = forget_subject(node, requester, subject)
    others = [
        site
        for site in node.roster
        if site.site_id != node.me.site_id and requester.tenant in site.tenants
    ]
    if not others:
        return ErasedEverywhere(here, (), (), {}, sweep(node))
    purpose = node.settings.tenant(requester.tenant).default_purpose
    notice = Query("Notice of erasure.", purpose, subject)
    outgoing = Outgoing(
        requester, purpose, subject, notice.text, node.embedder.embed([notice.text])[0], notice
    )
    replies = consult(node, outgoing, others, lambda: erasure_body(requester, subject))
    elsewhere: list[Elsewhere] = []
    withheld = list(replies.withheld)
    unreachable = dict(replies.unreachable)
    for letter in replies.letters:
        try:
            told = erased_from(letter.body)
            if not isinstance(told, tuple):
                _give_up(node, letter)
        except InputError as error:  # what is erased is erased: one bad answer hides no other
            unreachable[letter.sender.site_id] = error.code
            continue
        if isinstance(told, tuple):
            withheld.append(Withheld(letter.sender, told))
        else:
            site = letter.sender.site_id
            elsewhere.append(Elsewhere(site, told.memories, told.keys, told.receipt))
    return ErasedEverywhere(here, tuple(elsewhere), tuple(withheld), unreachable, sweep(node))


def erase_for(node: Node, letter: Letter) -> bytes:
    """Answer another site's notice of erasure."""
    notice = erasure_from(letter.body, letter.sender.site_id)
    tenant = notice.requester.tenant
    if tenant not in letter.sender.tenants or tenant not in node.me.tenants:
        raise malformed()
    subject = known_subject(notice.hint, tenant, node.keyring.subjects(tenant))
    try:
        done = forget_subject(node, notice.requester, subject)
    except Denied as denial:
        body = {
            "kind": "refused",
            "withheld": denial.details["rules"],
            "receipt": denial.details["receipt"],
        }
        return node.letters.seal_refusal(body, to=letter.sender, reply_to=letter).sealed
    # Only noted: whoever asks may be waiting, and cannot be asked in return. What it has on a lease
    # itself it is told in the answer; other importers are asked with the next act on leases.
    mark_due(node)
    committed = node.commit(
        "erase-confirmed",
        notice.requester,
        Outcome.DONE,
        request={"destination": letter.sender.site_id},
        facts={"letter": letter.id, "erasure": done.receipt},
    )
    body = {
        "kind": "erased",
        "memories": done.memories,
        "keys": done.keys,
        "receipt": done.receipt,
        "ending": ending_at(node, letter.sender.site_id),
    }
    released = release([], committed)
    return node.letters.seal(released, body, to=letter.sender, reply_to=letter).sealed


def _give_up(node: Node, letter: Letter) -> None:
    """Remove what the other site says that this one has from it on a lease."""
    origin = letter.sender.site_id
    try:
        ending = {str(name) for name in letter.body["ending"]}
    except (KeyError, TypeError):
        raise malformed() from None
    if ending:
        give_up(
            node, "lease-end", ITSELF, {"origin": origin, "letter": letter.id},
            lambda lease, row: lease.origin == origin and row.id in ending,
        )  # fmt: skip
