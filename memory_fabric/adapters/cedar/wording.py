"""What Cedar's validator says about a rule, in the words of whoever wrote the rule."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from memory_fabric.adapters.cedar.findings import Finding
from memory_fabric.adapters.cedar.rules import ParsedRule

_THINGS = {
    "Memories": "memories", "Query": "a query", "ModelUpdate": "a model update", "Site": "a site",
    "Region": "a region", "Tenant": "a tenant",
}  # fmt: skip
_ATTRIBUTE = re.compile(
    r"attribute `([\w.]+)` (?:on entity type `\w+::(\w+)`|in context).* not found"
)
_UNSAFE = re.compile(r"unable to guarantee safety of access to optional attribute `(\w+)`")
_WORD = re.compile(r'entity `\w+::(\w+)::"([^"]*)"` is of an enumerated entity type')
_ACTION = re.compile(r'unrecognized action `\w+::Action::"([^"]*)"`')
_TYPE = re.compile(r"unrecognized entity type `(?:\w+::)?(\w+)`")
_NAMES = re.compile(r"\w[\w-]*")
_QUOTED = re.compile(r'`(?:[\w:]*::)?"?([^`"]+)"?`')


def told(rule: ParsedRule, problem: str, schema: str) -> Finding:
    """A finding for one of the validator's errors on a rule.

    Args:
        problem: the validator's own words.
        schema: the schema's text, whose words are suggested for misspelt ones.
    """
    if found := _ATTRIBUTE.search(problem):
        name, kind = found.group(1).split(".")[-1], found.group(2)
        of = _THINGS.get(kind or "", kind) or "the circumstances"
        return _finding(rule, f"There is no {name!r} of {of}.", _meant(name, schema), name)
    if found := _UNSAFE.search(problem):
        name = found.group(1)
        return _finding(
            rule,
            f"The rule reads {name} without asking first whether there is one.",
            f"Write `context has {name} &&` before it.",
            name,
        )
    if found := _WORD.search(problem):
        kind, name = found.groups()
        return _finding(
            rule, f"{name!r} is no word of the list {kind}.", _meant(name, schema), name
        )
    if found := _ACTION.search(problem):
        name = found.group(1)
        return _finding(rule, f"There is no action {name!r}.", _meant(name, schema), name)
    if found := _TYPE.search(problem):
        name = found.group(1)
        return _finding(rule, f"The schema has no {name!r}.", _meant(name, schema), name)
    if "unable to find an applicable action" in problem:
        return _finding(
            rule,
            "The rule can never apply: no action that it names is about what it names.",
            "Compare action and resource with the schema.",
            "action",
        )
    return _finding(rule, f"{problem}.", "Use the schema's words.", *_QUOTED.findall(problem))


def meant(word: str, known: Iterable[str]) -> str:
    """The known word that was probably meant; empty where none comes near."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.7)
    return close[0] if close else ""


def _meant(name: str, schema: str) -> str:
    near = meant(name, set(_NAMES.findall(schema)) - {name})
    return f"Did you mean {near!r}?" if near else "Use the schema's words."


def _finding(rule: ParsedRule, message: str, fix: str, *words: str) -> Finding:
    return Finding(rule.file, rule.line_of(*words), rule.rule.id, message, fix)
