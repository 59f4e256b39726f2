"""Ask: an answer from the site's language model, made of what recall releases and nothing else.

The scope (tenant, purpose, subject, reach) is fixed before the model runs, and the model has no
way to ask for more: whatever stands in a memory, an instruction say, can at most spoil the wording
of an answer to somebody who may read that memory anyway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from memory_fabric.core.access import Act, Requester
from memory_fabric.core.errors import Unavailable
from memory_fabric.core.model_ports import Turn
from memory_fabric.core.receipt import Committed, Outcome
from memory_fabric.flows import reading
from memory_fabric.flows.asking import Query, Withheld
from memory_fabric.flows.node import Node, count_forms, plans_json, recorded
from memory_fabric.flows.notes import Note, flat, notes_of, numbered, packed
from memory_fabric.flows.recall import recall
from memory_fabric.flows.sources import Sourced, sourced
from memory_fabric.gate.gate import Ask
from memory_fabric.gate.permits import release

UNKNOWN = "I don't know."
BUDGET = 512
"""Tokens of a prompt at most, where the request says nothing."""
MAX_ANSWER = 64
"""Tokens of an answer at most: one sentence."""
MIN_SCORE = 0.2
"""Where not even the best memory reaches this score, there is nothing to answer from."""
NEAR = 0.75
"""Notes below this part of the best one's score are left out: a small model is led astray."""
MAX_COUNTED = 1000
"""Memories that are counted at most to tell what sending all of them would have cost."""
_ASKED = "Based on the notes above, {} Answer in one sentence."


@dataclass(frozen=True)
class Tokens:
    """What an answer cost.

    Attributes:
        prompt, answer: as the model counted them; 0 where it was not called.
        budget: the most that the prompt might have had.
        everything: what all memories of the scope at this site would have taken as a prompt, the
            first ``MAX_COUNTED`` of them.
    """

    prompt: int
    answer: int
    budget: int
    everything: int

    def to_json(self) -> dict[str, int]:
        """JSON-ready."""
        return {
            "prompt": self.prompt,
            "answer": self.answer,
            "budget": self.budget,
            "all_memories": self.everything,
        }


@dataclass(frozen=True)
class Asked:
    """An answer whose receipt stands in the log.

    Attributes:
        text: one sentence; ``UNKNOWN`` where memory gives none.
        known: whether it answers.
        citations: the notes that it rests on.
        tokens: what it cost.
        model: the generator's name.
        withheld, unreachable: as in a recall.
        committed: the receipt.
    """

    text: str
    known: bool
    citations: Sequence[Note]
    tokens: Tokens
    model: str
    withheld: Sequence[Withheld]
    unreachable: Mapping[str, str]
    committed: Committed


def ask(node: Node, requester: Requester, query: Query, budget: int = BUDGET) -> Asked:
    """Answer a question from memory.

    Raises:
        Unavailable: ``model-not-installed``, ``model-not-runnable``.
        InputError: what recall raises; ``budget-invalid``, ``budget-too-small``.
        NotGranted, Denied: exactly what recall refuses.
    """
    generator = node.generator()
    if generator is None:
        raise Unavailable(
            "model-not-installed",
            "This site has no language model.",
            "Run `make model`, or name a model as [model] path in site.toml.",
        )
    found = recall(node, requester, query)
    notes = _near(notes_of(found.results()))
    room = min(budget, generator.context - MAX_ANSWER)
    used = packed(notes, room, lambda some: generator.measure(prompt(query.text, some)))
    made, tokens_in, tokens_out = Sourced(UNKNOWN, False, ()), 0, 0
    if used:
        written = generator.generate(prompt(query.text, used), MAX_ANSWER)
        made = sourced(written.text, query.text, used) or made
        tokens_in, tokens_out = written.tokens_in, written.tokens_out
    purpose = node.check_purpose(query.purpose, requester)
    subject = node.check_scope(query.subject, query.all_subjects, requester)
    home = Ask(Act.RECALL, requester, purpose, node.me, node.me)
    whole, _ = reading.listing(node, home, subject, query.filters, None, MAX_COUNTED)
    committed = node.commit(
        "ask",
        requester,
        Outcome.PARTLY_WITHHELD if found.withheld else Outcome.DONE,
        request={
            "purpose": purpose,
            "reach": str(query.reach),
            "destination": node.me.site_id,
            "plans": plans_json(node),
            **node.subject_scope(requester.tenant, subject),
        },
        decisions=recorded(node, home, whole.decisions),
        facts={
            "recall": found.released.receipt.receipt.id,
            "model": generator.id,
            "known": made.known,
            "notes": count_forms(note.form for note in used),
            "cited": len(made.notes),
            "tokens": {"prompt": tokens_in, "answer": tokens_out},
        },
    )
    counted = release([whole.data], committed)
    everything = notes_of((node.me.site_id, item) for part in counted.parts for item in part.items)
    in_full = generator.measure(prompt(query.text, everything))
    return Asked(
        made.text, made.known, made.notes,
        Tokens(tokens_in, tokens_out, room, in_full), generator.name,
        found.withheld, found.unreachable, committed,
    )  # fmt: skip


def prompt(question: str, notes: Sequence[Note]) -> list[Turn]:
    """What the model reads: notes as data, each on its numbered line, and the question last."""
    return [Turn("user", f"{numbered(notes)}\n\n{_ASKED.format(flat(question))}")]


def _near(notes: Sequence[Note]) -> list[Note]:
    """The notes worth reading: none where nothing fits, else those that fit nearly as well as the
    best.
    """
    best = max((note.score for note in notes), default=0.0)
    if best < MIN_SCORE:
        return []
    return [note for note in notes if note.score >= NEAR * best]
