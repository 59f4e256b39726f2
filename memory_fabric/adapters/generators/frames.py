"""A conversation as the model reads it, in which no text can pass for the frame around it.

A chat template puts control tokens around each turn. Applied to the texts themselves, a text that
spells such a token would end its turn and begin another. So the template is applied to marks, and
only what stands between the marks is read for control tokens; texts are read letter by letter.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence

from memory_fabric.core.errors import InputError
from memory_fabric.core.model_ports import Turn

Messages = list[dict[str, str]]
Tokenize = Callable[[str, bool], list[int]]
"""A text and whether control tokens are recognised in it; its tokens."""


def framed(
    template: Callable[[Messages], str], tokenize: Tokenize, turns: Sequence[Turn]
) -> list[int]:
    """The tokens of a prompt: frame read with control tokens, texts without.

    Args:
        template: the model's chat template, ending where the answer begins.
    """
    salt = secrets.token_hex(8)
    marks = [f"mark{salt}x{number}x" for number in range(len(turns))]
    messages = [
        {"role": turn.role, "content": mark} for turn, mark in zip(turns, marks, strict=True)
    ]
    tokens: list[int] = []
    for number, piece in enumerate(re.split(f"mark{salt}x(\\d+)x", template(messages))):
        if number % 2:
            tokens += tokenize(turns[int(piece)].text, False)
        elif piece:
            tokens += tokenize(piece, True)
    return tokens


def check_room(prompt: int, answer: int, context: int) -> None:
    """Raise ``prompt-too-long`` where prompt and answer do not fit the context."""
    if prompt + answer > context:
        raise InputError(
            "prompt-too-long",
            f"The prompt of {prompt} tokens and an answer of {answer} do not fit the model's "
            f"context of {context}.",
            "Ask with a smaller budget, or raise [model] context in site.toml.",
        )
