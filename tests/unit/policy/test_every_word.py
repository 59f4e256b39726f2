"""Each word in each list of the starter packs stands there for a reason that a case shows.

A word is left out of a copy, one at a time, and the cases of its pack are run: one must come out
otherwise. Lists of actions are not tried: a form that no permit gives is refused anyway.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from memory_fabric.adapters.cedar.cases import run_cases

STARTER = Path(__file__).parents[3] / "policies"
LIST = re.compile(r"\[([^\[\]]*::[^\[\]]*)\]")
WORD = re.compile(r'\s*Sov::(Bloc|DataClass|Instrument|Purpose|Special)::"([^"]+)",?')


def words() -> list[tuple[str, int, int, str]]:
    """Pack, where the word starts and ends in its text, and the word."""
    return [
        (path.stem, *(found.start(1) + edge for edge in word.span()), word.group(2))
        for path in sorted((STARTER / "packs").iterdir())
        for found in LIST.finditer(path.read_text())
        for word in WORD.finditer(found.group(1))
    ]


WORDS = words()


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
    for cases in (bundle / "cases").iterdir():
        if cases.stem != pack:
            cases.unlink()
    file = bundle / "packs" / f"{pack}.cedar"
    text = file.read_text()
    assert word in text[start:end]
    rest = text[:start].rstrip() + text[end:]
    file.write_text(re.sub(r",(\s*\])", r"\1", rest))
    assert run_cases(bundle).failures
