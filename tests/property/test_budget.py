"""A prompt never exceeds its budget, whatever was recalled, and drops the lowest ranked first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from memory_fabric.core.access import Form
from memory_fabric.core.errors import InputError
from memory_fabric.flows.ask import prompt
from memory_fabric.flows.notes import Note, numbered, packed
from memory_fabric.flows.sources import sourced
from tests.fakes.generator import ScriptedGenerator

TEXTS = st.lists(st.text(max_size=60), max_size=8)
GENERATOR = ScriptedGenerator()


def notes(texts: list[str]) -> list[Note]:
    return [Note(str(at), "fra-1", Form.FULL, text, 1.0) for at, text in enumerate(texts)]


@given(TEXTS, st.text(min_size=1, max_size=40), st.integers(1, 60))
def test_the_prompt_fits(texts: list[str], question: str, budget: int) -> None:
    def measure(some: object) -> int:
        return GENERATOR.measure(prompt(question, some))

    if measure([]) > budget:
        with pytest.raises(InputError, match="budget"):
            packed(notes(texts), budget, measure)
        return
    kept = packed(notes(texts), budget, measure)
    assert measure(kept) <= budget
    assert kept == notes(texts)[: len(kept)]
    if len(kept) < len(texts):
        assert measure(notes(texts)[: len(kept) + 1]) > budget


@given(TEXTS)
def test_each_note_is_one_line_with_its_number(texts: list[str]) -> None:
    lines = numbered(notes(texts)).split("\n") if texts else []
    assert [line.split("]")[0] for line in lines] == [f"[{n}" for n in range(1, len(texts) + 1)]


@given(st.text(max_size=80), st.text(max_size=40), TEXTS)
def test_what_is_cited_was_there(written: str, question: str, texts: list[str]) -> None:
    made = sourced(written, question, notes(texts))
    if made:
        assert made.known
        assert made.notes
        assert set(made.notes) <= set(notes(texts))
        assert len(set(made.notes)) == len(made.notes)
