"""The compliance console: pages for officers at ``/console``, rendered here, fit without scripts.

It asks nothing of a site but operations, so that it gives the same answers as the other faces.
"""

from memory_fabric_api.console.app import create_console
from memory_fabric_api.console.sessions import Sessions

__all__ = ["Sessions", "create_console"]
