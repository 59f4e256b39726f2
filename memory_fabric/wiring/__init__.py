"""The only place that knows both flows and adapters: makes, opens, links and serves homes.

home/
site.toml       the operator's settings
roster.json     the sites of the grid, signed by the grid key
keys/           root.key, keyring.db (wrapped keys), ledger.checkpoint (anchor of the log)
stack/          the sealed LanceDB table
ledger.db       catalog, receipts, apps
bundle/         policies/ (installed), trust/ (its TUF metadata: who signed it), validated/ (the
                last that passed every check), history/ (all that were in force, by digest)
runs/           checkpoints of fine-tuning runs, sealed to the site itself
run/            lock and local socket
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from memory_fabric.adapters.mem0 import DEFAULT_STORE as DEFAULT_STORE
    from memory_fabric.adapters.mem0 import count_mem0 as count_mem0
    from memory_fabric.adapters.mem0 import mem0_rows as mem0_rows
    from memory_fabric.adapters.package_file import PackageWriter as PackageWriter
    from memory_fabric.adapters.package_file import read_packages as read_packages
    from memory_fabric.adapters.prover.compare import Change as Change
    from memory_fabric.adapters.prover.examples import Example as Example
    from memory_fabric.adapters.row_files import RowFile as RowFile
    from memory_fabric.adapters.rows import Row as Row
    from memory_fabric.adapters.rows import count_rows as count_rows
    from memory_fabric.adapters.rows import read_rows as read_rows
    from memory_fabric.adapters.training import TINY_MODEL as TINY_MODEL
    from memory_fabric.adapters.training import WorkerTrainer as WorkerTrainer
    from memory_fabric.adapters.transport import LocalSocket as LocalSocket
    from memory_fabric.adapters.transport import bindable as bindable
    from memory_fabric.wiring.audit import audit_home as audit_home
    from memory_fabric.wiring.bundles import candidate as candidate
    from memory_fabric.wiring.create import create_home as create_home
    from memory_fabric.wiring.home import Home as Home
    from memory_fabric.wiring.home import open_home as open_home
    from memory_fabric.wiring.kept_keys import keys_in_escrow as keys_in_escrow
    from memory_fabric.wiring.kept_keys import keys_of as keys_of
    from memory_fabric.wiring.new_bundle import new_policies as new_policies
    from memory_fabric.wiring.new_bundle import starter_packs as starter_packs
    from memory_fabric.wiring.paths import default_home as default_home
    from memory_fabric.wiring.peers import GRID_OPERATIONS as GRID_OPERATIONS
    from memory_fabric.wiring.plain import PlainPolicies as PlainPolicies
    from memory_fabric.wiring.plain import site_in as site_in
    from memory_fabric.wiring.policies import installed_policies as installed_policies
    from memory_fabric.wiring.policies import starter_policies as starter_policies
    from memory_fabric.wiring.policies import test_policies as test_policies
    from memory_fabric.wiring.proofs import check_policies as check_policies
    from memory_fabric.wiring.proofs import compare_policies as compare_policies
    from memory_fabric.wiring.proofs import prove_policies as prove_policies
    from memory_fabric.wiring.publishing import begin_publication as begin_publication
    from memory_fabric.wiring.publishing import change_officers as change_officers
    from memory_fabric.wiring.publishing import make_key as make_key
    from memory_fabric.wiring.publishing import publication_state as publication_state
    from memory_fabric.wiring.publishing import publish as publish
    from memory_fabric.wiring.publishing import sign_officers as sign_officers
    from memory_fabric.wiring.publishing import sign_rules as sign_rules
    from memory_fabric.wiring.restore import restore_home as restore_home
    from memory_fabric.wiring.served import reach as reach
    from memory_fabric.wiring.vouching import approve_emergency as approve_emergency
    from memory_fabric.wiring.vouching import emergency_request as emergency_request

_PARTS = {
    "adapters.mem0": ("DEFAULT_STORE", "count_mem0", "mem0_rows"),
    "adapters.package_file": ("PackageWriter", "read_packages"),
    "adapters.prover.compare": ("Change",),
    "adapters.prover.examples": ("Example",),
    "adapters.row_files": ("RowFile",),
    "adapters.rows": ("Row", "count_rows", "read_rows"),
    "adapters.training": ("TINY_MODEL", "WorkerTrainer"),
    "adapters.transport": ("LocalSocket", "bindable"),
    "wiring.audit": ("audit_home",),
    "wiring.bundles": ("candidate",),
    "wiring.create": ("create_home",),
    "wiring.home": ("Home", "open_home"),
    "wiring.kept_keys": ("keys_in_escrow", "keys_of"),
    "wiring.new_bundle": ("new_policies", "starter_packs"),
    "wiring.paths": ("default_home",),
    "wiring.peers": ("GRID_OPERATIONS",),
    "wiring.plain": ("PlainPolicies", "site_in"),
    "wiring.policies": (
        "installed_policies",
        "starter_policies",
        "test_policies",
    ),
    "wiring.proofs": ("check_policies", "compare_policies", "prove_policies"),
    "wiring.publishing": (
        "begin_publication", "change_officers", "make_key", "publication_state", "publish",
        "sign_officers", "sign_rules",
    ),
    "wiring.restore": ("restore_home",),
    "wiring.served": ("reach",),
    "wiring.vouching": ("approve_emergency", "emergency_request"),
}  # fmt: skip
_WHERE = {name: module for module, names in _PARTS.items() for name in names}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """A part, loaded when it is first asked for: engines take seconds to load, and a command
        needs few of them, or none where the home is served.
        """
        if name not in _WHERE:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        part = getattr(import_module(f"memory_fabric.{_WHERE[name]}"), name)
        globals()[name] = part
        return part
