"""An open home: a running site, and what its operator may change about it."""

from __future__ import annotations

import resource
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any

from memory_fabric.adapters.clock import SteadyClock, SystemClock
from memory_fabric.adapters.embedders import embedder_by_id
from memory_fabric.adapters.files import refuse_other, replace_file, supersede
from memory_fabric.adapters.generators import choose
from memory_fabric.adapters.iso3166 import check_region, region_name
from memory_fabric.adapters.keystore import SqliteKeyStore
from memory_fabric.adapters.lance import LanceStack
from memory_fabric.adapters.ledger import SqlLedger
from memory_fabric.adapters.lock import HomeLock
from memory_fabric.adapters.packing import ArrowPacking
from memory_fabric.adapters.redactor import PatternRedactor
from memory_fabric.adapters.rootkeys import ProvidedRootKeys, nobody_to_ask
from memory_fabric.adapters.runs import SealedRuns
from memory_fabric.adapters.search import Ceiling, MemorySearchCopy
from memory_fabric.adapters.snapshot_files import SnapshotFiles
from memory_fabric.adapters.training import DEFAULT_MODEL, WorkerTrainer
from memory_fabric.adapters.witnessed import WitnessedFile
from memory_fabric.config import load_settings, with_classes, with_training
from memory_fabric.core.access import BUILDABLE, Requester
from memory_fabric.core.errors import EmbedderMismatch
from memory_fabric.core.labels import LabelClass
from memory_fabric.core.mandate import Mandate
from memory_fabric.core.model_ports import Embedder, Generator, Trainer
from memory_fabric.core.places import Roster, Site
from memory_fabric.core.ports import Clock
from memory_fabric.core.receipt import Outcome
from memory_fabric.core.receipt_search import Wanted
from memory_fabric.flows import opening
from memory_fabric.flows.emergencies import load_emergencies
from memory_fabric.flows.escrow import Escrowed, escrow_keys, escrow_state
from memory_fabric.flows.leases import drop_expired
from memory_fabric.flows.node import Node
from memory_fabric.flows.rotate import Rotated, rotate_keys
from memory_fabric.flows.scrub import SCRUBBING
from memory_fabric.flows.snapshot import RENEW
from memory_fabric.flows.terms import record_terms
from memory_fabric.flows.upkeep import TIDY, Job, Upkeep
from memory_fabric.flows.warm import warm
from memory_fabric.flows.witness import WITNESS
from memory_fabric.gate.duties import Duties
from memory_fabric.gate.gate import Gate, Rulebook
from memory_fabric.gate.permits import Mint
from memory_fabric.vault.escrow import MAGIC
from memory_fabric.vault.identity import (
    SEALING_SECRET,
    SIGNING_SECRET,
    Signer,
    Unsealer,
    seal_to,
)
from memory_fabric.vault.keyring import Keyring
from memory_fabric.vault.letters import Letters
from memory_fabric.vault.packages import Packages
from memory_fabric.vault.vault import Vault
from memory_fabric.wiring.bundles import BundleHistory
from memory_fabric.wiring.candidates import Candidates
from memory_fabric.wiring.create import site_card
from memory_fabric.wiring.grid import GridRoster
from memory_fabric.wiring.paths import Paths, model_directory
from memory_fabric.wiring.peers import Neighbours, link_homes
from memory_fabric.wiring.rules import INSTALL, InstalledRules, believed
from memory_fabric.wiring.written import Written, read_written

LOCK_WAIT = 10.0
"""Seconds that a command waits for another one on the same home."""

PEER_WAIT = 5.0
"""Seconds to wait for a neighbour's home that another process has open."""

_SLOW = timedelta(minutes=1)

Progress = Callable[[int, int], None]


