"""``policy``: the compliance officer's workbench, on plain files or on the installed bundle."""

from __future__ import annotations

import typer

from memory_fabric.cli.policy.cases import run_cases
from memory_fabric.cli.policy.check import check
from memory_fabric.cli.policy.diff import diff
from memory_fabric.cli.policy.explain import explain
from memory_fabric.cli.policy.impact import impact
from memory_fabric.cli.policy.matrix import matrix
from memory_fabric.cli.policy.new import new
from memory_fabric.cli.policy.prove import prove
from memory_fabric.cli.policy.signing import install, key, officers, publish, sign

commands = typer.Typer(help="The policy bundle.", no_args_is_help=True)

commands.command("check")(check)
commands.command("test")(run_cases)
commands.command("explain")(explain)
commands.command("impact")(impact)
commands.command("matrix")(matrix)
commands.command("new")(new)
commands.command("prove")(prove)
commands.command("diff")(diff)
commands.command("key")(key)
commands.add_typer(officers, name="officers")
commands.command("sign")(sign)
commands.command("publish")(publish)
commands.command("install")(install)
