"""The command line: ``memory-fabric``. One file a command; ``main`` is the entry point."""

from memory_fabric.cli.main import main

__all__ = ["main"]
