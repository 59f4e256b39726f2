"""Each word in each list of the starter packs, and each number, is held by a case.

A word is left out of a copy, or a number moved by one, one at a time, and cases are run: one must
come out otherwise. Lists of actions are not tried: a form that no permit gives is refused anyway.
"""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest

from memory_fabric.adapters.cedar.cases import run_cases

STARTER = Path(__file__).parents[3] / "policies"
LIST = re.compile(r"\[([^\[\]]*::[^\[\]]*)\]")
WORD = re.compile(r'\s*Sov::(Bloc|DataClass|Instrument|Purpose|Special)::"([^"]+)",?')
NUMBER = re.compile(r'(?<=[<>] )\d+\b|(?<=[<>]= )\d+\b|(?<=decimal\(")[\d.]+(?="\))')


def words() -> list[tuple[str, int, int, str]]:
    """Pack, where the word starts and ends in its text, and the word."""
    return [
        (path.stem, *(found.start(1) + edge for edge in word.span()), word.group(2))
        for path in sorted((STARTER / "packs").iterdir())
        for found in LIST.finditer(path.read_text())
        for word in WORD.finditer(found.group(1))
    ]


def moved() -> list[tuple[str, int, int, str]]:
    """Pack, where a number starts and ends in its text, and the numbers beside it."""
    return [
        (path.stem, *number.span(), beside)
        for path in sorted((STARTER / "packs").iterdir())
        for number in NUMBER.finditer(path.read_text())
        for beside in _beside(number.group())
    ]


def _beside(number: str) -> list[str]:
    if "." in number:
        steps = [Decimal(number) + step for step in (Decimal("0.1"), Decimal("-0.1"))]
        return [str(step) for step in steps if step >= 0]
    return [str(int(number) + 1), str(int(number) - 1)]


def cases_of(pack: str, bundle: Path) -> None:
    """Leave only the cases of one pack; all of them for what the packs share."""
    for cases in (bundle / "cases").iterdir():
        if pack != "common" and cases.stem != pack:
            cases.unlink()


WORDS = words()
MOVED = moved()


def test_all_special_categories_are_among_the_words() -> None:
    for pack in ("br", "cn", "eu", "in", "sa", "uk", "us"):
        assert {"genetic", "biometric", "children"} <= {
            word[3] for word in WORDS if word[0] == pack
        }


@pytest.mark.parametrize(
    ("pack", "start", "end", "word"),
    WORDS,
    ids=[f"{word[0]}-{word[1]}-{word[3]}" for word in WORDS],
)
def test_a_word_left_out_is_noticed(
    bundle: Path, pack: str, start: int, end: int, word: str
) -> None:
    cases_of(pack, bundle)
    file = bundle / "packs" / f"{pack}.cedar"
    text = file.read_text()
    assert word in text[start:end]
    rest = text[:start].rstrip() + text[end:]
    file.write_text(re.sub(r",(\s*\])", r"\1", rest))
    assert run_cases(bundle).failures


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pack", "start", "end", "beside"), MOVED, ids=[f"{n[0]}-{n[1]}-{n[3]}" for n in MOVED]
)
def test_a_number_moved_by_one_is_noticed(
    bundle: Path, pack: str, start: int, end: int, beside: str
) -> None:
    cases_of(pack, bundle)
    file = bundle / "packs" / f"{pack}.cedar"
    text = file.read_text()
    file.write_text(text[:start] + beside + text[end:])
    assert run_cases(bundle).failures
