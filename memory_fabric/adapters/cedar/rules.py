"""Rules as they stand in the packs: split, parsed one by one, and known by their line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

from cedarpy import policies_from_json_str, policies_to_json_str

from memory_fabric.adapters.cedar.findings import BundleError, Finding
from memory_fabric.core.access import Rule

Tree = dict[str, Any]
"""A rule in Cedar's JSON form."""

_SCOPE = ("principal", "action", "resource")
_SEPARATOR = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*"|;', re.DOTALL)
_NOTE = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*"', re.DOTALL)
_TOKEN = re.compile(r"unexpected token `(.+)`")
_VARIABLE = re.compile(r"variable[^:]*: (\w+)")
_BRACKET = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*"|[(\[{<]|[)\]}>]', re.DOTALL)
_FIRST_WORD = re.compile(r"(?:\s+|//[^\n]*)*", re.DOTALL)
_MOST_BRACKETS, _MOST_LETTERS, _MOST_LEVELS = 40, 10_000, 200
"""Brackets within each other, and letters, of what Cedar may read: its parser ends the process
where its stack does. Levels of a rule's JSON form, which has two for each operator."""


@dataclass(frozen=True)
class ParsedRule:
    """One rule.

    Attributes:
        rule: id, title and basis, empty where the annotation is missing.
        annotations: all of them, as written.
        file, line: where it starts.
        text: its source.
        tree: its JSON form.
    """

    rule: Rule
    annotations: dict[str, str]
    file: str
    line: int
    text: str
    tree: Tree

    def line_of(self, *words: str) -> int:
        """The line of the first of these words that stands in the rule, notes aside; its first
        line where none does.
        """
        return self.line + line_within(self.text, *words)


def line_within(text: str, *words: str) -> int:
    """How many lines down the first of these words stands whole, outside ``//`` notes; else 0."""
    bare = _NOTE.sub(lambda note: note.group() if note.group()[0] == '"' else "", text)
    for word in words:
        if found := re.search(rf"(?<!\w){re.escape(word)}(?!\w)", bare):
            return bare.count("\n", 0, found.start())
    return 0


def nested_too_deeply(text: str, opening: str = "([{", closing: str = ")]}") -> bool:
    """Whether brackets stand too deep within each other for Cedar to read."""
    level = 0
    for found in _BRACKET.finditer(text):
        level += (found.group() in opening) - (found.group() in closing)
        if level > _MOST_BRACKETS:
            return True
    return False


def split_rules(text: str) -> Iterator[tuple[int, str]]:
    """Each rule's first line (from 1) and its text. A rule ends with its semicolon."""
    start = counted = 0
    line = 1
    ends = [found.end() for found in _SEPARATOR.finditer(text) if found.group() == ";"]
    for end in [*ends, len(text)]:
        head = _FIRST_WORD.match(text, start, end)
        first = head.end() if head else start
        if first < end:
            line, counted = line + text.count("\n", counted, first), first
            yield line, text[first:end]
        start = end


def parse_rule(file: str, line: int, text: str) -> ParsedRule:
    """Parse one rule.

    Raises:
        BundleError: it is not one Cedar rule.
    """

    def wrong(message: str, fix: str, down: int = 0) -> BundleError:
        return BundleError(Finding(file, line + down, "", message, fix))

    if len(text) > _MOST_LETTERS or nested_too_deeply(text):
        raise wrong("This rule is too long, or nested too deeply.", "Make several rules of it.")
    try:
        parsed = json.loads(policies_to_json_str(text))
    except RecursionError:
        raise wrong("This rule is nested too deeply.", "Make several rules of it.") from None
    except ValueError as error:
        raise wrong(
            f"This rule cannot be read: {error}.",
            "Compare it with its neighbours.",
            unreadable_at(text, str(error), policies_to_json_str),
        ) from error
    trees = list(parsed["staticPolicies"].values())
    if parsed["templates"] or len(trees) != 1:
        where = line_within(text, "?principal", "?resource")
        raise wrong("Expected one rule without ?placeholders.", "Write the rule out.", where)
    if _levels(trees[0]) > _MOST_LEVELS:
        raise wrong("This rule is nested too deeply.", "Make several rules of it.")
    notes = {name: value or "" for name, value in trees[0].get("annotations", {}).items()}
    rule = Rule(notes.get("id", ""), notes.get("title", ""), notes.get("basis", ""))
    return ParsedRule(rule, notes, file, line, text, trees[0])


def _levels(tree: Tree) -> int:
    """How many levels of lists and mappings a rule's JSON form has."""
    levels, within = 0, [cast(Any, tree)]
    while within:
        levels += 1
        parts = [item.values() if isinstance(item, dict) else item for item in within]
        within = [part for item in parts for part in item if isinstance(part, (dict, list))]
    return levels


def unreadable_at(text: str, problem: str, parse: Callable[[str], object]) -> int:
    """How many lines down a text stops being readable, as far as Cedar's words tell.

    Args:
        problem: what ``parse`` said of the whole text.
        parse: raises ``ValueError`` with Cedar's words.
    """
    if found := _VARIABLE.search(problem):
        return line_within(text, found.group(1))
    if "end of input" in problem:
        return text.count("\n")
    if not (found := _TOKEN.search(problem)):
        return line_within(text, *re.findall("`([^`]+)`", problem), problem.split(": ")[-1])
    for token in re.finditer(re.escape(found.group(1)), text):
        try:
            parse(text[: token.end()])
        except ValueError as error:
            if str(error) == problem:  # and not merely that the text ends too early
                return text.count("\n", 0, token.start())
    return 0


def permit_of(**parts: Any) -> str:
    """A permit with these parts of a rule (``principal``, ``action``, ``resource``, ``conditions``,
    in Cedar's JSON form) and no others, as text.
    """
    open_to_all = {place: {"op": "All"} for place in _SCOPE}
    tree = {"effect": "permit", "conditions": []} | open_to_all | parts
    return policies_from_json_str(
        json.dumps({"templates": {}, "staticPolicies": {"part": tree}, "templateLinks": []})
    )


def named_entities(tree: Any) -> Iterator[tuple[str, str]]:
    """Every entity that a rule names: type and id."""
    match tree:
        case {"type": str(kind), "id": str(name), **rest} if not rest:
            yield kind, name
        case dict():
            for value in tree.values():
                yield from named_entities(value)
        case list():
            for value in tree:
                yield from named_entities(value)
