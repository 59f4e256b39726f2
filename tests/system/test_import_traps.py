"""Imports that could lose a subject or a row without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from memory_fabric.core.drafts import Draft
from memory_fabric.core.errors import InputError
from memory_fabric.core.memory import subject_name
from tests.system.homes import cli, site

GOOD = {"memory": "A good row.", "subjects": ["Dora"]}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site(tmp_path_factory.mktemp("traps"), "fra-1", "DE")


@pytest.mark.parametrize(
    "fields",
    [
        {"subjects": ["Anna"], "subject": "Bert"},
        {"subjects": ["Anna"], "label": {"subjects": ["Bert"]}},
        {"subjects": ["Anna"], "text": "Another text."},
        {
            "subjects": ["Anna"],
            "expires_at": "2030-01-01T00:00:00Z",
            "label": {"expires_at": "2027-01-01T00:00:00Z"},
        },
    ],
)
def test_a_field_given_twice_is_refused_not_overwritten(fields: dict[str, Any]) -> None:
    with pytest.raises(InputError) as refused:
        Draft.from_fields({"memory": "Anna met Bert.", **fields})
    assert refused.value.code == "row-malformed"
    assert "Anna" not in refused.value.what


def test_a_csv_file_with_two_columns_of_one_name_is_refused(home: Path, tmp_path: Path) -> None:
    source = tmp_path / "rows.csv"
    source.write_text("memory,subject,subject\nAnna met Bert.,Anna,Bert\n")
    done = cli(home, "remember", "--from", str(source))
    assert (done.code, done.json["code"]) == (2, "file-unreadable")


@pytest.mark.parametrize(
    "line",
    [
        '{"memory": "Anna met Bert.", "subjects": ["Anna"], "subjects": ["Bert"]}',
        json.dumps({**GOOD, "expires_at": "0001-01-01T00:00:00+14:00"}),
        json.dumps({**GOOD, "embedding": [10**400], "embedder": "x"}),
    ],
    ids=["a key twice", "a time before time", "a number beyond numbers"],
)
def test_a_bad_row_is_told_by_its_line_and_the_rest_goes_in(
    home: Path, tmp_path: Path, line: str
) -> None:
    source = tmp_path / "rows.jsonl"
    good = {**GOOD, "memory": f"Anna came by, {tmp_path.name}."}  # not what is there already
    source.write_text(f"{line}\n{json.dumps(good)}\n")
    done = cli(home, "remember", "--from", str(source))
    assert done.code == 1
    assert done.json["remembered"] == 1
    assert [problem["line"] for problem in done.json["problems"]] == [1]


def test_a_long_embedding_keeps_its_direction() -> None:
    small = Draft.from_fields({**GOOD, "embedding": [3.0, 4.0], "embedder": "x"})
    large = Draft.from_fields({**GOOD, "embedding": [3e200, 4e200], "embedder": "x"})
    assert small.vector == large.vector


@pytest.mark.parametrize(
    "typed",
    ["Anna  Schmidt", "Anna\u00a0Schmidt", "Anna\tSchmidt", "\u200bAnna Schm\u00adidt\ufeff"],
)
def test_a_subject_is_the_same_however_its_spaces_were_typed(typed: str) -> None:
    assert subject_name(typed) == "Anna Schmidt"
