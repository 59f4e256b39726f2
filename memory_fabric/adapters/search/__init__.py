"""The searchable copy in process memory: vectors, full text and labels, filtered before ranking."""

from memory_fabric.adapters.search.ceiling import Ceiling
from memory_fabric.adapters.search.memory import MemorySearchCopy

__all__ = ["Ceiling", "MemorySearchCopy"]
