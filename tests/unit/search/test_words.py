"""Which terms a text is found by."""

from __future__ import annotations

import pytest

from memory_fabric.adapters.search.words import Analyser, words


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("The dogs were running", "dog run"),
        ("Müller aß Brötchen", "MULLER ass brotchen"),
        ("naïve café", "naive cafe"),
        ("Straße", "STRASSE"),
        ("Caroline's book", "caroline\u2019s books"),
        ("snake_case", "snake case"),
        ("\uff26\uff55\uff4c\uff4c width", "full WIDTH"),
        ("Ελλάδα", "ελλαδα"),
        ("нормы", "НОРМЫ"),
        ("दुनिया", "दुनिया।"),
        ("مُحَمَّد", "محمد"),
        ("room 42b", "ROOMS 42B"),
    ],
)
def test_forms_of_a_word_are_one_term(written, asked):
    assert words(written) == words(asked, query=True)


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("我非常喜欢猫", "喜欢"),
        ("我非常喜欢猫", "猫"),
        ("東京都に住む", "東京"),
        ("안녕하세요 세계", "세계"),
        ("ภาษาไทย", "ไทย"),
        ("mixed中文text", "中文"),
        ("mixed中文text", "text"),
    ],
)
def test_scripts_without_spaces_are_found_by_any_part(written, asked):
    terms = words(asked, query=True)
    assert terms
    assert set(terms) <= set(words(written))


def test_a_query_of_pairs_does_not_match_by_lone_characters():
    assert not set(words("喜欢", query=True)) & set(words("喜 欢"))


def test_stop_words_and_punctuation_are_left_out():
    assert words("What is the, of... and -- it?!") == []
    assert words("") == []


def test_texts_analysed_together_have_the_terms_that_each_has_alone():
    texts = [
        "It's Ada's apple, isn't it?", "", "the\nof\n\nAPPLES apple", "我喜欢猫 apples",
        "'s", "don't", "Müller's café", "snake_case's x_1", "\n", "a-b.c 42", "naïve\nNAIVE",
        "they've  they",
    ]  # fmt: skip
    analyser = Analyser()
    for some in (texts[:5], texts, texts[::-1], [""], []):
        numbers, places = analyser.analysed(some)
        for at, text in enumerate(some):
            expected = [analyser.find(term) for term in words(text)]
            assert numbers[places == at].tolist() == expected
            assert None not in expected
