"""Puts the starter policies into wheels.

A checkout reads ``policies/`` where it stands: copied into an editable install, they would grow
stale. So only the wheel carries them, and hatchling's own ``force-include`` cannot tell the two
apart.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class StarterPolicies(BuildHookInterface[Any]):
    """Adds ``policies/`` to a wheel as ``memory_fabric/starter_policies/``."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Called by hatchling before it collects files; ``version`` is the kind of wheel."""
        if version == "standard":
            build_data["force_include"]["policies"] = "memory_fabric/starter_policies"
