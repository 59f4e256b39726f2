"""The only place that knows both flows and adapters: makes, opens, links and serves homes.

home/
site.toml       the operator's settings
roster.json     the sites of the grid, signed by the grid key
keys/           root.key, keyring.db (wrapped keys), ledger.checkpoint (anchor of the log)
stack/          the sealed LanceDB table
ledger.db       catalog, receipts, apps
bundle/         policies/ (installed), validated/ (the last that passed every check)
runs/           checkpoints of fine-tuning runs, sealed to the site itself
run/            lock and local socket
"""

from memory_fabric.adapters.package_file import PackageWriter, read_packages
from memory_fabric.adapters.rows import Row, count_rows, read_rows
from memory_fabric.adapters.training import TINY_MODEL, WorkerTrainer
from memory_fabric.adapters.transport import LocalSocket, bindable
from memory_fabric.wiring.audit import audit_home
from memory_fabric.wiring.create import create_home
from memory_fabric.wiring.home import Home, open_home
from memory_fabric.wiring.paths import default_home
from memory_fabric.wiring.peers import GRID_OPERATIONS, reach
from memory_fabric.wiring.policies import (
    check_policies,
    installed_policies,
    starter_policies,
    test_policies,
)

__all__ = [
    "GRID_OPERATIONS",
    "TINY_MODEL",
    "Home",
    "LocalSocket",
    "PackageWriter",
    "Row",
    "WorkerTrainer",
    "audit_home",
    "bindable",
    "check_policies",
    "count_rows",
    "create_home",
    "default_home",
    "installed_policies",
    "open_home",
    "reach",
    "read_packages",
    "read_rows",
    "starter_policies",
    "test_policies",
]
