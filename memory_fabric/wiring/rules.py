"""The rules that a home decides by: whose signature they bear, and how others take their place."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from memory_fabric.adapters.cedar.bundle import Bundle, read_bundle
from memory_fabric.adapters.cedar.engine import CedarEngine
from memory_fabric.adapters.files import sync
from memory_fabric.adapters.signing.client import fetch, first_root, rolled_back
from memory_fabric.adapters.signing.local import RENEW_BEFORE, LocalRoot
from memory_fabric.adapters.signing.metadata import (
    Trusted,
    fingerprint,
    read_trusted,
    roots_in,
    trust_damaged,
)
from memory_fabric.core.errors import IntegrityViolated, PolicyInvalid
from memory_fabric.core.mandate import Mandate
from memory_fabric.gate.gate import Rulebook
from memory_fabric.vault.binding import bind, derive
from memory_fabric.vault.identity import SIGNING_SECRET
from memory_fabric.vault.keyring import Keyring
from memory_fabric.wiring.paths import Paths
from memory_fabric.wiring.policies import copy_whole

INSTALL = "policy-install"
"""The act that puts officers' rules in force, as receipts name it."""
OFFICERS_ROOT = "officers-root"
"""Name in the keyring of the fingerprint of the officers' first root, once it is installed."""


class InstalledRules:
    """The bundle in a home, with the metadata that says by whose authority it is there.

    Until officers are known, the site's own key signs whatever its operator puts into
    ``bundle/policies`` and passes its checks. Once they are, only what they signed is in force.

    Attributes:
        changing: to be held by whoever changes them, until the gate decides by the new ones; upkeep
            signs while an operator may be installing.

    Args:
        recorded: the newest version of the officers' rules that the log says was installed; 0
            where there was none. Files can be put back, the log cannot.
    """

    def __init__(self, paths: Paths, keyring: Keyring, recorded: Callable[[], int]) -> None:
        self._paths = paths
        self._keyring = keyring
        self._recorded = recorded
        seed = derive(keyring.secret(SIGNING_SECRET), bind("memory-fabric/local-root/1"))
        self._own = LocalRoot(paths.trust, seed, keyring.site_id)
        self.changing = threading.RLock()

    @property
    def officers_known(self) -> bool:
        """Whether officers sign the rules here; that is never taken back."""
        return self._keyring.has_secret(OFFICERS_ROOT)

    def load(self, now: datetime) -> Rulebook:
        """The rules in force.

        While the installed bundle fails its checks or lacks a signature that it needs, nothing
        crosses, and home use goes on under the last one that did not.

        Raises:
            PolicyInvalid: neither bundle is usable.
        """
        with self.changing:
            return self._load(now)

    def _load(self, now: datetime) -> Rulebook:
        self._settle()
        try:
            bundle = read_bundle(self._paths.policies)
            engine = CedarEngine(bundle)
            trusted = self._trusted(bundle, now)
        except (PolicyInvalid, IntegrityViolated) as error:
            return Rulebook(self._last(), None, f"{error.what} {error.do}")
        mandate = trusted.mandate
        if not trusted.covers(bundle):
            return Rulebook(self._last(), None, _UNSIGNED, mandate)
        if engine.digest != _digest(self._paths.validated):
            copy_whole(self._paths.policies, self._paths.validated)
        return Rulebook(engine, engine, "", mandate, mandate.expires)

    def renewable(self, rules: Rulebook, now: datetime) -> bool:
        """Whether this site should sign its own rules for longer."""
        mandate = rules.mandate
        if self.officers_known or mandate is None or not mandate.self_signed:
            return False
        return mandate.expires - now <= RENEW_BEFORE

    def install(self, folder: Path, told: str | None, now: datetime) -> Rulebook:
        """Put the newest rules of a publication folder in force, if all of it is as it must be.

        Args:
            told: the fingerprint of the officers' root; needed with their first rules.

        Raises:
            InputError, IntegrityViolated, PolicyInvalid: those of ``fetch`` and ``first_root``, and
                of a bundle that fails its checks, a case or a property. Nothing has changed then.
        """
        from memory_fabric.wiring.proofs import check_whole  # the prover: only where it is needed

        with self.changing:
            self._settle()
            pinned = self._pinned()
            root = first_root(folder, told or pinned)
            if pinned:
                first_root(folder, pinned)  # officers who are known stay
            incoming = _emptied(self._paths.incoming)
            incoming.mkdir(mode=0o700)
            try:
                installed = self._paths.trust if pinned and self._first() == pinned else None
                fetched = fetch(folder, installed, root, incoming, now)
                if fetched.trusted.mandate.version < self._recorded():
                    raise rolled_back(str(folder))
                check_whole(fetched.policies, now)
                if not fetched.trusted.covers(read_bundle(fetched.policies)):
                    raise trust_damaged("files differ")
                _make_ready(self._paths)
                if not pinned:
                    self._keyring.add_secret(OFFICERS_ROOT, bytes.fromhex(fingerprint(root)))
                settle(self._paths)
            finally:
                _emptied(incoming)
            return self.load(now)

    def check(self) -> None:
        """Read the metadata, and whether the installed files are those that were signed.

        Raises:
            IntegrityViolated: ``trust-damaged``, ``rules-unsigned``.
        """
        if not self.officers_known:
            self._own.read()
        elif not self._officers().covers(read_bundle(self._paths.policies)):
            raise IntegrityViolated(
                "rules-unsigned",
                "The files in bundle/policies are not those that the officers signed.",
                _INSTALL,
                {"damaged": ["bundle/policies"]},
            )

    def _settle(self) -> None:
        """Finish an exchange that a crash cut short, if it was decided: the rename decides, and for
        officers' first rules the keyring, which knows them only then.
        """
        if not self.officers_known and (self._paths.ready / self._paths.policies.name).is_dir():
            _emptied(self._paths.ready)
        settle(self._paths)

    def _last(self) -> CedarEngine:
        return CedarEngine(read_bundle(self._paths.validated))

    def _trusted(self, bundle: Bundle, now: datetime) -> Trusted:
        if self.officers_known:
            return self._officers()
        stands = self._own.renew(bundle, now, _emptied(self._paths.incoming) / "trust")
        if stands:
            return stands
        _make_ready(self._paths)
        settle(self._paths)
        return self._own.read()

    def _officers(self) -> Trusted:
        if self._first() != self._pinned():
            raise trust_damaged("of other officers")
        trusted = read_trusted(self._paths.trust, self_signed=False)
        if trusted.mandate.version < self._recorded():
            raise rolled_back("bundle/trust")
        return trusted

    def _pinned(self) -> str | None:
        return self._keyring.secret(OFFICERS_ROOT).hex() if self.officers_known else None

    def _first(self) -> str | None:
        roots = roots_in(self._paths.trust)
        return fingerprint(roots[0]) if roots else None


