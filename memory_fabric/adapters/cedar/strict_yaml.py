"""YAML without surprises: text, lists and mappings, and nothing that YAML guesses.

Plain YAML reads ``[NO, SE]`` as ``[False, "SE"]`` and lets the last of two equal keys win. Here
a value that YAML would not read as text, a duplicate key, an anchor or a tag is an error that
names its line.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import yaml

from memory_fabric.adapters.cedar.findings import BundleError, Finding

_STANDARD = "tag:yaml.org,2002:"
_TEXT = _STANDARD + "str"
_MOST_LEVELS = 10
"""Lists and mappings within each other. Reading thousands of them would take hours."""


@dataclass(frozen=True)
class Node:
    """A value and where it stands."""

    value: str | tuple[Node, ...] | dict[str, Node]
    file: str
    line: int

    def wrong(self, message: str, fix: str = "") -> BundleError:
        """The error for a value that cannot be taken."""
        return BundleError(Finding(self.file, self.line, "", message, fix))

    def text(self, what: str) -> str:
        """The value as text that is not empty."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.wrong(f"{what} must be text.")
        return self.value

    def one_of(self, what: str, allowed: Iterable[str]) -> str:
        """The value as one word of a closed list."""
        words = list(allowed)
        word = self.text(what)
        if word not in words:
            raise self.wrong(f"{word!r} is no {what}.", f"Use one of: {', '.join(words)}.")
        return word

    def items(self, what: str) -> tuple[Node, ...]:
        """The value as a list."""
        if not isinstance(self.value, tuple):
            raise self.wrong(f"{what} must be a list.", "Write it in [brackets].")
        return self.value

    def entries(self, what: str) -> dict[str, Node]:
        """The value as a mapping with free keys."""
        if not isinstance(self.value, dict):
            raise self.wrong(f"{what} must be made of `name: value` lines.")
        return self.value

    def fields(
        self, what: str, needed: Iterable[str], optional: Iterable[str] = ()
    ) -> dict[str, Node]:
        """The value as a mapping with exactly these keys."""
        entries = self.entries(what)
        needed, optional = list(needed), list(optional)
        for key, value in entries.items():
            if key not in needed and key not in optional:
                allowed = ", ".join(needed + optional)
                raise value.wrong(f"{what} has no {key!r}.", f"It may have: {allowed}.")
        for key in needed:
            if key not in entries:
                raise self.wrong(f"{what} needs {key!r}.")
        return entries


def load(text: str, file: str) -> Node:
    """The one document in a YAML text.

    Raises:
        BundleError: it is not YAML, or holds anything that is not plainly text.
    """
    try:
        level = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            line = event.start_mark.line + 1 if event.start_mark else 0
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise BundleError(Finding(file, line, "", "Anchors are not used here.", ""))
            level += isinstance(event, yaml.CollectionStartEvent)
            level -= isinstance(event, yaml.CollectionEndEvent)
            if level > _MOST_LEVELS:
                raise BundleError(Finding(file, line, "", "This is nested too deeply.", ""))
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it cannot be read"
        line = mark.line + 1 if mark else 0
        raise BundleError(Finding(file, line, "", f"This is not YAML: {problem}.", "")) from error
    if root is None:
        raise BundleError(Finding(file, 0, "", "The file is empty.", ""))
    return _node(root, file)


def _node(node: yaml.Node, file: str) -> Node:
    line = node.start_mark.line + 1
    match node:
        case yaml.ScalarNode() if node.tag.startswith(_STANDARD):
            if node.tag != _TEXT:
                raise BundleError(
                    Finding(
                        file, line, "",
                        f"{node.value} without quotes is not read as text.",
                        f'Write "{node.value}".',
                    )
                )  # fmt: skip
            return Node(str(node.value), file, line)
        case yaml.SequenceNode(tag="tag:yaml.org,2002:seq"):
            return Node(tuple(_node(item, file) for item in node.value), file, line)
        case yaml.MappingNode(tag="tag:yaml.org,2002:map"):
            entries: dict[str, Node] = {}
            for key_node, value_node in node.value:
                key = _node(key_node, file)
                name = key.text("a name")
                if name in entries:
                    raise key.wrong(f"{name!r} stands here twice.", "Keep one of them.")
                entries[name] = _node(value_node, file)
            return Node(entries, file, line)
    raise BundleError(Finding(file, line, "", "Tags are not used here.", ""))
