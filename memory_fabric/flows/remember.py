"""Remember: label, embed, seal, store; acknowledged when stack and ledger have it on disk."""

from __future__ import annotations

import secrets
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from memory_fabric.core.access import Requester
from memory_fabric.core.drafts import Draft
from memory_fabric.core.errors import (
    DuplicateId,
    EmbedderMismatch,
    InputError,
    MemoryFabricError,
    Unavailable,
)
from memory_fabric.core.labels import DataClass, Label
from memory_fabric.core.memory import Memory, Vector
from memory_fabric.core.receipt import Committed
from memory_fabric.flows.many import without_cycle_search
from memory_fabric.flows.node import Node
from memory_fabric.flows.opening import pen
from memory_fabric.flows.storing import Storing, make_room, store


@dataclass(frozen=True)
class Remembered:
    """Ids of the stored memories in the order of their drafts, and the receipt."""

    ids: list[str]
    receipt: str


def label_for(node: Node, requester: Requester, draft: Draft) -> Label:
    """The label that a draft gets here: the site's region, the tenant's defaults.

    Raises:
        InputError: ``purpose-unknown``, ``special-unknown``, ``subject-missing`` ...
        NotGranted: ``purpose-not-granted``.
    """
    tenant = node.settings.tenant(requester.tenant or None)
    purposes = draft.purposes
    if not purposes and len(requester.purposes) == 1:
        purposes = requester.purposes
    for purpose in purposes or {tenant.default_purpose}:
        node.check_purpose(purpose, requester)
    if not draft.special <= set(node.specials):
        raise InputError(
            "special-unknown",
            "The policy bundle knows no such special category.",
            f"Use {', '.join(node.specials)}.",
        )
    label = Label(
        home=node.me.region,
        tenant=tenant.name,
        data_class=draft.data_class
        or max(DataClass.CONFIDENTIAL, tenant.floor_data_class, key=lambda c: c.rank),
        personal=True if draft.personal is None else draft.personal,
        purposes=purposes or frozenset({tenant.default_purpose}),
        special=draft.special,
        consent=draft.consent,
        legal_hold=draft.legal_hold,
        expires_at=draft.expires_at,
        subjects=draft.subjects,
    )
    if label.personal and not label.subjects:
        raise InputError(
            "subject-missing",
            "A memory about people names none of them.",
            "Name its subjects, or say that it is not personal.",
        )
    return label


def check_draft(
    node: Node, requester: Requester, draft: Draft, taken: Container[str] = ()
) -> Label:
    """Everything that can be wrong with one draft; its label where nothing is.

    Args:
        taken: ids of the drafts before it.

    Raises:
        InputError: ``label-below-floor``, ``vector-dimension`` and those of ``label_for``.
        ClassUndeclared: ``class-undeclared``.
        DuplicateId: ``id-duplicate``.
    """
    (label,) = _labels(node, requester, [draft], taken)
    if draft.id is not None and node.copy.named(label.tenant, [draft.id]):
        raise _exists()
    return label


_ALIKE = attrgetter(
    "data_class", "personal", "special", "purposes", "consent", "legal_hold", "expires_at"
)


def _labels(
    node: Node, requester: Requester, drafts: Sequence[Draft], taken: Container[str] = ()
) -> list[Label]:
    """The drafts' labels. What many drafts have alike is made and checked once.

    Raises:
        InputError, ClassUndeclared, DuplicateId: with ``details['row']``.
    """
    labels: list[Label] = []
    known: dict[tuple[object, bool], Label] = {}
    ids: set[str] = set()
    embedder, length = node.embedder.id, 4 * node.embedder.dim
    try:
        for draft in drafts:
            alike = _ALIKE(draft), not draft.subjects
            label = known.get(alike)
            if label is None:
                label = known[alike] = label_for(node, requester, draft)
                node.settings.tenant(label.tenant).check_floor(label)
                node.settings.check_declared(label.label_class)
            vector = draft.vector
            if vector is not None and (draft.embedder != embedder or len(vector) != length):
                raise _unfit(node, draft.embedder, vector)
            name = draft.id
            if name is not None:
                if name in ids or name in taken:
                    raise DuplicateId(
                        "id-duplicate", "An id occurs twice in one request.", "Send each id once."
                    )
                ids.add(name)
            labels.append(label.about(draft.subjects))
    except MemoryFabricError as error:
        error.details.setdefault("row", len(labels))
        raise
    return labels


