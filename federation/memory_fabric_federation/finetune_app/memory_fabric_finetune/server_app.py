"""What runs beside the SuperLink, on the aggregating site's machine."""

from __future__ import annotations

import base64
import getpass
import json
from pathlib import Path
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from memory_fabric_federation import rounds

from memory_fabric.core.errors import Unavailable
from memory_fabric.wiring import reach

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run a plan, or go on with a run; its state is in the site's own checkpoint."""
    config = context.run_config
    socket = reach(Path(str(config["home"])))
    if socket is None:
        raise Unavailable(
            "site-unreachable",
            "The aggregating site is not being served.",
            "Run `memory-fabric site serve` there.",
        )
    who = {"os_user": getpass.getuser()}

    def call(operation: str, **params: Any) -> dict[str, Any]:
        answer: dict[str, Any] = socket.call(operation, who, params)
        return answer

    if config["resume"]:
        rounds.resume(grid, call, str(config["resume"]))
        return
    plan = json.loads(base64.urlsafe_b64decode(str(config["plan"])))
    rounds.start(grid, call, rounds.Plan.from_json(plan))
