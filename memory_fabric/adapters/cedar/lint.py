"""Every check that a bundle must pass before a site decides by it.

Cedar's validator lets unknown annotations, duplicate ids and misspelt ids of open entity types
pass, and at run time it skips a rule that errors, even a ``forbid``. So these checks are what
stands between a typing error and data on its way abroad.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from cedarpy import PolicySet, Schema, validate_policies

from memory_fabric.adapters.cedar.bundle import REGISTER, SCHEMA, Bundle, read_bundle
from memory_fabric.adapters.cedar.doubts import doubts
from memory_fabric.adapters.cedar.findings import BundleError, Finding
from memory_fabric.adapters.cedar.policy import REGION_TYPE, Policy
from memory_fabric.adapters.cedar.probe import schema_misfits
from memory_fabric.adapters.cedar.register import Register, parse_register
from memory_fabric.adapters.cedar.rules import (
    ParsedRule,
    line_within,
    named_entities,
    nested_too_deeply,
    parse_rule,
    split_rules,
    unreadable_at,
)
from memory_fabric.adapters.cedar.times import ClockUse
from memory_fabric.adapters.cedar.vocabulary import NAMESPACE, Vocabulary, read_vocabulary
from memory_fabric.adapters.cedar.wording import meant, told
from memory_fabric.adapters.iso3166 import is_region
from memory_fabric.core.access import BUILT_IN
from memory_fabric.core.errors import PolicyInvalid

_MOST_RULES = 5_000
"""In one pack; each is read by itself."""
_NEEDED = ("id", "title", "basis")
_ALLOWED = (*_NEEDED, "notify")
_KEBAB = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_RESERVED = {rule.id for rule in BUILT_IN}
_INSTANCES = {
    f"{NAMESPACE}::{kind}" for kind in ("Site", "Tenant", "Memories", "Query", "ModelUpdate")
}


def check(directory: Path, now: datetime | None = None) -> list[Finding]:
    """Everything that is wrong with the bundle in a directory, and, where a site could use it, what
    makes no sense in it: errors first, in the order of files and lines.

    Args:
        now: for what expires; the present moment where left out.
    """
    try:
        bundle = read_bundle(directory)
    except PolicyInvalid as error:
        return [Finding(**finding) for finding in error.details["findings"]]
    policy, findings = examine(bundle)
    if policy:
        findings = list(doubts(bundle, policy, now or datetime.now(UTC)))
    return sorted(findings, key=lambda found: (found.severity, found.file, found.line))


def examine(bundle: Bundle) -> tuple[Policy | None, list[Finding]]:
    """The bundle made ready, or the errors that keep a site from using it. Never both, never
    neither.
    """
    findings: list[Finding] = []
    rules = _rules(bundle, findings)
    schema = words = register = None
    try:
        schema = _schema(bundle.files[SCHEMA])
        words = read_vocabulary(schema, SCHEMA)
        findings += schema_misfits(schema, words, SCHEMA)
    except BundleError as error:
        findings.append(error.finding)
    try:
        register = parse_register(bundle.files[REGISTER], REGISTER)
    except BundleError as error:
        findings.append(error.finding)
    if words and register:
        findings += _blocs(words, register, bundle)
    findings += _annotations(rules)
    findings += _names(rules)
    if schema:
        findings += _validation(rules, bundle.files[SCHEMA])
    if findings or not (schema and words and register):
        return None, findings
    clock = ClockUse()
    for rule in rules:
        clock.visit(rule.tree)
    policy_set = PolicySet.from_str(_joined(rules))
    return Policy(bundle.digest, tuple(rules), words, register, policy_set, schema, clock), []


def _rules(bundle: Bundle, findings: list[Finding]) -> list[ParsedRule]:
    rules = []
    for path, text in bundle.under("packs/").items():
        sources = list(split_rules(text))
        if not sources:  # a file that was cut short, say, and with it its prohibitions
            findings.append(
                Finding(path, 0, "", "There are no rules in it.", "Write one, or take it out.")
            )
        if len(sources) > _MOST_RULES:
            told = f"There are more than {_MOST_RULES:,} rules in it."
            findings.append(Finding(path, 0, "", told, "Split it."))
            continue
        for line, source in sources:
            try:
                rules.append(parse_rule(path, line, source))
            except BundleError as error:
                findings.append(error.finding)
    return rules


def _schema(text: str) -> Schema:
    if nested_too_deeply(text, "{<", "}>"):
        raise BundleError(Finding(SCHEMA, 0, "", "It is nested too deeply.", "Mend the schema."))
    try:
        return Schema.from_str(text)
    except ValueError as error:
        line = unreadable_at(text, str(error), Schema.from_str) + 1
        raise BundleError(Finding(SCHEMA, line, "", f"{error}.", "Mend the schema.")) from error


def _joined(rules: Sequence[ParsedRule]) -> str:
    return "\n".join(rule.text for rule in rules)


def _finding(rule: ParsedRule, message: str, fix: str, *words: str) -> Finding:
    """A finding on the line of the rule where one of these words stands."""
    return Finding(rule.file, rule.line_of(*words), rule.rule.id, message, fix)


def _annotations(rules: Sequence[ParsedRule]) -> Iterator[Finding]:
    first: dict[str, ParsedRule] = {}
    for rule in rules:
        for name in sorted(set(rule.annotations) - set(_ALLOWED)):
            near, allowed = meant(name, _ALLOWED), ", ".join(f"@{word}" for word in _ALLOWED)
            fix = f"Did you mean @{near}?" if near else f"Use {allowed}."
            yield _finding(rule, f"@{name} is not known.", fix, f"@{name}")
        for name in _NEEDED:
            if not rule.annotations.get(name, "").strip():
                yield _finding(rule, f"@{name} is missing.", f'Add @{name}("...").')
        if "notify" in rule.annotations and not rule.annotations["notify"].strip():
            yield _finding(
                rule, "@notify names nobody.", "Name who is told, or take it out.", "@notify"
            )
        name = rule.rule.id
        if name and not _KEBAB.fullmatch(name):
            yield _finding(
                rule, f"The id {name!r} is not kebab-case.", "Write it like-this.", "@id"
            )
        if name in _RESERVED:
            yield _finding(rule, f"The id {name} is the program's own.", "Choose another.", "@id")
        if name and name in first:
            other = first[name]
            yield _finding(
                rule,
                f"The id {name} is taken by {other.file}:{other.line}.",
                "Choose another.",
                "@id",
            )
        first.setdefault(name, rule)


def _names(rules: Sequence[ParsedRule]) -> Iterator[Finding]:
    for rule in rules:
        for kind, name in named_entities(rule.tree):
            if kind == REGION_TYPE and not is_region(name):
                yield _finding(
                    rule,
                    f"{name!r} is no ISO 3166 region.",
                    "Use a code such as DE or US-CA.",
                    f'"{name}"',
                )
            if kind in _INSTANCES:
                yield _finding(
                    rule,
                    f"A rule names {kind}::{name!r}; a typing error there would go unseen.",
                    "Write what it has in common with others: a region, a bloc, an attribute.",
                    f'"{name}"',
                )


def _blocs(words: Vocabulary, register: Register, bundle: Bundle) -> Iterator[Finding]:
    for name in register.blocs:
        if name not in words.blocs:
            yield Finding(
                REGISTER, line_within(bundle.files[REGISTER], name) + 1, "",
                f"The schema knows no bloc {name!r}.",
                f'Add "{name}" to Bloc in {SCHEMA}, or mend the name.',
            )  # fmt: skip
    for name in words.blocs:
        if name not in register.blocs:
            yield Finding(
                SCHEMA, line_within(bundle.files[SCHEMA], f'"{name}"') + 1, "",
                f"The bloc {name!r} has no entry in {REGISTER}.",
                f"Say there who belongs to it, or take it out of {SCHEMA}.",
            )  # fmt: skip


def _validation(rules: Sequence[ParsedRule], schema: str) -> Iterator[Finding]:
    if not rules:
        return
    result = validate_policies(_joined(rules), schema)
    seen: set[Finding] = set()  # Cedar says the same thing once for each action
    for error in result.errors:
        number = error.policy_id.removeprefix("policy")
        message = re.sub(f"^for policy `{error.policy_id}`[,:] ", "", error.error)
        if number.isdigit() and int(number) < len(rules):
            finding = told(rules[int(number)], message, schema)
        else:
            finding = Finding("packs", 0, "", f"{message}.", "Use the schema's words.")
        if finding not in seen:
            seen.add(finding)
            yield finding
    if not result.validation_passed and not result.errors:
        yield Finding("packs", 0, "", "The rules do not validate.", "Use the schema's words.")