class Home:
    """A site's home, open in this process and locked against others. A context manager.

    Attributes:
        path: where it lies.
        grid: the roster that it knows, as it is signed.
        node: the running site.
        embedder_name: of the model that its vectors come from.
        loaded: what opening found; ``None`` where only ``site verify`` reads it.
        served: whether this process serves it.
        progress: told of long work.
        bundles: those that were in force, by their digests.
        candidates: those that officers propose, by theirs.
        changing_rules: held by whoever puts other rules in force, until their receipt is written.
        upkeep: what the site does for itself; ``start`` it where the home is served.
    """

    def __init__(
        self,
        paths: Paths,
        lock: HomeLock,
        clock: Clock,
        progress: Progress | None,
        embedder: Embedder | None,
        generator: Generator | None = None,
        trainer: Trainer | None = None,
        ask: Callable[[str], str] = nobody_to_ask,
    ) -> None:
        clock = self._clock = SteadyClock(clock)
        self.path = paths.root
        self.progress = progress
        self.served = False
        self.loaded: opening.Loaded | None = None
        self._paths = paths
        self._lock = lock
        self._choosing = threading.Lock()
        self._model = generator
        settings = load_settings(paths.settings)
        self._store = SqliteKeyStore(paths.keyring)
        self._roots = ProvidedRootKeys(settings.site_id, paths.keys, settings.keys, ask)
        keyring = Keyring.open(self._store, self._roots, settings.site_id, clock)
        signer = Signer(keyring.secret(SIGNING_SECRET))
        self.sign = signer.sign
        self.grid = GridRoster(paths, keyring)
        roster = self.grid.load(settings, signer.public)
        self._ledger = SqlLedger.open(
            paths.ledger, settings.site_id, signer.sign, signer.public, paths.anchor
        )
        for newest in self._ledger.receipts(None, 1):
            self._clock.seen(datetime.fromisoformat(newest["at"]))
        self._rules = InstalledRules(paths, keyring, self._recorded_rules)
        self.changing_rules = self._rules.changing
        rulebook = self._rules.load(clock.now())
        me = roster[settings.site_id]
        embedder = _embedder(me, embedder)
        self.embedder_name = embedder.name
        self.bundles = BundleHistory(paths.history)
        self.bundles.keep(paths.validated, rulebook.digest)
        self._worker = WorkerTrainer(settings.training_model or DEFAULT_MODEL, model_directory())
        unsealer = Unsealer(keyring.secret(SEALING_SECRET))
        self.runs = SealedRuns(paths.runs, me.sealing_key, unsealer.unseal, seal_to)
        self.candidates = Candidates(paths.candidates)
        mint = Mint()
        gate = Gate(rulebook, roster, settings.plans, BUILDABLE, clock, mint)
        self._neighbours = Neighbours(_open_peer, _open_unloaded)
        unsealer = Unsealer(keyring.secret(SEALING_SECRET))
        ceiling = Ceiling(settings.search.memory_limit_mb)
        self.node: Node = Node(
            settings=settings,
            me=me,
            roster=roster,
            gate=gate,
            vault=Vault(keyring, mint, log_size=lambda: self._ledger.checkpoint().size),
            keyring=keyring,
            stack=LanceStack(paths.stack, durable=self._ledger.stack_version),
            copy=MemorySearchCopy(embedder.dim, ceiling),
            leased=MemorySearchCopy(embedder.dim, ceiling),
            ledger=self._ledger,
            snapshots=SnapshotFiles(paths.snapshot),
            witnessed=WitnessedFile(paths.witnessed),
            embedder=embedder,
            duties=Duties(PatternRedactor(), embedder),
            letters=Letters(
                settings.site_id,
                signer,
                unsealer,
                lambda: self.node.roster,
                clock,
            ),
            packages=Packages(
                settings.site_id,
                signer,
                unsealer,
                lambda: self.node.roster,
                clock,
                ArrowPacking(),
            ),
            transport=self._neighbours,
            trainer=trainer or self._worker,
            clock=clock,
            purposes=rulebook.home.purposes,
            specials=rulebook.home.specials,
            check_region=check_region,
            generator=self._generator,
        )
        signing = Job("sign its own rules", self._rules_ending, self._renew_rules)
        self.upkeep = Upkeep(self.node, [SCRUBBING, TIDY, RENEW, WITNESS, signing])

    def __enter__(self) -> Home:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Do what must not wait, release the files and the lock, and end the model's and the
        trainer's processes.
        """
        try:
            self.upkeep.stop()
            if self.loaded:
                self.upkeep.settle()
        finally:
            self._worker.close()
            with self._choosing:
                if self._model:
                    self._model.close()
            self._neighbours.close()
            self._ledger.close()
            self._store.close()
            self._lock.release()

    def load(self) -> None:
        """Check the stack against the catalog, build the searchable copy, and record in the log
        which rules and which label classes the decisions from now on are about.
        """
        self.loaded = opening.load(self.node, self.progress)
        drop_expired(self.node)
        record_terms(self.node)
        load_emergencies(self.node)

    def warm(self) -> int:
        """Decide ahead of time what will be asked; how many decisions stand ready."""
        return warm(self.node)

    def region_name(self, code: str) -> str:
        """What people call a region."""
        return region_name(code)

    def written(self) -> Written:
        """The rules in force, as they are written."""
        digest = self.node.gate.rulebook.digest
        return read_written(self.bundles.where(digest), digest)

    def warnings(self) -> list[str]:
        """What an operator should know about this machine."""
        swaps = Path("/proc/swaps")
        lines = swaps.read_text().splitlines()[1:] if swaps.exists() else []
        plain = [line.split()[0] for line in lines if not line.startswith(("/dev/dm", "/dev/zram"))]
        found = [f"Swap {name} may put plaintext on disk; encrypt or disable it." for name in plain]
        me = self.node.me
        if site_card(self.node.settings, me.embedder, me, self.path.resolve()) != me:
            found.append("site.toml says other than the roster: have this site linked once more.")
        mandate, now = self.node.gate.rulebook.mandate, self._clock.now()
        found += mandate.warnings(now) if mandate else []
        if self._clock.behind > _SLOW:
            found.append("The system's clock is behind the newest receipt; set it right.")
        escrow = escrow_state(self.node.keyring)
        if escrow.word == "stale":
            found.append(escrow.advice)
        return found

    def declare(self, classes: Iterable[LabelClass]) -> list[LabelClass]:
        """Declare further label classes in ``site.toml``; the new ones among them."""
        node = self.node
        new = [item for item in dict.fromkeys(classes) if item not in node.settings.declared]
        settings = node.settings.with_classes(new)
        if new:
            text = with_classes(self._paths.settings.read_text("utf-8"), new)
            replace_file(self._paths.settings, text.encode(), durable=True)
            node.settings = settings
            record_terms(node)
            self._warm_if_served()
        return new

    def join(self, aggregator: str) -> None:
        """Take training tasks from a site of the roster, from now on."""
        node = self.node
        name = node.roster[aggregator].site_id
        text = with_training(self._paths.settings.read_text("utf-8"), [name])
        replace_file(self._paths.settings, text.encode(), durable=True)
        node.settings = replace(node.settings, aggregators=node.settings.aggregators | {name})

    def rotate(
        self,
        requester: Requester,
        *,
        root: bool,
        epoch: bool,
        provider: str | None,
        passphrase: str | None,
    ) -> Rotated:
        """Put other keys in force, set up as ``site.toml`` says now."""
        self._roots.settings = load_settings(self._paths.settings).keys
        return rotate_keys(
            self.node, requester, root=root, epoch=epoch, provider=provider, passphrase=passphrase
        )

    def escrow(self, requester: Requester, file: Path) -> Escrowed:
        """Write the keyring into a file, sealed under a key of its own, over an older escrow."""
        refuse_other(file, MAGIC)
        return escrow_keys(self.node, requester, lambda sealed: supersede(file, sealed))

    def link(self, address: str) -> dict[str, Any]:
        """Make another site known to this one, and the whole grid to both."""
        return link_homes(self, address, _open_unloaded)

    def _generator(self) -> Generator | None:
        """The language model, chosen with the first question: a damaged one stops nothing else."""
        with self._choosing:
            if self._model is None:
                self._model = choose(self.node.settings.model, model_directory())
            return self._model

    # --- the roster --------------------------------------------------------------------------

    def publish(self, roster: Roster) -> str:
        """Sign and take over the next roster; its document, for the other sites."""
        self.grid.publish(roster)
        self._use(roster)
        return self.grid.document()

    def accept(self, document: str, grid_key: bytes) -> None:
        """Take over a roster from the site that signs it.

        Raises:
            HomeError, IntegrityViolated, InputError: those of ``GridRoster.accept``.
        """
        self._use(self.grid.accept(document, grid_key, self.node.roster, self.node.me))

    # --- the rules ---------------------------------------------------------------------------

    def install(self, folder: Path, fingerprint: str | None) -> Mandate:
        """Put the newest rules of a publication folder in force, at once.

        Args:
            fingerprint: of the officers' root; needed with their first rules.

        Raises:
            InputError, IntegrityViolated, PolicyInvalid: those of ``InstalledRules.install``.
        """
        with self.changing_rules:
            rules = self._rules.install(folder, fingerprint, self._clock.now())
            self._decide_by(rules)
            return believed(rules)

    def check_rules(self) -> None:
        """Raise ``trust-damaged`` or ``rules-unsigned`` where what is installed was changed."""
        self._rules.check()

    def _recorded_rules(self) -> int:
        newest = self._ledger.receipts(None, 1, Wanted(act=INSTALL, outcome=Outcome.DONE))
        return int(newest[0]["facts"]["version"]) if newest else 0

    def _decide_by(self, rules: Rulebook) -> None:
        node = self.node
        self.bundles.keep(self._paths.validated, rules.digest)
        node.purposes, node.specials = rules.home.purposes, rules.home.specials
        node.gate.rulebook = rules
        record_terms(node)
        load_emergencies(node)
        self._warm_if_served()

    def _rules_ending(self, _node: Node, now: datetime) -> bool:
        return self._rules.renewable(self.node.gate.rulebook, now)

    def _renew_rules(self, node: Node) -> None:
        with self.changing_rules:
            self._decide_by(self._rules.load(node.clock.now()))

    def _use(self, roster: Roster) -> None:
        node = self.node
        node.roster, node.me = roster, roster[node.me.site_id]
        node.gate.roster = roster
        record_terms(node)
        self._warm_if_served()

    def _warm_if_served(self) -> None:
        """Nobody should wait for the rules; but a command that ends now need not ask them all."""
        if self.served:
            self.warm()


def _embedder(me: Site, given: Embedder | None) -> Embedder:
    """The embedder that the site was made with: its vectors are searched by no other."""
    if given is None:
        return embedder_by_id(me.embedder, model_directory())
    if given.id != me.embedder:
        raise EmbedderMismatch(
            "embedder-mismatch",
            "The site was made with another embedder than the one it is opened with.",
            "Open it with the embedder that it was made with.",
        )
    return given


def _open_peer(path: Path) -> Home:
    return open_home(path, wait=PEER_WAIT)


def _open_unloaded(path: Path) -> Home:
    return open_home(path, wait=PEER_WAIT, load=False)


def open_home(
    path: Path,
    *,
    wait: float = LOCK_WAIT,
    progress: Progress | None = None,
    clock: Clock | None = None,
    load: bool = True,
    embedder: Embedder | None = None,
    generator: Generator | None = None,
    trainer: Trainer | None = None,
    ask: Callable[[str], str] = nobody_to_ask,
) -> Home:
    """Open a home and lock it.

    Args:
        wait: seconds to wait while another process has it.
        progress: told of records read while the searchable copy is built.
        clock: the system's where left out.
        load: false to leave the searchable copy empty, for ``site verify``.
        embedder: the one that the home was made with, where that is none of those that come along.
        generator: a language model of one's own; that of ``site.toml`` where left out.
        trainer: in place of a worker of the home's own; not closed with it.
        ask: asks the operator for a passphrase or a PIN, where the root key needs one.

    Raises:
        EmbedderMismatch: ``embedder-mismatch``, ``embedder-unknown``.
        HomeError: ``home-missing``, ``home-incomplete``, ``home-busy``, ``home-foreign``,
            ``root-key-wrong``, ``passphrase-wrong``, ``settings-invalid``, ...
        IntegrityViolated: something on disk is not as it was written.
    """
    # A core dump would put plaintext on a disk.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    paths = Paths(path)
    paths.check_complete()
    lock = HomeLock(paths.lock)
    lock.acquire(wait)
    try:
        home = Home(
            paths, lock, clock or SystemClock(), progress, embedder, generator, trainer, ask
        )
    except BaseException:
        lock.release()
        raise
    if load:
        try:
            home.load()
        except BaseException:
            home.close()
            raise
    return home
