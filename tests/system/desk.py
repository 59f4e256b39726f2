"""Officers for tests: their keys, a publication folder, and a clock that stands."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.system.homes import Run, cli

WORDS = "correct horse battery"


class Later:
    """A clock that stands."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def now(self) -> datetime:
        return self.moment


def after(**span: int) -> Later:
    return Later(datetime.now(UTC) + timedelta(**span))


@dataclass
class Desk:
    """Where officers work: a folder with their keys, and a publication folder."""

    folder: Path
    rules: Path = field(init=False)
    publication: Path = field(init=False)

    def __post_init__(self) -> None:
        self.rules, self.publication = self.folder / "rules", self.folder / "publication"
        (self.folder / "words").write_text(f"{WORDS}\n")

    def run(self, *words: str) -> Run:
        """One command, with the passphrase on a descriptor."""
        descriptor = os.open(self.folder / "words", os.O_RDONLY)
        try:
            return cli(self.folder / "no-home", "--passphrase-fd", str(descriptor), *words)
        finally:
            os.close(descriptor)

    def done(self, *words: str) -> Any:
        run = self.run(*words)
        assert run.code == 0, run.out + run.err
        return run.json

    def key(self, name: str) -> str:
        return str(self.folder / f"{name.lower()}.key")

    def make_keys(self, *names: str) -> None:
        for name in names:
            self.done("policy", "key", name, "--out", str(self.folder))

    def officers(self, *names: str) -> list[str]:
        return [
            word
            for name in names
            for word in ("--officer", str(self.folder / f"{name.lower()}.pub"))
        ]

    def sign(self, name: str, rules: Path | None = None, *more: str) -> Run:
        source = str(rules or self.rules)
        into = ("--into", str(self.publication), "--key", self.key(name))
        return self.run("policy", "sign", source, *into, *more)

    def publish(self, name: str = "anna", *more: str) -> Any:
        return self.done("policy", "publish", str(self.publication), "--key", self.key(name), *more)

    def release(self, *names: str) -> Any:
        """Sign the rules by these officers and publish them."""
        for name in names:
            assert self.sign(name).code == 0
        return self.publish(names[0])

    @property
    def fingerprint(self) -> str:
        return str(self.done("policy", "officers", "show", str(self.publication))["fingerprint"])

    def found(self, *names: str) -> None:
        """Make keys for these officers, and have the first two sign the list of them."""
        self.make_keys(*names)
        publication = str(self.publication)
        self.done("policy", "officers", "new", publication, *self.officers(*names))
        for name in names[:2]:
            self.done("policy", "officers", "sign", publication, "--key", self.key(name))
