"""Drafts: what an app may write, and errors that never quote it."""

from __future__ import annotations

import struct
from typing import Any

import pytest

from memory_fabric.core.drafts import Draft
from memory_fabric.core.errors import InputError
from memory_fabric.core.labels import Consent, DataClass
from memory_fabric.core.memory import MAX_TEXT


def test_fields_may_stand_flat_or_in_a_label() -> None:
    flat = {"memory": "x", "subjects": ["Anna"], "data_class": "internal", "consent": "given"}
    nested = {
        "memory": "x",
        "subjects": ["Anna"],
        "label": {"data_class": "internal", "consent": "given"},
    }
    assert Draft.from_fields(flat) == Draft.from_fields(nested)
    assert Draft.from_fields(flat).data_class is DataClass.INTERNAL
    assert Draft.from_fields(flat).consent is Consent.GIVEN


def test_cells_of_a_table_are_lists_with_commas_and_words_for_flags() -> None:
    row = {
        "memory": " x ", "subject": "Anna; Ben, Anna", "purpose": "care,research",
        "personal": "no", "id": 7, "special": "", "expires_at": "2027-01-31T00:00:00Z",
    }  # fmt: skip
    draft = Draft.from_fields(row)
    assert (draft.text, draft.subjects, draft.id) == ("x", ("Anna", "Ben"), "7")
    assert (draft.purposes, draft.personal) == (frozenset({"care", "research"}), False)
    assert draft.expires_at is not None
    assert draft.expires_at.isoformat() == "2027-01-31T00:00:00+00:00"


def test_a_vector_is_brought_to_unit_length() -> None:
    draft = Draft.from_fields({"memory": "x", "embedding": [3.0, 4.0], "embedder": "e"})
    assert draft.vector is not None
    assert struct.unpack("<2f", draft.vector) == pytest.approx((0.6, 0.8))


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "text-empty"),
        ({"memory": " \n"}, "text-empty"),
        ({"memory": "x" * (MAX_TEXT + 1)}, "text-too-long"),
        ({"memory": "\ud800"}, "text-not-unicode"),
        ({"memory": 5}, "row-malformed"),
        ({"memory": "x", "colour": "red"}, "row-malformed"),
        ({"memory": "x", "label": "secret"}, "row-malformed"),
        ({"memory": "x", "subjects": [1]}, "row-malformed"),
        ({"memory": "x", "subjects": ["a" * 300]}, "subject-invalid"),
        ({"memory": "x", "subjects": [str(n) for n in range(65)]}, "subjects-too-many"),
        ({"memory": "x", "personal": "perhaps"}, "row-malformed"),
        ({"memory": "x", "consent": "maybe"}, "label-invalid"),
        ({"memory": "x", "memory_type": "vivid"}, "memory-type-unknown"),
        ({"memory": "x", "expires_at": "tomorrow"}, "time-invalid"),
        ({"memory": "x", "expires_at": "2027-01-31"}, "time-without-zone"),
        ({"memory": "x", "id": "a/b"}, "id-invalid"),
        ({"memory": "x", "embedding": ["a"]}, "vector-invalid"),
        ({"memory": "x", "embedding": 5}, "vector-invalid"),
        ({"memory": "x", "embedding": [float("nan")]}, "vector-not-finite"),
        ({"memory": "x", "embedding": [float("inf")]}, "vector-not-finite"),
        ({"memory": "x", "embedding": [0.0, 0.0]}, "vector-zero"),
        ({"memory": "x", "embedding": []}, "vector-zero"),
    ],
)
def test_what_cannot_be_taken_says_why(fields: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as caught:
        Draft.from_fields(fields)
    assert caught.value.code == code
    assert caught.value.do


@pytest.mark.parametrize("column", ["data_class", "consent", "memory_type", "personal", "id"])
def test_a_memory_in_the_wrong_column_is_not_quoted(column: str) -> None:
    text = "Zyxwvut was in hospital / ward 7"
    with pytest.raises(InputError) as caught:
        Draft.from_fields({"memory": "x", column: text})
    assert "Zyxwvut" not in repr(caught.value.problem())


def test_a_memory_as_a_column_name_is_not_quoted() -> None:
    with pytest.raises(InputError) as caught:
        Draft.from_fields({"memory": "x", "Zyxwvut was in hospital": "y"})
    assert "Zyxwvut" not in repr(caught.value.problem())