def _unfit(node: Node, embedder: str | None, vector: Vector) -> MemoryFabricError:
    """What is wrong with an embedding that is not one of this site's."""
    if embedder is None:
        return InputError(
            "embedder-missing",
            "An embedding comes without the id of its embedder.",
            f"Name it; this site uses {node.embedder.id}.",
        )
    if embedder != node.embedder.id:
        return EmbedderMismatch(
            "embedder-mismatch",
            "The embedding was made by another embedder than this site's.",
            f"Leave it out, or embed with {node.embedder.id}.",
        )
    return InputError(
        "vector-dimension",
        f"The embedding has {len(vector) // 4} numbers; "
        f"this site's embedder gives {node.embedder.dim}.",
        "Send vectors of the named embedder.",
    )


@dataclass(frozen=True)
class _Wanted:
    """What one caller wants stored.

    Attributes:
        memories: complete, and not yet stored.
        chosen: ids that the caller chose: those that could be taken.
    """

    requester: Requester
    memories: Sequence[Memory]
    chosen: Sequence[str]

    def __len__(self) -> int:
        return len(self.memories)


@without_cycle_search()
def remember(node: Node, requester: Requester, drafts: Sequence[Draft]) -> Remembered:
    """Store drafts, all or none. Those who remember at once share the way to the disk.

    Raises:
        InputError: with ``details['row']``, the position of the first draft that cannot be taken.
    """
    if not drafts:
        raise InputError("nothing-to-do", "There is nothing to remember.", "Send a memory.")
    labels = _labels(node, requester, drafts)
    ids = [secrets.token_hex(12) if draft.id is None else draft.id for draft in drafts]
    bare = [draft.text for draft in drafts if draft.vector is None]
    vectors = iter(node.embedder.embed(bare) if bare else [])
    now = node.clock.now()
    memories = [
        Memory(
            id=name,
            text=draft.text,
            vector=draft.vector if draft.vector is not None else next(vectors),
            embedder=node.embedder.id,
            label=label,
            memory_type=draft.memory_type,
            created_at=now,
            valid_at=draft.valid_at,
            metadata=draft.metadata,
        )
        for name, draft, label in zip(ids, drafts, labels, strict=True)
    ]
    chosen = [draft.id for draft in drafts if draft.id is not None]
    wanted = _Wanted(requester, memories, chosen)
    committed = node.remembering.do(wanted, partial(_remember_together, node))
    return Remembered(ids, committed.receipt.id)


def _remember_together(node: Node, group: Sequence[_Wanted]) -> list[Committed | Exception]:
    """Store what several callers want in one act; only who takes an id that is taken, or
    does not fit into memory, fails.
    """
    with pen(node):
        refused: dict[int, DuplicateId | Unavailable] = {}
        taken: set[tuple[str, str]] = set()
        good: list[_Wanted] = []
        for place, wanted in enumerate(group):
            tenant = wanted.memories[0].label.tenant
            names = {(tenant, name) for name in wanted.chosen}
            held = {(tenant, name) for name in node.copy.named(tenant, wanted.chosen)}
            if clash := held | taken & names:
                ids = [(tenant, memory.id) for memory in wanted.memories]
                refused[place] = _exists()
                refused[place].details["row"] = min(map(ids.index, clash))
                continue
            try:
                make_room(node, [memory for one in [*good, wanted] for memory in one.memories])
            except Unavailable as error:
                refused[place] = error
                continue
            taken |= names
            good.append(wanted)
        sealed = iter(node.vault.seal([memory for wanted in good for memory in wanted.memories]))
        acts = [
            Storing(
                "remember",
                wanted.requester,
                [(next(sealed), memory) for memory in wanted.memories],
                request={"memories": len(wanted)},
            )
            for wanted in good
        ]
        committed = iter(store(node, *acts) if acts else [])
    return [refused[place] if place in refused else next(committed) for place in range(len(group))]


def _exists() -> DuplicateId:
    return DuplicateId(
        "id-duplicate",
        "A memory with this id exists already.",
        "Choose another id, or change the existing memory.",
    )