def believed(rules: Rulebook) -> Mandate:
    """The mandate of rules that are in force.

    Raises:
        IntegrityViolated: ``rules-unsigned``: they have none.
    """
    if rules.mandate is None:
        raise IntegrityViolated("rules-unsigned", rules.problem)
    return rules.mandate


_INSTALL = "Install the officers' rules with `memory-fabric policy install`; changes go to them."
_UNSIGNED = f"The files in bundle/policies are not those that the officers signed. {_INSTALL}"


def settle(paths: Paths) -> None:
    """Finish an exchange that a crash cut short: once it is ready, it goes through."""
    if not paths.ready.is_dir():
        return
    for target in (paths.trust, paths.policies):
        fresh = paths.ready / target.name
        if fresh.is_dir():
            shutil.rmtree(target, ignore_errors=True)
            os.rename(fresh, target)
            sync(target.parent)
    shutil.rmtree(paths.ready)


def _make_ready(paths: Paths) -> None:
    """Let what lies in ``incoming`` take the place of what is installed: one rename decides."""
    for path in (*paths.incoming.rglob("*"), paths.incoming):
        if path.is_dir():
            sync(path)
    os.rename(paths.incoming, paths.ready)
    sync(paths.ready.parent)


def _emptied(folder: Path) -> Path:
    """The folder, which is not there any more."""
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def _digest(directory: Path) -> str:
    try:
        return read_bundle(directory).digest
    except PolicyInvalid:
        return ""
