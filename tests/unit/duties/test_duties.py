"""What each form shows of a memory, and that nothing shows more."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_fabric.adapters.redactor import PatternRedactor
from memory_fabric.core.access import Act, Decision, Form, Plan, Rule
from memory_fabric.core.labels import ClassState, DataClass, Label
from memory_fabric.core.memory import Memory, MemoryType
from memory_fabric.core.places import Region
from memory_fabric.gate.duties import Duties
from memory_fabric.gate.permits import Discharged, Mint, OpenedMemory, opened
from tests.fakes.embedder import HashEmbedder

NOW = datetime(2026, 6, 1, tzinfo=UTC)
EMBEDDER = HashEmbedder()
DUTIES = Duties(PatternRedactor(), EMBEDDER)
ADA = Memory(
    id="ada-lovelace-7",
    text="Ada Lovelace (ada@example.org) likes quinces.",
    vector=EMBEDDER.embed(["Ada Lovelace (ada@example.org) likes quinces."])[0],
    embedder=EMBEDDER.id,
    label=Label(
        home=Region("DE"), tenant="acme", data_class=DataClass.CONFIDENTIAL, personal=True,
        purposes=frozenset({"care"}), subjects=("Ada Lovelace",),
    ),
    memory_type=MemoryType.EPISODIC,
    created_at=NOW,
    metadata={"ward": "Ada's"},
)  # fmt: skip
MASKED = "[PERSON] ([EMAIL]) likes quinces."


def discharge(*items: tuple[Memory, Form | None], to: str = "lon-1", duties: Duties = DUTIES):
    chosen = [
        OpenedMemory(memory, Decision(form is not None, form, Plan(), (Rule("r", "t", "b"),)), 0.5)
        for memory, form in items
    ]
    mint = Mint()
    permit = mint.strike(
        act=Act.RECALL, tenant="acme", purpose="care", subject=None,
        origin=Region("DE"), destination=to,
        grants={ClassState(item.memory.label.label_class): item.decision for item in chosen},
        now=NOW,
    )  # fmt: skip
    return duties.discharge(opened(mint.redeem(permit, NOW), chosen))


def shown(form: Form, memory: Memory = ADA, **how):
    done: Discharged = discharge((memory, form), **how)
    assert not done.withheld
    [item] = done.items
    assert item.form is form
    assert item.rules == ("r",)
    assert item.score == 0.5
    return item


def test_full_shows_the_memory_as_its_app_knows_it():
    item = shown(Form.FULL)
    assert (item.id, item.memory, item.vector) == (ADA.id, ADA.text, None)
    assert item.facts["subjects"] == ["Ada Lovelace"]
    assert item.facts["metadata"] == {"ward": "Ada's"}
    assert item.facts["memory_type"] == "episodic"


def test_redacted_shows_masked_text_and_nothing_that_names_anyone():
    item = shown(Form.REDACTED)
    assert (item.memory, item.vector) == (MASKED, None)
    assert item.facts == {"memory_type": "episodic"}
    assert "ada" not in repr(item).casefold()


def test_vectors_only_is_the_vector_of_the_masked_text():
    item = shown(Form.VECTORS_ONLY, replace(ADA, embedder="an older one"))
    assert item.memory is None
    assert item.vector == EMBEDDER.embed([MASKED])[0]
    assert item.vector != ADA.vector
    assert item.embedder == EMBEDDER.id
    assert item.facts == {"memory_type": "episodic"}


def test_a_pseudonym_is_steady_for_a_receiver_and_different_for_another():
    here = shown(Form.REDACTED).id
    assert here == shown(Form.VECTORS_ONLY).id
    assert here != shown(Form.REDACTED, to="iad-1").id
    assert here != shown(Form.REDACTED, replace(ADA, id="other")).id
    assert here != shown(Form.REDACTED, duties=Duties(PatternRedactor(), EMBEDDER)).id


@pytest.mark.parametrize("form", [Form.NOISED_VECTORS, Form.AGGREGATE, None])
def test_forms_that_cannot_be_produced_are_withheld(form):
    done = discharge((ADA, form), (ADA, Form.FULL))
    assert list(done.withheld) == [ADA.id]
    assert [item.form for item in done.items] == [Form.FULL]


@pytest.mark.parametrize("form", [Form.REDACTED, Form.VECTORS_ONLY])
def test_a_text_that_cannot_be_masked_is_withheld_and_the_others_go_on(form):
    hidden = replace(ADA, id="hidden", text="A\ue000da Lovelace")
    done = discharge((ADA, form), (hidden, form), (ADA, form))
    assert list(done.withheld) == ["hidden"]
    assert len(done.items) == 2


WORDS = ["Ada", "Lovelace", "ada", "likes", "tea", "\ufffd", "M\u00fcller", "ada@example.org"]


@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from([*Form, None])), max_size=6))
def test_no_form_but_full_ever_carries_a_name(words):
    memories = [
        (replace(ADA, id=f"ada-{at}", text=f"{word} and tea"), form)
        for at, (word, form) in enumerate(words)
    ]
    done = discharge(*memories)
    for item in done.items:
        if item.form is not Form.FULL:
            assert not {"ada", "lovelace"} & set((item.memory or "").casefold().split())
            assert "ada" not in repr(item.facts) + item.id[:3]
    assert len(done.items) + len(done.withheld) == len(memories)
