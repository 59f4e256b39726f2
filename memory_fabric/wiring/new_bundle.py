"""A bundle of one's own, begun from the starter bundle with the packs that are wanted."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from memory_fabric.adapters.cedar.bundle import read_bundle
from memory_fabric.adapters.cedar.casefile import parse_cases
from memory_fabric.adapters.cedar.rules import parse_rule, split_rules
from memory_fabric.adapters.files import sync
from memory_fabric.core.access import NOTHING_PERMITS
from memory_fabric.core.errors import InputError
from memory_fabric.wiring.policies import starter_policies

ALWAYS = ("common", "guards", "home")
"""Packs that every bundle starts with: they hold whatever the law of the place."""
_BY_PACK = ("packs", "cases", "properties")


def starter_packs() -> list[str]:
    """The packs to choose from, beside those that every bundle starts with."""
    names = {path.stem for path in (starter_policies() / "packs").glob("*.cedar")}
    return sorted(names.difference(ALWAYS))


def new_policies(folder: Path, packs: Iterable[str]) -> list[str]:
    """Begin a bundle in a folder that is empty or does not exist; the files written.

    A pack's cases and properties have its name and come with it, save cases that name rules of
    packs that were left out. Schema and register come whole.

    Raises:
        InputError: ``pack-unknown``, or ``folder-not-empty``; nothing was written.
    """
    chosen, known = list(packs), starter_packs()
    for name in chosen:
        if name not in known and name not in ALWAYS:
            raise InputError(
                "pack-unknown", f"There is no pack {name!r}.", f"Choose of: {', '.join(known)}."
            )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(
            "folder-not-empty",
            f"{folder} is there already, and not an empty folder.",
            "Name another folder, or empty it.",
        )
    fresh = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    try:
        written = _copy(fresh, {*ALWAYS, *chosen})
        for path in (*fresh.rglob("*"), fresh):
            sync(path)
        fresh.rename(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return written


def _copy(target: Path, packs: set[str]) -> list[str]:
    starter = starter_policies()
    written = []
    for path in sorted(starter.rglob("*")):
        within = path.relative_to(starter)
        by_pack = within.parts[0] in _BY_PACK
        if path.is_file() and (not by_pack or path.stem in packs):
            (target / within).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / within)
            written.append(within.as_posix())
    _leave_out_cases(target)
    return written


def _leave_out_cases(folder: Path) -> None:
    """Take out the cases that name a rule of a pack that was left out: those of one country with
    another.
    """
    bundle = read_bundle(folder)
    known = {NOTHING_PERMITS.id}
    for file, pack in bundle.under("packs/").items():
        known |= {parse_rule(file, line, text).rule.id for line, text in split_rules(pack)}
    for file, text in bundle.under("cases/").items():
        cases, lines = parse_cases(text, file), text.splitlines(keepends=True)
        ends = [*(case.line - 1 for case in cases[1:]), len(lines)]
        for case, end in reversed(list(zip(cases, ends, strict=True))):
            if not known.issuperset(case.rules):
                del lines[case.line - 1 : end]
        (folder / file).write_text("".join(lines), encoding="utf-8")
